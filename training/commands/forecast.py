"""Write the forecasts that an artefact would have issued over a history."""

import argparse
import datetime as dt
from pathlib import Path

EXAMPLE = """example:
  shaper forecast --model var/artefacts/panel-tcn --data history --since 2024-02-01 --until 2024-03-01 --out var/forecasts
  shaper forecast --model models:/panel@champion --data history --out var/forecasts
"""


def main(argv: list[str]) -> int:
    """Run `shaper forecast`; returns the exit status."""
    arguments = parser().parse_args(argv)
    from data.history import History
    from training import forecasting
    from training.artefact import Artefact
    from training.progress import bar
    from training.resolving import model_folder

    artefact = Artefact.open(model_folder(arguments.model))
    history = History.open(arguments.data)
    with bar("forecasting") as progress:
        forecasts = forecasting.issue(artefact, history, arguments.since, arguments.until, progress)
    forecasting.write(forecasts, artefact.contract, arguments.out)
    for place, target in enumerate(artefact.contract.targets):
        print(f"{target.name}: {forecasts.answered[:, place].sum():,} of {len(forecasts.ticks):,} ticks answered")
    print(f"written to {arguments.out}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    made = argparse.ArgumentParser(
        prog="shaper forecast",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--model", required=True, metavar="ART", help="folder of an exported artefact, or models:/NAME@ALIAS"
    )
    made.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of canonical tables")
    made.add_argument(
        "--since", type=instant, metavar="T", help="first issue time, ISO 8601 (UTC unless it says otherwise)"
    )
    made.add_argument("--until", type=instant, metavar="T", help="issue times before this one")
    made.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for quantiles.parquet and spikes.parquet"
    )
    return made


def instant(text: str) -> dt.datetime:
    """Read a time; one without an offset is UTC."""
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected an ISO 8601 time such as 2024-02-01T00:00, found {text!r}"
        ) from error
    return time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)
