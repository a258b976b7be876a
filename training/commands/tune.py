"""Search for better hyper-parameters, ending hopeless trials early; a search that was stopped goes on."""

import argparse
from pathlib import Path

EXAMPLE = """Further options are handed to every trial, written as for `shaper train`, such as --data.history.

example:
  shaper tune --config training/configs/panel-linear.yaml --space training/configs/tune-panel-linear.yaml --trials 30 \\
    --jobs 2 --data.history history --data.split.until 2024-01-01
  shaper train fit --config var/tune/panel-linear/best.yaml --data.history history --data.split.until 2024-01-01

On a Ray cluster (extra `ray`): --ray auto, or --ray HOST:PORT; --ray local starts one on this machine.
Trials are judged by their validation period alone; rows after --data.split.until are never read.
"""


def main(argv: list[str]) -> int:
    """Run `shaper tune`; returns the exit status."""
    arguments, overrides = parser().parse_known_args(argv)
    from training import single
    from training.progress import bar
    from training.space import read_space
    from training.tuning import Search, search_here

    told = single.read(arguments.config)
    name = arguments.name or str(told.get("run", {}).get("name", arguments.config.stem))
    task = str(told.get("data", {}).get("panel", {}).get("task", "panel"))
    search = Search(
        config=arguments.config,
        space=read_space(arguments.space),
        trials=arguments.trials,
        home=arguments.out / name,
        overrides=tuple(overrides),
        experiment=arguments.experiment or f"{task}-tune",
        seed=arguments.seed,
        store=arguments.store,
    )
    with bar("tune") as progress:
        if arguments.ray is None:
            found = search_here(search, arguments.jobs, progress, not arguments.no_track)
        else:
            from training.cluster import search_on_cluster

            found = search_on_cluster(search, arguments.ray, arguments.jobs, progress, not arguments.no_track)
    ends = ", ".join(f"{count} {state}" for state, count in found.counts.items())
    print(f"{ends}; the best is trial {found.number}: {found.value:.4f} of persistence's loss on the validation period")
    for key, value in found.params.items():
        print(f"  {key} = {value}")
    print(f"next  shaper train fit --config {search.home / 'best.yaml'} {' '.join(overrides)}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the options."""
    made = argparse.ArgumentParser(
        prog="shaper tune",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--config", type=Path, required=True, metavar="F", help="configuration whose keys are searched")
    add("--space", type=Path, required=True, metavar="F", help="YAML of keys with ranges or choices")
    add(
        "--trials",
        type=int,
        default=20,
        metavar="N",
        help="trials in all, those of earlier calls included (default 20)",
    )
    add("--jobs", type=int, default=1, metavar="N", help="trials at a time (default 1)")
    add("--ray", metavar="ADDRESS", help="run them on this Ray cluster")
    add("--name", metavar="NAME", help="name of the search (default: the run's)")
    add("--seed", type=int, default=0, help="seed of the search (default 0)")
    add("--out", type=Path, default=Path("var/tune"), metavar="DIR", help="where its folder lies")
    add("--experiment", metavar="NAME", help="MLflow experiment (default: TASK-tune)")
    add("--store", type=Path, default=Path("var/mlflow"), metavar="DIR", help="local store of runs")
    add("--no-track", action="store_true", help="leave MLflow out")
    return made
