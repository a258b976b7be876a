"""Set the runs of an experiment side by side: a table, plots as files, and links to the run pages."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from training.comparison import Entry

EXAMPLE = """example:
  shaper compare --experiment panel --out var/compare
"""


def main(argv: list[str]) -> int:
    """Run `shaper compare`; returns the exit status."""
    arguments = parser().parse_args(argv)
    from rich.console import Console

    from training.comparison import draw, entries
    from training.tracking import Store

    store = Store(arguments.store)
    found = entries(store, arguments.experiment)
    console = Console(width=None if sys.stdout.isatty() else 110)
    for target in sorted({entry.target for entry in found}):
        console.print(table(target, [entry for entry in found if entry.target == target]))
    for path in draw(found, arguments.out):
        console.print(f"drawn  {path}", soft_wrap=True, highlight=False, markup=False)
    for model, page in sorted({(entry.model, entry.page) for entry in found}):
        console.print(f"page   {model}: {page}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"look   {store.look}", soft_wrap=True, highlight=False, markup=False)
    return 0


def table(target: str, found: "Sequence[Entry]") -> "Table":
    """Scores of one target, best first."""
    from rich.table import Table

    from training.summary import shown

    last = max((int(h) for entry in found for h in entry.curve("skill/h")), default=1)
    steps = sorted({1, max(1, last // 2), last})
    made = Table(title=f"{target}: skill against persistence", title_justify="left", box=None, padding=(0, 0, 0, 1))
    made.add_column("model", no_wrap=True)
    for name in ("skill", "90 % interval", *(f"h={h}" for h in steps), "cover", "PR-AUC"):
        made.add_column(name, justify="right", no_wrap=True)
    for entry in found:
        interval = f"{shown(entry.value('skill_low'))}..{shown(entry.value('skill_high'))}"
        by_horizon = (shown(entry.value(f"skill/h{h:02}")) for h in steps)
        rest = (shown(entry.value(key)) for key in ("coverage", "pr_auc"))
        period = (
            ""
            if (entry.kind, entry.part) == ("fit", "test")
            else f" ({entry.part if entry.kind == 'fit' else entry.kind})"
        )
        made.add_row(entry.model + period, shown(entry.value("skill")), interval, *by_horizon, *rest)
    return made


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    made = argparse.ArgumentParser(
        prog="shaper compare",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--experiment", required=True, metavar="NAME", help="MLflow experiment; by default a run's task")
    made.add_argument("--out", type=Path, default=Path("var/compare"), metavar="DIR", help="folder for the plots")
    made.add_argument(
        "--store", type=Path, default=Path("var/mlflow"), metavar="DIR", help="local store, without MLFLOW_TRACKING_URI"
    )
    return made
