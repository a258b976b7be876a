"""Options that several sources have in common, and how their values are read.

Decided here: times on the command line are UTC unless they name another zone, and `--until` is exclusive.
"""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, date, datetime


def instant(text: str) -> datetime:
    """A time in UTC from ISO 8601; a date is its midnight."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"expected a time such as 2024-01-31T12:00; found {text!r}") from error
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def day(text: str) -> date:
    """A date from ISO 8601."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"expected a day such as 2024-01-31; found {text!r}") from error


def add_days(parser: ArgumentParser) -> None:
    """Options for a range of whole days."""
    today = datetime.now(UTC).date()
    parser.add_argument("--since", type=day, required=True, metavar="DAY", help="first day (UTC)")
    parser.add_argument(
        "--until", type=day, default=today, metavar="DAY", help="day after the last one (default: today)"
    )


def add_times(parser: ArgumentParser) -> None:
    """Options for a range of times."""
    now = datetime.now(UTC)
    parser.add_argument(
        "--since", type=instant, required=True, metavar="TIME", help="first time (UTC unless it names a zone)"
    )
    parser.add_argument(
        "--until", type=instant, default=now, metavar="TIME", help="time after the last one (default: now)"
    )


def add_base_url(parser: ArgumentParser, default: str) -> None:
    """Option for another server of the same form: a mirror, a proxy, a local copy."""
    parser.add_argument("--base-url", default=default, metavar="URL", help="server (default: %(default)s)")
