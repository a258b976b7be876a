"""A search over hyper-parameters: trials of one configuration, the better ones followed, the hopeless ones ended early.

Decided here: a trial is judged by its validation period alone (the mean over targets of loss / loss of persistence) and never
reads a row after `until`; trials are MLflow runs nested under the search; a pruned one ends as KILLED; a search goes on where it
was stopped, until it has as many trials as were asked for.
"""

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec.yaml
import numpy as np
import optuna

from data.errors import DataError, UsageError
from training import recipes, single
from training.fitting import Fit, recorded_run, write_json
from training.space import Space, Value
from training.study import Judge, storage
from training.tracking import Run, Store, closing, environment

NO_TEST = "--data.split.test_days=1e-9"  # so that no trial reads a row after `until`
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Search:
    """What to search: a configuration, its space, the number of trials, and the folder that remembers them.

    `overrides` hold for every trial, written as on the command line. `where` tells a fit whom to report to.
    """

    config: Path
    space: Space
    trials: int
    home: Path
    overrides: tuple[str, ...]
    experiment: str
    seed: int = 0
    store: Path = Path("var/mlflow")
    parent: str | None = None
    where: str = ""

    def __post_init__(self) -> None:
        """Refuse a search without trials."""
        if self.trials < 1:
            raise UsageError("--trials", expected="at least 1", found=str(self.trials), remedy="correct the option")

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.home.name


@dataclass(frozen=True)
class Found:
    """How a search ended: the best trial, its value, its parameters, and the trials by how they ended."""

    number: int
    value: float
    params: dict[str, Value]
    counts: dict[str, int]


def open_parent(search: Search, judge: Judge, track: bool) -> Run | None:
    """The run that trials are nested under: the one of a search that goes on, else a new one."""
    if not track:
        return None
    store, known = Store(search.store), judge.remembered()
    run = None if known is None else store.resume(known)
    if run is None:
        run = store.start(search.experiment, search.name, {"kind": "tune", **environment()})
        run.params({"config": str(search.config), "space": sorted(search.space.keys), "overrides": search.overrides})
        judge.remember(run.run_id)
    return run


def settle(search: Search, judge: Judge, run: Run | None) -> Found:
    """Write the best configuration and record the outcome. Raises DataError when no trial was completed."""
    best = judge.best()
    if best is None:
        remedy = "see why trials failed, or raise --trials"
        raise DataError(str(search.home), expected="a completed trial", found=str(judge.counts()), remedy=remedy)
    found = Found(*best, judge.counts())
    path = search.home / "best.yaml"
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(msgspec.yaml.encode(merged(single.read(search.config), found.params)))
    partial.replace(path)
    write_json(search.home / "search.json", vars(found))
    if run is not None:
        run.metrics({"best_value": found.value, "best_trial": found.number})
        run.tags({f"best.{key}": str(value) for key, value in found.params.items()})
        run.file(path)
    return found


def merged(config: dict[str, Any], params: dict[str, Value]) -> dict[str, Any]:
    """A configuration with some keys, written with dots, set to other values."""
    made: dict[str, Any] = json.loads(json.dumps(config))
    for key, value in params.items():
        *outer, last = key.split(".")
        place = made
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return made


def search_here(search: Search, jobs: int, progress: Progress, track: bool = True) -> Found:
    """Search on this machine with several processes. Raises what a trial raises; what was found until then is kept."""
    address = storage(search.home)
    judge = Judge(address, search.name, search.seed)
    judge.recover()
    run = open_parent(search, judge, track)
    told = replace(search, where=address, parent=None if run is None else run.run_id)
    with closing(run):
        left = max(0, search.trials - judge.done())
        if min(jobs, left) > 1:
            side_by_side(told, min(jobs, left), left, progress)
        else:
            for done in range(left):
                one_trial(told, judge)
                progress(done + 1, left)
        return settle(search, judge, run)


def side_by_side(search: Search, jobs: int, left: int, progress: Progress) -> None:
    """Run trials in processes of their own."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(trial_in_process, search, search.seed + 1 + number) for number in range(left)]
        for done, future in enumerate(as_completed(running), start=1):
            if future.exception() is not None:
                pool.shutdown(cancel_futures=True)
            future.result()
            progress(done, left)


def trial_in_process(search: Search, seed: int) -> None:
    """One trial of a worker."""
    one_trial(search, Judge(search.where, search.name, seed))


def one_trial(search: Search, judge: Any) -> None:
    """Ask for values, fit, and tell how it went; `judge` is a `training.study.Judge` or stands for one elsewhere."""
    number, values = judge.ask(search.space)
    name = f"trial-{number:04}"
    home = search.home / "trials" / name
    try:
        fit = recipes.fit(search.config, (*search.overrides, *values, *told(search, number, name)))
        judge.finish(number, objective(fit))
    except optuna.TrialPruned:
        judge.finish(number, None, pruned=True)
        ended(home, search)
    except BaseException:
        judge.finish(number, None)
        raise


def told(search: Search, number: int, name: str) -> tuple[str, ...]:
    """What a trial is told beyond its values."""
    tracking = (
        ("--run.track=false",)
        if search.parent is None
        else (
            "--run.track=true",
            "--run.kind=trial",
            f"--run.parent={search.parent}",
            f"--run.experiment={search.experiment}",
            f"--run.store={search.store}",
        )
    )
    place = (f"--run.folder={search.home / 'trials'}", f"--run.name={name}", NO_TEST)
    if single.kind(search.config) == "trees":
        return (*place, *tracking)
    callback = {
        "class_path": "training.pruning.Pruning",
        "init_args": {"where": search.where, "study": search.name, "number": number},
    }
    return (*place, *tracking, "--trainer.enable_progress_bar=false", f"--trainer.callbacks+={json.dumps(callback)}")


def objective(fit: Fit) -> float:
    """Mean over targets of the loss on the validation period, as a share of persistence's; less is better."""
    skills = [v for key, v in fit.metrics.items() if key.startswith("validation/") and key.endswith("/skill")]
    return 1 - float(np.mean(skills))


def ended(home: Path, search: Search) -> None:
    """Mark the run of a pruned trial as ended on purpose."""
    run_id = recorded_run(home).get("run_id")
    run = Store(search.store).find(run_id) if run_id else None
    if run is not None:
        run.kill()
