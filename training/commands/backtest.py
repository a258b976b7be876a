"""Evaluate configurations at rolling origins, each fitted on what was known there, beside baselines."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from training.backtest import Result
    from training.folds import Rolling

KEYS = ("skill", "skill_low", "skill_high", "coverage", "pr_auc", "recall")
EXAMPLE = """Further options are handed to every fit, written as for `shaper train`, such as --trainer.max_epochs=2.

example:
  shaper backtest --config training/configs/panel-linear.yaml --baseline training/configs/panel-boosting.yaml \\
    --data.history history --folds 4 --origin 2024-01-01 --step 7 --seeds 1,2,3
  shaper backtest --config training/configs/demand-tcn.yaml --data.history history --origin 2021-08-12 --step 2 \\
    --folds 1 --no-refit --scenario training/configs/replay.toml
"""


def main(argv: list[str]) -> int:
    """Run `shaper backtest`; returns the exit status."""
    arguments, overrides = parser().parse_known_args(argv)
    from training.backtest import run
    from training.folds import Rolling
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
        baselines=tuple(arguments.baseline),
        refit=not arguments.no_refit,
        seeds=arguments.seeds,
        scenario=arguments.scenario,
    )
    with bar("backtest") as progress:
        results = run(rolling, lambda _label, done, total: progress(done, total))
    report(results, rolling, tuple(sorted(arguments.at)))
    return 0


def report(results: "Sequence[Result]", rolling: "Rolling", at: tuple[int, ...] = ()) -> None:
    """Write the page and `backtest.json`, keep the plots with the runs, and print the table."""
    from rich.console import Console

    from training.pages.backtest import write
    from training.tracking import Store

    page = write(results, rolling)
    write_results(results, rolling.home / "backtest.json", at)
    if rolling.track:
        store = Store(rolling.store)
        for run in filter(None, (store.find(result.run_id) for result in results)):
            run.file(rolling.home / "plots", "compare")
            run.file(page)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table(results))
    if at:
        console.print(weighted_table(results, at))
    console.print(f"written to {page}", highlight=False, markup=False, soft_wrap=True)
    if rolling.track:
        for experiment in sorted({rolling.experiment or result.task for result in results}):
            console.print(f"next  shaper compare --experiment {experiment}", highlight=False, markup=False)


def write_results(results: "Sequence[Result]", path: Path, at: tuple[int, ...]) -> None:
    """Write every metric, the gains over the best baselines, and weighted quantile losses at some horizons."""
    from training.backtest import gains, weighed
    from training.fitting import write_json

    models = [
        {"name": one.name, "task": one.task, "baseline": one.baseline, "metrics": one.metrics, "folds": one.folds}
        for one in results
    ]
    found = [
        {"model": model, "target": target, "over": name, "difference": None if one is None else vars(one)}
        for (model, target), (name, one) in gains(results).items()
    ]
    losses = [
        {"model": model, "target": target, "horizon": horizon, "over": name, **({} if one is None else vars(one))}
        for (model, target), row in weighed(results, at).items()
        for horizon, (name, one) in zip(at, row, strict=False)
    ]
    write_json(path, {"models": models, "gains": found, "weighted": losses})


def weighted_table(results: "Sequence[Result]", at: tuple[int, ...]) -> "Table":
    """Weighted quantile losses at some horizons, and how far below the best baseline's they lie."""
    from rich.table import Table

    from training.backtest import weighed

    made = Table(
        title="weighted quantile loss in the natural unit, [gain over the best baseline]", title_justify="left"
    )
    for name in ("model", "target", *(f"{horizon} ticks ahead" for horizon in at)):
        text = name in ("model", "target")
        made.add_column(name, justify="left" if text else "right", no_wrap=text)
    baselines = {result.name for result in results if result.baseline}
    for (model, target), row in weighed(results, at).items():
        cells = []
        for _, one in row:
            band = "" if one is None or one.interval is None else f" [{one.interval[0]:+.4f}, {one.interval[1]:+.4f}]"
            cells.append("-" if one is None else f"{one.loss:.4f}{'' if model in baselines else band}")
        made.add_row(model, target, *cells)
    return made


def table(results: "Sequence[Result]") -> "Table":
    """Pooled scores by model and target, the gain over the best baseline, and the skill of each fold."""
    from rich.table import Table

    from training.backtest import gains
    from training.pages.backtest import told
    from training.summary import shown

    found = gains(results)
    made = Table(title="all folds together: skill against persistence", title_justify="left")
    priced = any(key.endswith("/cost_change") for result in results for key in result.metrics)
    names = ("model", "target", "skill", "90 % interval", "gain over the best baseline", "cover", "PR-AUC", "recall")
    for name in (*names, *(("cost against reactive",) if priced else ()), "by fold"):
        text = name in ("model", "target")
        made.add_column(name, justify="left" if text else "right", no_wrap=text)
    for result in results:
        for target in result.seen:
            one = {key: result.metrics.get(f"test/{target}/{key}") for key in KEYS}
            interval = f"{shown(one['skill_low'])} .. {shown(one['skill_high'])}"
            folds = "  ".join(shown(fold.get(f"test/{target}/skill")) for fold in result.folds)
            rest = (shown(one[key]) for key in ("coverage", "pr_auc", "recall"))
            gain = told(found.get((result.name, target))).partition(" (")[0]  # the page names the baseline
            cost = result.metrics.get(f"test/{target}/cost_change")
            costs = () if not priced else ("-" if cost is None else f"{cost:+.1%}",)
            made.add_row(result.name, target, shown(one["skill"]), interval, gain, *rest, *costs, folds)
    return made


def numbers(text: str) -> tuple[int, ...]:
    """Read numbers with commas between them."""
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected numbers such as 1,2,3, found {text!r}") from error


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
    add(
        "--baseline", type=Path, action="append", default=[], metavar="F", help="configuration to beat; may be repeated"
    )
    add("--data.history", dest="history", type=Path, required=True, metavar="DIR", help="folder of canonical tables")
    add("--folds", type=int, default=4, metavar="K", help="origins (default 4)")
    add("--origin", required=True, metavar="T", help="first origin, ISO 8601 (UTC unless it says otherwise)")
    days = "days between origins, and tested after each (default 7)"
    add("--step", type=float, default=7.0, metavar="DAYS", help=days)
    add("--no-refit", action="store_true", help="fit once, at the first origin, and roll over all folds")
    add(
        "--seeds",
        type=numbers,
        default=(),
        metavar="N,N",
        help="fit with each of these seeds (default: the configuration's)",
    )
    add(
        "--at",
        type=numbers,
        default=(),
        metavar="H,H",
        help="horizons (ticks) at which to show the weighted quantile loss in the target's natural unit",
    )
    add("--scenario", type=Path, metavar="F", help="price the decisions that forecasts of demand lead to (TOML)")
    add("--name", default="backtest", help="name of the folder that results are kept in")
    add("--out", type=Path, default=Path("var/backtests"), metavar="DIR", help="where that folder lies")
    add("--experiment", metavar="NAME", help="MLflow experiment (default: the task)")
    add("--store", type=Path, default=Path("var/mlflow"), metavar="DIR", help="local store of runs")
    add("--no-track", action="store_true", help="leave MLflow out")
    return made
