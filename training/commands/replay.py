"""Play orders, recorded or of a market with surges, against policies in a closed loop and price them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.contesting import Contest
    from training.contests import ContestFile
    from training.replaying import Replay

TERMINAL_COLUMNS = 7  # of the page's table: up to the punctuality of the top tier
CONTEST_COLUMNS = 5  # of a market's table: what 80 characters hold; the report has the rest
EXAMPLE = """examples:
  shaper replay --scenario training/configs/replay.toml --data history --model var/artefacts/demand-tcn --out var/replay
  shaper replay --scenario training/configs/replay-systemic.toml --seeds 20 --track --out var/replay-systemic
  shaper replay --scenario training/configs/replay-calm.toml --data history --model var/artefacts/demand-tcn --out var/replay

A scenario with a stretch of history plays recorded orders as a fluid (policies: static, reactive, forecast-led, which needs
--model, clairvoyant). One with a market draws single orders from seeds and needs no data; its policies are ours and nine
baselines. With --data it plays the last stretches of recorded orders instead, one a seed, and with --model a trained artefact
forecasts them. Both write results.json and report.html.
"""


def main(argv: list[str]) -> int:
    """Run `shaper replay`; returns the exit status."""
    arguments = parser().parse_args(argv)
    from training.contests import is_contest

    return (contest if is_contest(arguments.scenario) else stretch)(arguments)


def stretch(arguments: argparse.Namespace) -> int:
    """Replay a stretch of history."""
    from dataclasses import replace

    from data.errors import UsageError
    from data.history import History
    from shaper.replay.scenario import POLICIES
    from training.artefact import Artefact
    from training.replaying import replay
    from training.resolving import model_folder
    from training.scenario import read_scenario

    require_known(arguments.policy, POLICIES)
    file = read_scenario(arguments.scenario)
    if arguments.data is None:
        raise UsageError("--data", expected="a folder of canonical tables", found="none", remedy="add --data DIR")
    chosen = arguments.policy or (
        file.policies if arguments.model else [name for name in file.policies if name != "forecast-led"]
    )
    file = replace(file, policies=tuple(chosen))
    artefact = None if arguments.model is None else Artefact.open(model_folder(arguments.model, arguments.store))
    from training.progress import bar

    with bar("replay") as progress:
        played = replay(file, History.open(arguments.data), artefact, progress.share)
    write(played, arguments.out)
    show(played, arguments.out)
    return 0


def contest(arguments: argparse.Namespace) -> int:
    """Replay a market over seeds."""
    from dataclasses import replace

    from shaper.replay.contest import POLICIES
    from training.contesting import hold, results
    from training.contests import read_contest
    from training.fitting import write_json
    from training.pages.contest import page
    from training.progress import bar
    from training.report.page import write_page

    require_known(arguments.policy, POLICIES)
    file = read_contest(arguments.scenario)
    seeds = file.seeds if arguments.seeds is None else replace(file.seeds, count=max(arguments.seeds, 1))
    file = replace(file, seeds=seeds, policies=tuple(arguments.policy or file.policies))
    if arguments.data is not None or arguments.model is not None:
        file = recorded(file, arguments)
    with bar("replay") as progress:
        held = hold(file, progress.share)
    write_json(arguments.out / "results.json", results(held))
    write_page(page(held), arguments.out / "report.html")
    show_contest(held, arguments.out)
    if arguments.track:
        from training.tracking import Store
        from training.tracks import track

        store = Store(arguments.store)
        track(held, store, arguments.out)
        print(f"recorded in the experiment replay: {store.look}")
    return 0


def recorded(file: "ContestFile", arguments: argparse.Namespace) -> "ContestFile":
    """The scenario on recorded orders, with a trained model's forecasts."""
    from dataclasses import replace

    from data.errors import UsageError
    from data.history import History
    from shaper.replay.contest import LEARNED
    from training.artefact import Artefact
    from training.recording import with_history
    from training.resolving import model_folder

    if arguments.data is None:
        raise UsageError("--data", expected="a folder of canonical tables", found="none", remedy="add --data DIR")
    if arguments.model is None and not arguments.policy:
        file = replace(file, policies=tuple(name for name in file.policies if name != LEARNED))
    artefact = None if arguments.model is None else Artefact.open(model_folder(arguments.model, arguments.store))
    return with_history(file, History.open(arguments.data), artefact)


def require_known(chosen: list[str] | None, policies: tuple[str, ...]) -> None:
    """Raise UsageError when a policy does not exist for this kind of scenario."""
    from data.errors import UsageError

    unknown = sorted(set(chosen or ()) - set(policies))
    if unknown:
        raise UsageError(
            "--policy", expected=f"names among {', '.join(policies)}", found=", ".join(unknown), remedy="correct it"
        )


def show_contest(held: "Contest", folder: Path) -> None:
    """Print the policies' costs at each delay and where the report lies."""
    from rich.console import Console
    from rich.table import Table

    from training.pages.contest import cost_table, counted, verdicts

    console = Console()
    for one in held.held:
        content = cost_table(one)
        title = f"{held.file.name}: mean of {counted(len(one.rounds), 'seed')} at a delay of {one.delay_s:g} s"
        table = Table(title=title, title_justify="left", box=None, padding=(0, 0, 0, 1))
        for place, name in enumerate(content.header[:CONTEST_COLUMNS]):
            table.add_column(name, justify="left" if place == 0 else "right", no_wrap=True)
        for place, row in enumerate(content.rows):
            table.add_row(*row[:CONTEST_COLUMNS], style="bold" if place in content.best else None)
        console.print(table)
    for line in verdicts(held):
        console.print(line, highlight=False, markup=False)
    console.print(f"written to {folder / 'results.json'} and {folder / 'report.html'}", highlight=False, soft_wrap=True)


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
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of canonical tables with request_counts, to play recorded orders",
    )
    made.add_argument(
        "--model",
        metavar="ART",
        help="artefact that forecasts demand: a folder, or a registered model (models:/NAME@alias)",
    )
    made.add_argument(
        "--policy", action="append", metavar="P", help="policy to play; may be repeated (default: the scenario's)"
    )
    made.add_argument("--seeds", type=int, metavar="N", help="seeds to report, for a market (default: the scenario's)")
    made.add_argument("--track", action="store_true", help="record a market's results in MLflow, experiment replay")
    made.add_argument(
        "--store", type=Path, default=Path("var/mlflow"), metavar="DIR", help="local MLflow store (default: var/mlflow)"
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results.json and report.html")
    return made
