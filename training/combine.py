"""A combination as a run: fit every member, weigh them, calibrate the average, score, export and record.

Decided here: the keys of a combination's configuration (`combination` in place of `model` and `trainer`), that members keep
their own configurations but get the combination's history and split, and that their runs are nested under its run.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from jsonargparse import ArgumentParser, Namespace
from numpy.typing import NDArray

from data.contract import MODEL_FILE, Calibration, Contract
from training import artefact, recipes
from training.artefact import Artefact
from training.boost import instantiated
from training.calibrating import METHOD, offsets
from training.card import card
from training.cli import SEED, explained, write_config
from training.combination import Member, Weights, combined, joined, require_alike
from training.datamodule import PanelData
from training.evaluation import Predict, answer, headlines
from training.exporting import export_run
from training.fitting import ARTEFACT, CONFIG, Fit, begin, conclude, judge, write_json
from training.preparation import Prepared
from training.progress import bar
from training.settings import PanelSettings, RunSettings, SplitSettings, plainly, require
from training.stacking import stacked
from training.stage import with_calibration
from training.tracking import Run, closing, code_version

MEMBERS, ARTEFACTS, WEIGHTS = "members", "artefacts", "weights.json"
DESCRIPTION = "Fit several models on recorded history and make one artefact of their weighted average."
EXAMPLE = (
    "example: shaper train combine --config training/configs/panel-combination.yaml --data.history history"
    " --data.split.until 2024-02-01"
)


@dataclass(frozen=True)
class Combining:
    """`members`: configuration files, relative to the combination's own; each is fitted once for each of its `seeds`.

    `seeds` are added to the member's own seed (one entry for each member; absent: each is fitted once). `weights` are equal,
    or stacked by horizon on the validation and calibration periods.
    """

    members: tuple[Path, ...]
    seeds: tuple[int, ...] = ()
    weights: Literal["equal", "stacked"] = "stacked"

    def __post_init__(self) -> None:
        """Refuse what cannot be combined."""
        fits = not self.seeds or (len(self.seeds) == len(self.members) and min(self.seeds) > 0)
        require(
            "combination",
            [
                (bool(self.members), "at least one member", "none"),
                (fits, f"{len(self.members)} positive counts of seeds", str(list(self.seeds))),
            ],
        )

    @property
    def fits(self) -> list[tuple[Path, int]]:
        """(configuration, place of the seed) of every fit."""
        counts = self.seeds or (1,) * len(self.members)
        return [(path, seed) for path, count in zip(self.members, counts, strict=True) for seed in range(count)]


def parser() -> ArgumentParser:
    """The keys of a combination."""
    made = ArgumentParser(prog="shaper train combine", description=DESCRIPTION, epilog=EXAMPLE, exit_on_error=False)
    made.add_argument("--config", action="config", required=True, help="a configuration file")
    made.add_argument("--seed_everything", type=int, default=SEED, help="first seed of the members")
    made.add_class_arguments(RunSettings, "run")
    made.add_argument("--data.history", type=Path, required=True, help="folder of canonical tables")
    made.add_class_arguments(SplitSettings, "data.split")
    made.add_class_arguments(Combining, "combination")
    return made


def combine(arguments: list[str]) -> tuple[Fit, RunSettings]:
    """Fit what the arguments say; returns the finished run and where it is kept."""
    reader = parser()
    with explained("shaper train combine"):
        told = reader.parse_args(arguments)
    made = instantiated(reader, told)
    config = json.loads(reader.dump(told, format="json", skip_unset=False))
    config.pop("config", None)
    folder = Path(str(told.config[-1])).parent
    fits = [(folder / path, made.seed_everything + place) for path, place in made.combination.fits]
    return fit(fits, made, config), made.run


def fit(fits: list[tuple[Path, int]], made: Namespace, told: dict[str, Any]) -> Fit:
    """Fit the members, weigh them, calibrate, score, export and record."""
    settings: RunSettings = made.run
    data = PanelData(
        made.data.history, panel_of([path for path, _ in fits]), made.data.split, seed=made.seed_everything
    )
    prepared = data.prepared
    run = begin(settings, prepared, told)
    write_config(settings.home / CONFIG, told)
    with closing(run):
        with bar("members") as progress:
            members = []
            for place, (path, seed) in enumerate(fits):
                progress(place, len(fits))
                members.append(member(path, seed, made, run))
        require_alike(members, prepared.contract)
        contract = joined(members, prepared.contract)
        weights = Weights.equal(members, contract)
        if made.combination.weights == "stacked":
            weights = weighed(members, weights, prepared)
        model = combined(members, weights, contract)
        shift = offsets(predictor(model, settings.home), prepared)
        return finish(Made(contract, model, shift, weights), prepared, settings, run)


def panel_of(configs: list[Path]) -> PanelSettings:
    """What the members forecast and read together; anything but targets, families and context is that of the first."""
    panels = []
    for path in configs:
        with plainly():
            told = recipes.read(path).get("data", {}).get("panel", {})
            panels.append(PanelSettings(**{key: tuple(v) if isinstance(v, list) else v for key, v in told.items()}))
    return replace(
        panels[0],
        targets=tuple(dict.fromkeys(target for panel in panels for target in panel.targets)),
        families=tuple(dict.fromkeys(family for panel in panels for family in panel.families)),
        context=max(panel.context for panel in panels),
    )


def member(config: Path, seed: int, made: Namespace, parent: Run | None) -> Member:
    """A fitted member with its artefact beside its run."""
    settings, name = made.run, f"{config.stem}-{seed}"
    home = settings.home / MEMBERS / name
    division = {key: value for key, value in vars(made.data.split).items() if value is not None}
    overrides = (
        f"--seed_everything={seed}",
        f"--data.history={made.data.history}",
        *(f"--data.split.{key}={value}" for key, value in division.items()),
        f"--run.folder={home.parent}",
        f"--run.name={name}",
    )
    tracking = nested(settings, parent)
    fitted = recipes.fit(config, (*overrides, *tracking))
    out = settings.home / ARTEFACTS / name
    export_run(fitted.folder, out)
    return Member(Artefact.open(out).contract, (out / MODEL_FILE).read_bytes())


def nested(settings: RunSettings, parent: Run | None) -> tuple[str, ...]:
    """How a member is recorded."""
    if parent is None:
        return ("--run.track=false",)
    experiment = () if settings.experiment is None else (f"--run.experiment={settings.experiment}",)
    return (*experiment, f"--run.store={settings.store}", "--run.kind=member", f"--run.parent={parent.run_id}")


def weighed(members: list[Member], start: Weights, prepared: Prepared) -> Weights:
    """Weights learnt on the validation and calibration periods, from what each member says alone."""
    parts = (prepared.split.validation, prepared.split.calibration)
    rows = np.concatenate([prepared.trainable(part) for part in parts])
    alone = []
    for place in range(len(members)):
        single = [members[place]]
        model = combined(
            single, Weights(*(np.ones_like(part[:1]) for part in (start.quantile, start.spike))), prepared.contract
        )
        alone.append(answer(predictor(model, Path(members[place].contract.name)), prepared.windows, rows)[0])
    return stacked(start, alone, prepared.labels.ahead[rows], prepared.contract.levels)


def predictor(model: bytes, where: Path) -> Predict:
    """A graph as a function of windows."""
    session = artefact.load(model, where)
    return lambda windows: artefact.run(session, windows)


@dataclass(frozen=True)
class Made:
    """A combination before it is written: `model` is not calibrated yet, `shift` are its offsets."""

    contract: Contract
    model: bytes
    shift: NDArray[np.float32]
    weights: Weights


def finish(made: Made, prepared: Prepared, settings: RunSettings, run: Run | None) -> Fit:
    """Score, write the artefact and record."""
    calibration = Calibration(METHOD, prepared.window(prepared.split.calibration))
    told = {"name": settings.name, "code_version": code_version(), "calibration": calibration}
    contract = msgspec.structs.replace(made.contract, **told)
    verdict = judge(predictor(with_calibration(made.model, contract, made.shift), settings.home), prepared)
    contract = msgspec.structs.replace(contract, metrics=headlines(verdict.metrics))
    folder = settings.home / ARTEFACT
    artefact.write(folder, with_calibration(made.model, contract, made.shift), contract, card(contract, 0.0))
    write_json(settings.home / WEIGHTS, {name: part.tolist() for name, part in vars(made.weights).items()})
    return conclude(contract, verdict, settings, run)
