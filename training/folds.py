"""What a backtest fits: the folds of each configuration, each kept in a folder so that an unchanged one is not fitted again.

Decided here: where folds begin and end, what a fold is told beyond its configuration, and when it is fitted anew. Persistence
runs beside every panel; further baselines are configurations like any other.
"""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec.yaml

from data.errors import DataError, UsageError
from training import evaluation, recipes, single
from training.evaluation import Hindsight
from training.fitting import Fit, write_json
from training.settings import PanelSettings
from training.tracking import Run

FOLD, TEST, PERSISTENCE = "fold.json", "test.npz", "persistence"
SECTIONS: dict[single.Kind, tuple[str, ...]] = {
    "network": ("--model.", "--trainer.", "--early_stopping."),
    "trees": ("--boosting.",),
    "regression": ("--regression.",),
    "combination": ("--combination.",),
}


@dataclass(frozen=True)
class Rolling:
    """What to backtest: the configurations, the history, `folds` origins `step_days` apart from `origin` on.

    Results lie in `home`; `overrides` hold for every fit, written as on the command line. `baselines` are configurations to
    be beaten. Without `refit` a model is fitted once, at the first origin, and rolled over all folds. Every configuration is
    fitted once for each of `seeds` (none: the seed that it names). `scenario` prices the decisions that forecasts of demand
    lead to.
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
    baselines: tuple[Path, ...] = ()
    refit: bool = True
    seeds: tuple[int, ...] = ()
    scenario: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be rolled."""
        if not self.configs or self.folds < 1 or self.step_days <= 0:
            found = f"{len(self.configs)} configurations, {self.folds} folds of {self.step_days} days"
            raise UsageError("backtest", expected="at least one of each", found=found, remedy="correct the options")
        if len(set(self.seeds)) < len(self.seeds):
            raise UsageError("--seeds", expected="each seed once", found=str(self.seeds), remedy="correct the option")

    def starts(self, fold: int) -> dt.datetime:
        """Origin of a fold: where its training ends and its test begins."""
        return self.origin + dt.timedelta(days=self.step_days * fold)

    @property
    def fitted(self) -> range:
        """Folds at whose origin a model is fitted."""
        return range(self.folds if self.refit else 1)

    @property
    def tested_days(self) -> float:
        """Days that each fit is tested on."""
        return self.step_days * (1 if self.refit else self.folds)


@dataclass(frozen=True)
class Place:
    """Which fold of which model, made from which data with which seed (none: the configuration's)."""

    name: str
    fold: int
    digest: str
    seed: int | None = None

    @property
    def folder(self) -> Path:
        """Folder of all folds of a seed, below the backtest's."""
        return Path(self.name) if self.seed is None else Path(self.name, f"seed-{self.seed}")

    @property
    def label(self) -> str:
        """Name of the fold's run."""
        return f"fold-{self.fold + 1}"

    def home(self, rolling: Rolling) -> Path:
        """Folder of the fold's run."""
        return rolling.home / self.folder / self.label


@dataclass(frozen=True)
class Fold:
    """A fitted fold: the folder of its run, the digest of what it was made from, and what was said and scored there.

    `units` are those of the targets.
    """

    home: Path
    key: str
    levels: tuple[float, ...]
    tick_s: int
    units: dict[str, str]
    metrics: dict[str, float]
    seen: dict[str, Hindsight]


def persistence(rolling: Rolling) -> list[Path]:
    """One configuration of persistence for each panel among the configurations, written into `home`."""
    made: dict[str, Path] = {}
    for config in rolling.configs:
        told, panel = single.read(config), panel_told(config)
        task = task_of(panel)
        if task in made or told.get("model", {}).get("architecture") == PERSISTENCE:
            continue
        name = f"{task}-{PERSISTENCE}"
        kept = {key: value for key, value in told.get("run", {}).items() if key in ("online", "calibrate")}
        data = {**told.get("data", {}), "panel": panel}
        content = {"run": {**kept, "name": name}, "data": data, "model": {"architecture": PERSISTENCE}}
        path = rolling.home / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.yaml.encode({**content, "trainer": {"max_epochs": 0}}))
        made[task] = path
    return list(made.values())


def panel_told(config: Path) -> dict[str, Any]:
    """The panel of a configuration; of a combination, that of its first member with the targets and families of all."""
    told = single.read(config)
    members = [panel_told(config.parent / name) for name in told.get("combination", {}).get("members", ())]
    if not members:
        return dict(told.get("data", {}).get("panel", {}))
    usual = {"targets": PanelSettings.targets, "families": PanelSettings.families}
    joined = {key: [name for one in members for name in one.get(key, names)] for key, names in usual.items()}
    return {**members[0], **{key: list(dict.fromkeys(names)) for key, names in joined.items()}}


def task_of(panel: dict[str, Any]) -> str:
    """Task of a panel."""
    return str(panel.get("task", PanelSettings.task))


def one_fold(config: Path, place: Place, rolling: Rolling, parent: Run | None) -> Fold:
    """One fold, fitted unless it has been already. Raises DataError when the history holds nothing to test it on."""
    home, overrides = place.home(rolling), overrides_of(config, place, rolling)
    key = hashlib.sha256(json.dumps([config.read_text("utf-8"), overrides, place.digest]).encode()).hexdigest()
    record = read_fold(home / FOLD)
    if record.get("key") != key or "units" not in record or not (home / TEST).is_file():
        fit = recipes.fit(config, (*overrides, *nesting(rolling, parent, config)))
        require_test(fit, rolling, place)
        units = {target.name: target.unit for target in fit.contract.targets}
        told = {"levels": list(fit.contract.levels), "tick_s": fit.contract.panel.tick_s, "units": units}
        record = {"key": key, **told, "metrics": fit.metrics}
        write_json(home / FOLD, record)
    seen = evaluation.restore(home / TEST)
    levels, units = tuple(record["levels"]), dict(record["units"])
    return Fold(home, key, levels, int(record["tick_s"]), units, dict(record["metrics"]), seen)


def overrides_of(config: Path, place: Place, rolling: Rolling) -> tuple[str, ...]:
    """What a fold is told beyond its configuration; sections that its kind of model does not have are left out."""
    own = single.kind(config)
    foreign = tuple(word for kind, words in SECTIONS.items() if kind != own for word in words)
    return (
        f"--data.history={rolling.history}",
        f"--data.split.until={rolling.starts(place.fold).isoformat()}",
        f"--data.split.test_days={rolling.tested_days}",
        f"--run.folder={rolling.home / place.folder}",
        f"--run.name={place.label}",
        *(() if place.seed is None else (f"--seed_everything={place.seed}",)),
        *(word for word in rolling.overrides if not word.startswith(foreign)),
    )


def nesting(rolling: Rolling, parent: Run | None, config: Path) -> tuple[str, ...]:
    """How a fold is recorded."""
    quiet = ("--trainer.enable_progress_bar=false",) if single.kind(config) == "network" else ()
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
