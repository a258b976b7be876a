"""Play recorded orders against policies in a closed loop and price them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.replaying import Replay

TERMINAL_COLUMNS = 7  # of the page's table: up to the punctuality of the top tier
EXAMPLE = """example:
  shaper replay --scenario training/configs/replay.toml --data history --model var/artefacts/demand-tcn --out var/replay

writes results.json and report.html; policies: static, reactive, forecast-led (needs --model), clairvoyant
"""


def main(argv: list[str]) -> int:
    """Run `shaper replay`; returns the exit status."""
    arguments = parser().parse_args(argv)
    from dataclasses import replace

    from data.errors import UsageError
    from data.history import History
    from shaper.replay.scenario import POLICIES
    from training.artefact import Artefact
    from training.replaying import replay
    from training.scenario import read_scenario

    file = read_scenario(arguments.scenario)
    unknown = sorted(set(arguments.policy or ()) - set(POLICIES))
    if unknown:
        raise UsageError(
            "--policy", expected=f"names among {', '.join(POLICIES)}", found=", ".join(unknown), remedy="correct it"
        )
    chosen = arguments.policy or (
        file.policies if arguments.model else [name for name in file.policies if name != "forecast-led"]
    )
    file = replace(file, policies=tuple(chosen))
    artefact = None if arguments.model is None else Artefact.open(arguments.model)
    from training.progress import bar

    with bar("replay") as progress:
        played = replay(file, History.open(arguments.data), artefact, progress.share)
    write(played, arguments.out)
    show(played, arguments.out)
    return 0


def write(played: "Replay", folder: Path) -> None:
    """Write `results.json` and `report.html`, each whole or not at all."""
    from training.fitting import write_json
    from training.pages.replay import page
    from training.replaying import results
    from training.report.page import write_page

    write_json(folder / "results.json", results(played))
    write_page(page(played), folder / "report.html")


def show(played: "Replay", folder: Path) -> None:
    """Print the costs at the pool's own delay, the gains by delay and where the report lies."""
    from rich.console import Console
    from rich.table import Table

    from training.pages.replay import cost_table, describe
    from training.replaying import gains

    content = cost_table(played.outcomes[played.own_delay_s])
    table = Table(title=f"{played.file.name}: cost at an actuation delay of {played.own_delay_s:g} s")
    for place, name in enumerate(content.header[:TERMINAL_COLUMNS]):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=place == 0)
    for place, row in enumerate(content.rows):
        table.add_row(*row[:TERMINAL_COLUMNS], style="bold" if place in content.best else None)
    console = Console()
    console.print(table)
    for gain in gains(played):
        console.print(
            f"forecast-led against reactive at {gain.delay_s:g} s: {describe(gain)}", highlight=False, markup=False
        )
    console.print(f"written to {folder / 'results.json'} and {folder / 'report.html'}", highlight=False, soft_wrap=True)


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    made = argparse.ArgumentParser(
        prog="shaper replay", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--scenario", type=Path, required=True, metavar="F", help="scenario file (TOML)")
    made.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder of canonical tables with request_counts"
    )
    made.add_argument("--model", type=Path, metavar="ART", help="folder of an exported artefact that forecasts demand")
    made.add_argument(
        "--policy", action="append", metavar="P", help="policy to play; may be repeated (default: the scenario's)"
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results.json and report.html")
    return made
