"""Evaluate configurations at rolling origins, each refitted on what was known there."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from training.backtest import Result

KEYS = ("skill", "skill_low", "skill_high", "coverage", "pr_auc")
EXAMPLE = """Further options are handed to every fit, written as for `shaper train`, such as --trainer.max_epochs=2.

example:
  shaper backtest --config training/configs/panel-linear.yaml --config training/configs/panel-boosting.yaml \\
    --data.history history --folds 4 --origin 2024-01-01 --step 7
"""


def main(argv: list[str]) -> int:
    """Run `shaper backtest`; returns the exit status."""
    arguments, overrides = parser().parse_known_args(argv)
    from rich.console import Console

    from training.backtest import Rolling, run
    from training.progress import bar
    from training.settings import instant

    rolling = Rolling(
        configs=tuple(arguments.config),
        history=arguments.history,
        origin=instant(arguments.origin),
        folds=arguments.folds,
        step_days=arguments.step,
        home=arguments.out / arguments.name,
        overrides=tuple(overrides),
        experiment=arguments.experiment,
        track=not arguments.no_track,
        store=arguments.store,
    )
    with bar("backtest") as progress:
        results = run(rolling, lambda _label, done, total: progress(done, total))
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table(results))
    console.print(f"written to {rolling.home}", highlight=False, markup=False, soft_wrap=True)
    if rolling.track:
        for experiment in sorted({rolling.experiment or result.task for result in results}):
            console.print(f"next  shaper compare --experiment {experiment}", highlight=False, markup=False)
    return 0


def table(results: "list[Result]") -> "Table":
    """Pooled scores by model and target, and the skill of each fold."""
    from rich.table import Table

    from training.summary import shown

    made = Table(title="all folds together: skill against persistence", title_justify="left")
    for name in ("model", "target", "skill", "90 % interval", "coverage 5-95 %", "PR-AUC", "skill by fold"):
        made.add_column(name, justify="left" if name in ("model", "target") else "right")
    for result in results:
        for target in result.seen:
            found = {key: result.metrics.get(f"test/{target}/{key}") for key in KEYS}
            interval = f"{shown(found['skill_low'])} .. {shown(found['skill_high'])}"
            folds = "  ".join(shown(fold.get(f"test/{target}/skill")) for fold in result.folds)
            rest = (shown(found["coverage"]), shown(found["pr_auc"]), folds)
            made.add_row(result.name, target, shown(found["skill"]), interval, *rest)
    return made


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    made = argparse.ArgumentParser(
        prog="shaper backtest",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--config", type=Path, action="append", required=True, metavar="F", help="configuration; may be repeated")
    add("--data.history", dest="history", type=Path, required=True, metavar="DIR", help="folder of canonical tables")
    add("--folds", type=int, default=4, metavar="K", help="origins (default 4)")
    add("--origin", required=True, metavar="T", help="first origin, ISO 8601 (UTC unless it says otherwise)")
    add(
        "--step",
        type=float,
        default=7.0,
        metavar="DAYS",
        help="days between origins, and tested after each (default 7)",
    )
    add("--name", default="backtest", help="name of the folder that results are kept in")
    add("--out", type=Path, default=Path("var/backtests"), metavar="DIR", help="where that folder lies")
    add("--experiment", metavar="NAME", help="MLflow experiment (default: the task)")
    add("--store", type=Path, default=Path("var/mlflow"), metavar="DIR", help="local store of runs")
    add("--no-track", action="store_true", help="leave MLflow out")
    return made
