"""A combination as a run: fit every member, weigh them, calibrate the average, score, export and record.

Decided here: the keys of a combination's configuration (`combination` in place of `model` and `trainer`), that members keep
their own configurations but get the combination's history and split, and that their runs are nested under its run.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from jsonargparse import ArgumentParser
from numpy.typing import NDArray

from data.contract import MODEL_FILE, Contract
from data.history import History
from training import artefact, single
from training.artefact import Artefact
from training.calibrating import offsets
from training.card import card
from training.cli import SEED, explained, write_config
from training.combination import Member, Weights, combined, joined, require_alike
from training.datamodule import PanelData
from training.evaluation import Predict, answer, headlines
from training.exporting import export_run
from training.fitting import ARTEFACT, CONFIG, Fit, Verdict, begin, calibration_of, conclude, judge, write_json
from training.keys import instantiated
from training.onset import Onsets, learnt
from training.preparation import Prepared
from training.progress import bar
from training.settings import PanelSettings, RunSettings, SplitSettings, plainly, require
from training.stacking import stacked
from training.stage import with_calibration
from training.tracking import Run, closing, code_version

ONSET_ROWS = 16_000  # of the past, evenly, are enough for a line
LITTLE = 288  # ticks of validation, and of calibration, are held out of the last fit
MEMBERS, ARTEFACTS, WEIGHTS = "members", "artefacts", "weights.json"
DESCRIPTION = "Fit several models on recorded history and make one artefact of their weighted average."
EXAMPLE = (
    "example: shaper train combine --config training/configs/panel-combination.yaml --data.history history"
    " --data.split.until 2024-02-01"
)


@dataclass(frozen=True)
class Combining:
    """`members`: configuration files, relative to the combination's own; each is fitted once for each of its `seeds`.

    `seeds` are added to the member's own seed (one entry for each member; absent: each is fitted once). `shares` are what each
    member weighs in proportion to the others of its target, its seeds together (absent: every fit weighs the same). `weights`
    are these ("equal"), or stacked by horizon on the validation and calibration periods and pulled to these. `refit`: when
    weights and calibration are found, every member is fitted once more, up to the last day before `until`, for the recent past
    teaches most.
    """

    members: tuple[Path, ...]
    seeds: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    weights: Literal["equal", "stacked"] = "stacked"
    refit: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be combined."""
        fits, weighs = (
            not told or (len(told) == len(self.members) and min(told) > 0) for told in (self.seeds, self.shares)
        )
        require(
            "combination",
            [
                (bool(self.members), "at least one member", "none"),
                (fits, f"{len(self.members)} positive counts of seeds", str(list(self.seeds))),
                (weighs, f"{len(self.members)} positive shares", str(list(self.shares))),
            ],
        )

    @property
    def fits(self) -> list[tuple[Path, int]]:
        """(configuration, place of the seed) of every fit."""
        return [(path, seed) for path, count in zip(self.members, self.counts, strict=True) for seed in range(count)]

    @property
    def counts(self) -> tuple[int, ...]:
        """How often each member is fitted."""
        return self.seeds or (1,) * len(self.members)

    @property
    def fit_shares(self) -> list[float]:
        """What each fit weighs."""
        shares = self.shares or self.counts
        return [share / count for share, count in zip(shares, self.counts, strict=True) for _ in range(count)]


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
    digest = History.open(made.data.history).digest()
    job = Job(tuple(fits), made.data.history, digest, made.data.split, made.run, made.combination)
    return fit(job, made.seed_everything, config), made.run


@dataclass(frozen=True)
class Job:
    """What is to be fitted: (configuration, seed) of each member, on which history (and its digest) and split, and where to."""

    fits: tuple[tuple[Path, int], ...]
    history: Path
    digest: str
    split: SplitSettings
    run: RunSettings
    combining: Combining
    is_last: bool = False

    def last(self, tick_s: int) -> "Job":
        """The same on nearly all that may be known."""
        days = LITTLE * tick_s / 86_400
        split = replace(
            self.split,
            validation_days=min(days, self.split.validation_days),
            calibration_days=min(days, self.split.calibration_days),
        )
        return replace(self, split=split, is_last=True)


def fit(job: Job, seed: int, told: dict[str, Any]) -> Fit:
    """Fit the members, weigh them, calibrate their average, fit them again on nearly everything, score, export and record."""
    panel = panel_of([path for path, _ in job.fits])
    prepared = PanelData(job.history, panel, job.split, seed=seed).prepared
    run = begin(job.run, prepared, told)
    write_config(job.run.home / CONFIG, told)
    with closing(run):
        members = fitted(job, run)
        require_alike(members, prepared.contract)
        weights = Weights.shared(members, prepared.contract, job.combining.fit_shares)
        if job.combining.weights == "stacked":
            weights = weighed(members, weights, prepared)
        average = Average.of(members, weights, prepared, job.run)
        verdict = average.verdict(prepared)
        if job.combining.refit:
            average = average.of_others(fitted(job.last(panel.tick_s), run), prepared.contract)
            verdict = tested(verdict, average.verdict(prepared))
        contract = msgspec.structs.replace(
            average.contract, name=job.run.name, code_version=code_version(), metrics=headlines(verdict.metrics)
        )
        artefact.write(job.run.home / ARTEFACT, average.graph(contract), contract, card(contract, 0.0))
        write_json(job.run.home / WEIGHTS, {name: part.tolist() for name, part in vars(weights).items()})
        return conclude(contract, verdict, job.run, run)


