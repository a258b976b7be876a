"""Rolling origin: refit at each origin on what was known there, forecast the step that follows, and score all steps together.

Decided here: folds do not overlap, an embargo lies between fitting and what is scored, persistence always runs beside the
models, and a fold whose configuration and data have not changed is not fitted again.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec.yaml

from data.errors import DataError, UsageError
from data.history import History
from training import evaluation, recipes
from training.evaluation import Hindsight
from training.fitting import Fit, write_json
from training.tracking import Run, Store, closing, environment

FOLD, TEST, BASELINE = "fold.json", "test.npz", "persistence"


@dataclass(frozen=True)
class Rolling:
    """What to backtest: the configurations, the history, `folds` origins `step_days` apart from `origin` on.

    Results lie in `home`; `overrides` hold for every fit, written as on the command line.
    """

    configs: tuple[Path, ...]
    history: Path
    origin: dt.datetime
    folds: int
    step_days: float
    home: Path
    overrides: tuple[str, ...] = ()
    experiment: str | None = None
    track: bool = True
    store: Path = Path("var/mlflow")

    def __post_init__(self) -> None:
        """Refuse what cannot be rolled."""
        if not self.configs or self.folds < 1 or self.step_days <= 0:
            found = f"{len(self.configs)} configurations, {self.folds} folds of {self.step_days} days"
            raise UsageError("backtest", expected="at least one of each", found=found, remedy="correct the options")

    def starts(self, fold: int) -> dt.datetime:
        """Origin of a fold: where its training ends and its test begins."""
        return self.origin + dt.timedelta(days=self.step_days * fold)


@dataclass(frozen=True)
class Result:
    """A model over all folds: pooled metrics by flat name, those of each fold, and what it said beside what came."""

    name: str
    task: str
    metrics: dict[str, float]
    folds: tuple[dict[str, float], ...]
    seen: dict[str, Hindsight]


Progress = Callable[[str, int, int], None]


def run(rolling: Rolling, progress: Progress | None = None) -> list[Result]:
    """Backtest every configuration and persistence; `progress` is told (model and fold, done, total).

    Raises DataError for a history that ends before the first fold, and whatever a fit raises.
    """
    digest = covering_digest(rolling)
    configs = [*baselines(rolling), *rolling.configs]
    total = len(configs) * rolling.folds
    results = []
    for place, config in enumerate(configs):

        def tell(name: str, fold: int, done: int = place * rolling.folds) -> None:
            if progress is not None:
                progress(f"{name}, fold {fold + 1} of {rolling.folds}", done + fold, total)

        results.append(roll(config, rolling, digest, tell))
    return results


def covering_digest(rolling: Rolling) -> str:
    """Digest of the whole history, which identifies what folds were made from. Raises DataError when it is empty."""
    return History.open(rolling.history).digest()


def baselines(rolling: Rolling) -> list[Path]:
    """One configuration of persistence for each panel among the configurations, written into `home`."""
    made: dict[str, Path] = {}
    for config in rolling.configs:
        told = recipes.read(config)
        task = task_of(told)
        if task in made or told.get("model", {}).get("architecture") == BASELINE:
            continue
        name = f"{task}-{BASELINE}"
        content = {"run": {"name": name}, "data": told.get("data", {}), "model": {"architecture": BASELINE}}
        path = rolling.home / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.yaml.encode({**content, "trainer": {"max_epochs": 0}}))
        made[task] = path
    return list(made.values())


def task_of(told: dict[str, Any]) -> str:
    """Task of a configuration."""
    return str(told.get("data", {}).get("panel", {}).get("task", "panel"))


def roll(config: Path, rolling: Rolling, digest: str, tell: Callable[[str, int], None]) -> Result:
    """All folds of one configuration, pooled and recorded under one parent run."""
    told = recipes.read(config)
    name, task = str(told.get("run", {}).get("name", config.stem)), task_of(told)
    parent = parent_run(name, task, rolling) if rolling.track else None
    seen, folds = [], []
    with closing(parent):
        for fold in range(rolling.folds):
            tell(name, fold)
            metrics, found = one_fold(config, Place(name, fold, digest), rolling, parent)
            folds.append(metrics)
            seen.append(found)
        pooled = evaluation.joined(seen)
        first = read_fold(rolling.home / name / "fold-1" / FOLD)
        levels = tuple(first["levels"])
        metrics = evaluation.flat(evaluation.score(pooled, levels), levels, "test")
        write_json(rolling.home / name / "metrics.json", metrics)
        if parent is not None:
            parent.tags({"tick_s": str(first["tick_s"])})
            parent.metrics(metrics)
            for fold, values in enumerate(folds):
                parent.metrics({f"fold/{key}": value for key, value in values.items() if key.endswith("/skill")}, fold)
    return Result(name, task, metrics, tuple(folds), pooled)


@dataclass(frozen=True)
class Place:
    """Which fold of which model, made from which data."""

    name: str
    fold: int
    digest: str

    def home(self, rolling: Rolling) -> Path:
        """Folder of the fold's run."""
        return rolling.home / self.name / f"fold-{self.fold + 1}"


