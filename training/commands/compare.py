"""Set the runs of an experiment side by side: tables with a test of each difference, plots, and links to the run pages."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from training.comparison import Standing
    from training.tracking import Store

FOLDER = "compare"
EXAMPLE = """example:
  shaper compare --experiment panel --out var/compare
  shaper compare --experiment panel --reference panel-boosting

Works on any MLflow server: MLFLOW_TRACKING_URI=http://127.0.0.1:5000 shaper compare --experiment panel
"""


def main(argv: list[str]) -> int:
    """Run `shaper compare`; returns the exit status."""
    arguments = parser().parse_args(argv)
    from rich.console import Console

    from training.comparison import described, entries, hindsights, standings
    from training.fitting import write_json
    from training.gallery import draw
    from training.tracking import Store

    store = Store(arguments.store)
    found = entries(store, arguments.experiment)
    with tempfile.TemporaryDirectory() as folder:
        seen = hindsights(found, store, Path(folder))
    placed = standings(found, seen, arguments.reference)
    drawn = draw(found, seen, arguments.out)
    write_json(arguments.out / "compare.json", {"standings": [described(standing) for standing in placed]})
    if not arguments.no_log:
        keep(drawn, {entry.run_id for entry in found}, store)
    console = Console(width=None if sys.stdout.isatty() else 110)
    for target in sorted({entry.target for entry in found}):
        for made in tables(target, [standing for standing in placed if standing.entry.target == target]):
            console.print(made)
    for path in drawn:
        console.print(f"drawn  {path}", soft_wrap=True, highlight=False, markup=False)
    for model, page in sorted({(entry.model, entry.page) for entry in found}):
        console.print(f"page   {model}: {page}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"look   {store.look}", soft_wrap=True, highlight=False, markup=False)
    return 0


def keep(drawn: "Sequence[Path]", runs: set[str], store: "Store") -> None:
    """Keep the drawings with each run, so that its page shows it among the others."""
    for run_id in sorted(runs):
        run = store.find(run_id)
        if run is not None:
            for path in drawn:
                run.file(path, FOLDER)


def tables(target: str, placed: "Sequence[Standing]") -> "list[Table]":
    """Scores of one target, best first, and the differences to the reference where there is more than one run."""
    return [scores(target, placed), *([differences(placed)] if len(placed) > 1 else [])]


def scores(target: str, placed: "Sequence[Standing]") -> "Table":
    """Scores of one target, best first."""
    from training.summary import shown

    found = [standing.entry for standing in placed]
    last = max((int(h) for entry in found for h in entry.curve("skill/h")), default=1)
    steps = sorted({1, max(1, last // 2), last})
    names = ("skill", "90 % interval", *(f"h={h}" for h in steps), "cover", "PR-AUC")
    made = blank(f"{target}: skill against persistence", names)
    for entry in found:
        interval = f"{shown(entry.value('skill_low'))}..{shown(entry.value('skill_high'))}"
        by_horizon = (shown(entry.value(f"skill/h{h:02}")) for h in steps)
        rest = (shown(entry.value(key)) for key in ("coverage", "pr_auc"))
        period = "" if entry.part == "test" else f" ({entry.part})"
        made.add_row(entry.label + period, shown(entry.value("skill")), interval, *by_horizon, *rest)
    return made


def differences(placed: "Sequence[Standing]") -> "Table":
    """Each run against the reference on the issue times that both have."""
    from training.summary import shown

    made = blank(
        f"difference of skill to {placed[0].reference.label}",
        ("gain", "90 % interval", "p (days, Holm)", "p (Diebold-Mariano)", "issue times"),
    )
    for standing in placed:
        one = standing.against
        if one is not None:
            low, high = one.interval or (None, None)
            tests = (shown(standing.p), shown(one.dm_p), str(one.issues))
            made.add_row(standing.entry.label, f"{one.gain:+.3f}", f"{shown(low)}..{shown(high)}", *tests)
        elif standing.entry is not standing.reference:
            made.add_row(standing.entry.label, "-", "nothing shared", "-", "-", "0")
    return made


def blank(title: str, names: "Sequence[str]") -> "Table":
    """A table with a column of models and others of figures."""
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=None, padding=(0, 0, 0, 1))
    made.add_column("model", no_wrap=True)
    for name in names:
        made.add_column(name, justify="right", no_wrap=True)
    return made


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    made = argparse.ArgumentParser(
        prog="shaper compare",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--experiment", required=True, metavar="NAME", help="MLflow experiment; by default a run's task")
    add("--reference", metavar="RUN", help="the run that others are compared with (default: the best of each target)")
    add("--out", type=Path, default=Path("var/compare"), metavar="DIR", help="folder for plots and compare.json")
    add("--no-log", action="store_true", help="do not keep the plots with the runs")
    add(
        "--store", type=Path, default=Path("var/mlflow"), metavar="DIR", help="local store, without MLFLOW_TRACKING_URI"
    )
    return made
