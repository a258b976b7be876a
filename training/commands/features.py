"""Show which features move before a surge, and by how long: importance and lead, drawn."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from training.commands.forecast import instant

if TYPE_CHECKING:
    from training.featuring import Study

EXAMPLE = """example:
  shaper train features --data var/history --until 2024-02-01 --worlds 4 --out var/features

writes report.html with its drawings (also as SVG files) and results.json
"""
TOP = 5


def main(argv: list[str]) -> int:
    """Run `shaper train features`; returns the exit status."""
    arguments = parser().parse_args(argv)
    from data.history import History
    from training.featuring import FAMILIES, study
    from training.progress import bar

    history = History.open(arguments.data)
    if arguments.until:
        history = history.before(arguments.until)
    with bar("features") as progress:
        found = study(history, tuple(arguments.families or FAMILIES), arguments.worlds, progress.share)
    write(found, arguments.out)
    show(found, arguments.out)
    return 0


def write(found: "Study", folder: Path) -> None:
    """Write the page, its drawings and the figures behind them, each whole or not at all."""
    from training.featuring import results
    from training.fitting import write_json
    from training.pages.features import page
    from training.report.page import write_page

    content = page(found)
    write_json(folder / "results.json", results(found))
    write_page(content, folder / "report.html")
    drawings = [figure.svg for section in content.sections for figure in section.figures]
    for number, svg in enumerate(drawings, 1):
        partial = folder / f".drawing-{number}.svg"
        partial.write_text(svg, "utf-8")
        partial.replace(folder / f"drawing-{number}.svg")


def show(found: "Study", folder: Path) -> None:
    """Print the first movers of each target, how foreseeable it is, and where the report lies."""
    from rich.console import Console
    from rich.table import Table

    from training.featuring import ratio
    from training.pages.features import loss

    console = Console()
    for one in found.targets:
        drop = {i.feature: i for i in one.importance}
        table = Table("feature", title=f"{one.target}: first movers of {one.onsets} onsets", title_justify="left")
        for name in ("lead, min", "importance [90 %]"):
            table.add_column(name, justify="right")
        for lead in one.leads[:TOP]:
            table.add_row(lead.feature, f"{lead.ticks * found.tick_s // 60}", loss(drop.get(lead.feature)))
        console.print(table)
        over = ratio(found, one.target)
        beside = "" if over is None else f"; the simulated world: {over:.2f} of the panel models' score on history"
        line = f"PR-AUC of {one.target} onsets {one.foreseen.pr_auc:.3f}, chance {one.foreseen.base_rate:.3f}{beside}"
        console.print(line, highlight=False)
    console.print(f"written to {folder / 'results.json'} and {folder / 'report.html'}", highlight=False, soft_wrap=True)


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    made = argparse.ArgumentParser(
        prog="shaper train features", description=__doc__, epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of tables with bars and blocks")
    made.add_argument("--until", type=instant, metavar="T", help="use what was known before this time (default: all)")
    made.add_argument("--families", nargs="+", metavar="NAME", help="feature families (default: all of a market panel)")
    made.add_argument(
        "--worlds", type=int, default=0, metavar="N", help="hold it against N simulated worlds as long (default: none)"
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the report")
    return made
