"""Make a model the champion, if it is significantly better on a frozen period and passes every guard."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.promoting import Judged

EXAMPLE = """example:
  shaper promote var/artefacts/panel-tcn --name panel --data history --since 2024-02-01 --until 2024-03-01 --licence CC0
  shaper serve --config serving/deploy/shaper.toml --model models:/panel@champion

The period must lie after everything that either model was fitted or calibrated on, and nothing may have been chosen by it.
Without MLflow, --to DIR holds the champion: shaper promote var/artefacts/panel-tcn --to champions/panel --data history ...
Exit status 1 means refused; the verdict and its reasons are written either way.
"""


def main(argv: list[str]) -> int:
    """Run `shaper promote`; returns the exit status, 1 for a refusal."""
    arguments = parser().parse_args(argv)
    from training.promoting import Trial, champion_in, champion_of, decide, enrol, install
    from training.promotion import Limits
    from training.resolving import model_folder
    from training.settings import instant

    limits = Limits(arguments.coverage, arguments.latency_ms, arguments.size_mb)
    challenger = model_folder(arguments.challenger, arguments.store)
    span = (instant(arguments.since), instant(arguments.until))
    trial = Trial(challenger, arguments.data, *span, limits, arguments.licence)
    held: Path | None = arguments.to
    judged = decide(trial, champion_in(held) if held else champion_of(arguments.name, arguments.store), arguments.out)
    show(judged)
    if judged.contest.reasons:
        print(f"refused; the verdict is in {arguments.out}")
        return 1
    if arguments.dry_run:
        print(f"would be promoted; the verdict is in {arguments.out}")
    elif held is not None:
        install(judged, held)
        print(f"promoted to {held}")
    else:
        version = enrol(judged, arguments.name, arguments.store, arguments.out)
        print(f"promoted: models:/{arguments.name}@champion is version {version}")
    return 0


def show(judged: "Judged") -> None:
    """Print the comparison, the guards and the reasons of a refusal."""
    from training.promotion import words

    contest = judged.contest
    print(f"{judged.artefact.contract.name} against {contest.rival}: gain of skill, 90 % intervals over resampled days")
    for target, one in contest.differences.items():
        print(f"  {target}: {words(one.gain, one.interval)} over {one.days} days")
    print(f"  mean: {words(contest.gain, contest.interval)}")
    for guard in contest.guards:
        print(f"  {'holds' if guard.holds else 'FAILS'}  {guard.name}: {guard.found} (limit {guard.limit})")
    for reason in contest.reasons:
        print(f"  refused because: {reason}")


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    made = argparse.ArgumentParser(
        prog="shaper promote", description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("challenger", metavar="ART", help="folder of an exported artefact, or models:/NAME/VERSION")
    where = made.add_mutually_exclusive_group(required=True)
    where.add_argument("--name", metavar="NAME", help="registered model in MLflow whose alias `champion` is set")
    where.add_argument("--to", type=Path, metavar="DIR", help="folder that holds the champion, without MLflow")
    add("--data", type=Path, required=True, metavar="DIR", help="folder of canonical tables")
    add(
        "--since",
        required=True,
        metavar="T",
        help="begin of the frozen period, ISO 8601 (UTC unless it says otherwise)",
    )
    add("--until", required=True, metavar="T", help="its end")
    add("--licence", default="not stated", metavar="TEXT", help="licence of the data, for the card")
    add(
        "--coverage",
        type=float,
        default=0.05,
        metavar="D",
        help="farthest that coverage may be from nominal (default 0.05)",
    )
    add("--latency-ms", type=float, default=10.0, metavar="MS", help="longest p99 of one window (default 10)")
    add("--size-mb", type=float, default=20.0, metavar="MB", help="largest graph and contract (default 20)")
    add("--out", type=Path, default=Path("var/promotion"), metavar="DIR", help="folder for verdict, card and plots")
    add("--dry-run", action="store_true", help="decide, but change nothing")
    add(
        "--store", type=Path, default=Path("var/mlflow"), metavar="DIR", help="local store, without MLFLOW_TRACKING_URI"
    )
    return made
