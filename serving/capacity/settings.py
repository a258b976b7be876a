"""What an operator may set of the levers that buy capacity: `[dataplane.webhook]` and `[dataplane.processes]`.

Decided here: defaults, and that a secret is named by the file it lies in, never written into the settings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from shaper.venue import Venue

Rule = tuple[bool, str, str, str]  # whether it holds, what is expected, what was found, how to mend it


@dataclass(frozen=True)
class Webhook:
    """Where the units of a plan are posted; `token_file` holds what is sent as a bearer token. Times are seconds.

    A call that fails is repeated until `deadline_s` is over.
    """

    url: str
    token_file: str | None = None
    deadline_s: float = 0.8

    def resolved(self, folder: Path) -> "Webhook":
        """The same with paths made absolute from a folder."""
        return replace(self, token_file=self.token_file and str(folder / self.token_file))


@dataclass(frozen=True)
class Processes:
    """One process for each unit of the pool: `command`, whose `{port}` is the port of `host` that the process has to listen on.

    Ports are `first_port` and those after it. A process that is released has up to `drain_s` to finish the orders that HAProxy gave
    it, is asked to end, and ended after `grace_s`.
    """

    command: tuple[str, ...]
    first_port: int = 20000
    host: str = "127.0.0.1"
    grace_s: float = 5.0
    drain_s: float = 5.0


def webhook_rules(own: Webhook) -> Iterator[Rule]:
    """Rules of `[dataplane.webhook]`."""
    known = own.url.startswith(("http://", "https://")) and len(own.url.partition("://")[2]) > 0
    yield known, "dataplane.webhook.url as http:// or https://", repr(own.url), "correct it"
    yield (
        0.05 <= own.deadline_s <= 10,
        "dataplane.webhook.deadline_s from 0.05 to 10 s",
        str(own.deadline_s),
        "0.8 suits most",
    )


def process_rules(own: Processes, venue: Venue) -> Iterator[Rule]:
    """Rules of `[dataplane.processes]`."""
    where = "dataplane.processes"
    named = any("{port}" in word for word in own.command)
    yield named, f"{where}.command with {{port}} in one of its words", repr(list(own.command)), "name it"
    last = own.first_port + venue.pool.max_units - 1
    yield (
        own.first_port >= 1024 and last < 65536,
        f"{where}.first_port from 1024, with room for {venue.pool.max_units} ports below 65536",
        str(own.first_port),
        "choose another",
    )
    for key in ("grace_s", "drain_s"):
        value = getattr(own, key)
        yield 0 < value <= 300, f"{where}.{key} above 0, up to 300 s", str(value), "5.0 suits most"