def parent_run(name: str, task: str, rolling: Rolling) -> Run:
    """The run that the folds of one model are nested under."""
    store = Store(rolling.store)
    tags = {"kind": "backtest", "task": task, **environment()}
    run = store.start(rolling.experiment or task, name, tags)
    settings = {"folds": rolling.folds, "step_days": rolling.step_days, "origin": rolling.origin.isoformat()}
    run.params({"history": str(rolling.history), **settings})
    return run


def one_fold(
    config: Path, place: Place, rolling: Rolling, parent: Run | None
) -> tuple[dict[str, float], dict[str, Hindsight]]:
    """Metrics and hindsight of one fold, fitted unless it has been already."""
    home, overrides = place.home(rolling), overrides_of(place, rolling)
    key = hashlib.sha256(json.dumps([config.read_text("utf-8"), overrides, place.digest]).encode()).hexdigest()
    record = read_fold(home / FOLD)
    if record.get("key") != key or not (home / TEST).is_file():
        tracking = nesting(rolling, parent, config)
        fit = recipes.fit(config, (*overrides, *tracking))
        require_test(fit, rolling, place)
        told = {"levels": list(fit.contract.levels), "tick_s": fit.contract.panel.tick_s}
        record = {"key": key, **told, "metrics": fit.metrics}
        write_json(home / FOLD, record)
    return dict(record["metrics"]), evaluation.restore(home / TEST)


def overrides_of(place: Place, rolling: Rolling) -> tuple[str, ...]:
    """What a fold is told beyond its configuration."""
    return (
        f"--data.history={rolling.history}",
        f"--data.split.until={rolling.starts(place.fold).isoformat()}",
        f"--data.split.test_days={rolling.step_days}",
        f"--run.folder={rolling.home / place.name}",
        f"--run.name=fold-{place.fold + 1}",
        *rolling.overrides,
    )


def nesting(rolling: Rolling, parent: Run | None, config: Path) -> tuple[str, ...]:
    """How a fold is recorded."""
    quiet = () if "boosting" in recipes.read(config) else ("--trainer.enable_progress_bar=false",)
    if parent is None:
        return (*quiet, "--run.track=false")
    experiment = () if rolling.experiment is None else (f"--run.experiment={rolling.experiment}",)
    nested = ("--run.track=true", "--run.kind=fold", f"--run.parent={parent.run_id}")
    return (*quiet, *experiment, f"--run.store={rolling.store}", *nested)


def require_test(fit: Fit, rolling: Rolling, place: Place) -> None:
    """Raise DataError when the history holds nothing to test a fold on."""
    if not (fit.folder / TEST).is_file():
        raise DataError(
            str(rolling.history),
            expected=f"rows after {rolling.starts(place.fold).isoformat()} for fold {place.fold + 1}",
            found="none",
            remedy="name an earlier --origin or fewer --folds",
        )


def read_fold(path: Path) -> dict[str, Any]:
    """What is recorded of a fold; empty when it has not been fitted."""
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}