@dataclass(frozen=True)
class Average:
    """Members with their weights, the contract of their average, and the offsets of its calibration."""

    members: tuple[Member, ...]
    weights: Weights
    onsets: Onsets
    contract: Contract
    shift: NDArray[np.float32]

    @staticmethod
    def of(members: list[Member], weights: Weights, prepared: Prepared, settings: RunSettings) -> "Average":
        """The average calibrated on the calibration period."""
        contract = joined(members, prepared.contract)
        raw = predictor(combined(members, weights, contract), settings.home)
        shift, onsets = offsets(raw, prepared), foreseen(raw, prepared, contract)
        found = Average(tuple(members), weights, onsets, contract, shift)
        calibration = calibration_of(found.offline(), prepared, settings)
        return replace(found, contract=msgspec.structs.replace(contract, calibration=calibration))

    def of_others(self, members: list[Member], draft: Contract) -> "Average":
        """Other members with the same weights and calibration."""
        contract = msgspec.structs.replace(joined(members, draft), calibration=self.contract.calibration)
        return replace(self, members=tuple(members), contract=contract)

    def graph(self, contract: Contract) -> bytes:
        """The artefact's graph under a contract."""
        return with_calibration(combined(self.members, self.weights, contract, self.onsets), contract, self.shift)

    def offline(self) -> Predict:
        """The graph without online calibration as a function of windows."""
        calibration = msgspec.structs.replace(self.contract.calibration, online=msgspec.UNSET)
        contract = msgspec.structs.replace(self.contract, calibration=calibration)
        return predictor(self.graph(contract), Path(contract.name))

    def verdict(self, prepared: Prepared) -> Verdict:
        """What it would have said, and the scores of it."""
        return judge(self.offline(), prepared, self.contract.calibration)


def tested(first: Verdict, again: Verdict) -> Verdict:
    """The verdict of the first fit, whose members had not seen the validation period, and of the last one on the test."""
    seen = {name: (again if name == "test" else first).seen[name] for name in first.seen}
    metrics = {
        name: value
        for part, verdict in (("validation/", first), ("test/", again))
        for name, value in verdict.metrics.items()
        if name.startswith(part)
    }
    return Verdict(seen, metrics)


def panel_of(configs: list[Path]) -> PanelSettings:
    """What the members forecast and read together; anything but targets, families and context is that of the first."""
    panels = []
    for path in configs:
        with plainly():
            panels.append(msgspec.convert(single.read(path).get("data", {}).get("panel", {}), PanelSettings))
    return replace(
        panels[0],
        targets=tuple(dict.fromkeys(target for panel in panels for target in panel.targets)),
        families=tuple(dict.fromkeys(family for panel in panels for family in panel.families)),
        without=(),
        context=max(panel.context for panel in panels),
    )


def fitted(job: Job, parent: Run | None) -> list[Member]:
    """Every member, with its artefact beside its run."""
    members = []
    with bar("members") as progress:
        for place, (path, seed) in enumerate(job.fits):
            progress(place, len(job.fits))
            members.append(member(path, seed, job, parent))
    return members


def member(config: Path, seed: int, job: Job, parent: Run | None) -> Member:
    """A member, fitted unless it was already on the same data. It stays uncalibrated: averaged bands are wider than their parts."""
    name = f"{config.stem}-{seed}{'-last' * job.is_last}"
    division = {key: value for key, value in vars(job.split).items() if value is not None}
    overrides = (
        f"--seed_everything={seed}",
        f"--data.history={job.history}",
        *(f"--data.split.{key}={value}" for key, value in division.items()),
        f"--run.folder={job.run.home / MEMBERS}",
        f"--run.name={name}",
        "--run.calibrate=false",
        *(("--run.keep=last",) if job.is_last else ()),
    )
    out, record = job.run.home / ARTEFACTS / name, job.run.home / MEMBERS / f"{name}.json"
    key = {"key": hashlib.sha256(json.dumps([config.read_text("utf-8"), overrides, job.digest]).encode()).hexdigest()}
    if not record.is_file() or json.loads(record.read_text("utf-8")) != key or not out.is_dir():
        export_run(single.fit_single(config, (*overrides, *nested(job.run, parent))).folder, out)
        write_json(record, key)
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
    whole = Weights(np.ones_like(start.quantile[:1]), np.ones_like(start.spike[:1]))
    alone = [predictor(combined([one], whole, prepared.contract), Path(one.contract.name)) for one in members]
    answers = [answer(predict, prepared.windows, rows)[0] for predict in alone]
    return stacked(start, answers, prepared.labels.ahead[rows], prepared.contract.levels)


def foreseen(average: Predict, prepared: Prepared, contract: Contract) -> Onsets:
    """How the average's quantiles tell spikes, learnt on some of all rows before the cut, of which the latest fitted no member."""
    past = range(prepared.split.fit.start, prepared.split.calibration.stop)
    rows = prepared.trainable(past, max(1, len(past) // ONSET_ROWS))
    quantiles, _ = answer(average, prepared.windows, rows)
    labels = replace(prepared.labels, **{name: part[rows] for name, part in vars(prepared.labels).items()})
    return learnt(Onsets.unknown(contract), quantiles, prepared.windows[rows, -1], labels, contract)


def predictor(model: bytes, where: Path) -> Predict:
    """A graph as a function of windows."""
    session = artefact.load(model, where)
    return lambda windows: artefact.run(session, windows)
