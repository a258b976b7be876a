"""From fitted weights to a finished run: calibrate, score, save, record.

Decided here: what a run folder holds, and that a run is recorded in MLflow once. The folder holds `model.pt` (gradient
boosting: an `artefact/`), `metrics.json`, `run.json`, `plots/`, and in `validation.npz` and `test.npz` what the model said
beside what came.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from data.contract import Calibration, Contract
from data.errors import DataError
from training import evaluation, gallery, plots
from training.bundle import Bundle, save
from training.calibrating import METHOD, offsets, online
from training.comparison import Entry, below
from training.evaluation import Answers, Hindsight, Predict, headlines
from training.online import followed, memory_begins
from training.preparation import Prepared
from training.settings import RunSettings
from training.tracking import Run, Store, environment

MODEL, METRICS, RUN, CONFIG, ARTEFACT, PLOTS = (
    "model.pt",
    "metrics.json",
    "run.json",
    "config.yaml",
    "artefact",
    "plots",
)


@dataclass(frozen=True)
class Fit:
    """A finished run: its folder, its contract, its metrics by flat name, and its MLflow run where it is tracked."""

    folder: Path
    contract: Contract
    metrics: dict[str, float]
    run_id: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What a fitted model would have said in the validation and the test period, and its metrics by flat name."""

    seen: dict[str, dict[str, Hindsight]]
    metrics: dict[str, float]


def begin(settings: RunSettings, prepared: Prepared, config: Mapping[str, object], resume: bool = False) -> Run | None:
    """Start the tracked run of a fit, or go on with the one that is resumed; none where tracking is off."""
    run_id = recorded_run(settings.home).get("run_id") if resume else None
    run = start(settings, prepared, config, run_id) if settings.track else None
    record = {"name": settings.name, "run_id": run and run.run_id, "store": str(settings.store)}
    write_json(settings.home / RUN, record)
    return run


def start(settings: RunSettings, prepared: Prepared, config: Mapping[str, object], run_id: str | None) -> Run:
    """A run that knows its data, its environment and its configuration."""
    contract, store = prepared.contract, Store(settings.store)
    resumed = None if run_id is None else store.resume(run_id)
    if resumed is not None:
        return resumed
    marks = {
        "kind": settings.kind,
        "task": contract.task,
        "tick_s": str(contract.panel.tick_s),
        "data_digest": contract.data_digest,
    }
    run = store.start(settings.experiment or contract.task, settings.name, {**marks, **environment()}, settings.parent)
    run.params(config)
    data = config.get("data")
    run.dataset(contract, Path(str(data["history"]) if isinstance(data, Mapping) else "history"))
    return run


def calibrated(bundle: Bundle, prepared: Prepared, settings: RunSettings) -> Bundle:
    """The bundle with bands that held as often as they say in the calibration period, and how they go on in use."""
    if settings.calibrate:
        bundle.served.calibrate(torch.from_numpy(offsets(predictor(bundle), prepared)))
    calibration = calibration_of(predictor(bundle), prepared, settings)
    return bundle.told(msgspec.structs.replace(bundle.contract, calibration=calibration))


def calibration_of(predict: Predict, prepared: Prepared, settings: RunSettings) -> Calibration:
    """What the contract says of a calibration that has just been made; `predict` answers as it leaves the model."""
    if not settings.calibrate:
        return Calibration("none")
    made = Calibration(METHOD, prepared.window(prepared.split.calibration))
    return msgspec.structs.replace(made, online=online(predict, prepared)) if settings.online else made


def predictor(bundle: Bundle) -> Predict:
    """The bundle's model as a function of windows."""
    served = bundle.served.eval()

    def predict(windows: NDArray[np.float32]) -> Answers:
        with torch.inference_mode():
            quantiles, spike = served(torch.from_numpy(np.ascontiguousarray(windows)))
        return quantiles.numpy(), spike.numpy()

    return predict


def judge(predict: Predict, prepared: Prepared, calibration: Calibration | None = None) -> Verdict:
    """Ask the model at every row of the validation and test periods and score what it says.

    `predict` answers as the offline calibration leaves it; where calibration goes on online, what it would have issued is
    scored.
    """
    contract = msgspec.structs.replace(prepared.contract, calibration=calibration or prepared.contract.calibration)
    parts = {"validation": (prepared.split.validation, 1), "test": (prepared.split.test, prepared.test_stride)}
    seen: dict[str, dict[str, Hindsight]] = {}
    metrics: dict[str, float] = {}
    for name, (part, stride) in parts.items():
        rows = prepared.trainable(part, stride)
        if len(rows):
            answers = issued(predict, prepared, contract, rows)
            seen[name] = evaluation.hindsight(prepared, rows, answers)
            scores = evaluation.score(seen[name], prepared.contract.levels)
            metrics |= evaluation.flat(scores, prepared.contract.levels, name)
    return Verdict(seen, metrics)


def issued(predict: Predict, prepared: Prepared, contract: Contract, rows: NDArray[np.int64]) -> Answers:
    """What the model would have issued at some rows, with the memory of the ticks before them where it has one."""
    if contract.online is None:
        return evaluation.answer(predict, prepared.windows, rows)
    ticks, tick_s = prepared.rows.ticks, contract.panel.tick_s
    begin = max(int(memory_begins(float(ticks[rows[0]]), tick_s) - ticks[0]) // tick_s, 0)
    span = np.arange(begin, rows[-1] + 1)
    quantiles, spike = evaluation.answer(predict, prepared.windows, span)
    quantiles = followed(contract, ticks[span], quantiles, prepared.windows[begin : rows[-1] + 1])
    return quantiles[rows - begin], spike[rows - begin]


def finish(bundle: Bundle, prepared: Prepared, settings: RunSettings, run: Run | None) -> Fit:
    """Calibrate, score, save and record a fitted network."""
    bundle = calibrated(bundle, prepared, settings)
    verdict = judge(predictor(bundle), prepared, bundle.contract.calibration)
    bundle = bundle.told(
        msgspec.structs.replace(bundle.contract, name=settings.name, metrics=headlines(verdict.metrics))
    )
    save(bundle, settings.home / MODEL)
    return conclude(bundle.contract, verdict, settings, run)


def conclude(contract: Contract, verdict: Verdict, settings: RunSettings, run: Run | None) -> Fit:
    """Write metrics and plots into the run folder, and record the whole folder."""
    home = settings.home
    for name, seen in verdict.seen.items():
        for target, found in seen.items():
            middle = len(contract.horizons) // 2 - 1 if len(contract.horizons) > 1 else 0
            ahead = contract.horizons[middle] * contract.panel.tick_s
            title = f"{settings.name}: {target}, {ahead} s ahead ({name})"
            plots.fan(found.issued, middle, title, home / PLOTS / f"{name}-{target}.png")
        evaluation.save(seen, home / f"{name}.npz")
    if run is not None and settings.kind == "fit":  # a fold or a trial is seen in its parent
        draw(contract, verdict, settings)
    write_json(home / METRICS, verdict.metrics)
    if run is not None:
        run.metrics(verdict.metrics)
        run.tags({"contract_digest": contract.digest, "architecture": contract.architecture})
        for path in sorted(home.iterdir()):
            if path.name in (MODEL, METRICS, CONFIG, ARTEFACT, PLOTS) or path.suffix == ".npz":
                run.file(path, path.name if path.is_dir() else None)
        run.text("contract.json", msgspec.json.format(msgspec.json.encode(contract)).decode())
    return Fit(home, contract, verdict.metrics, None if run is None else run.run_id)


def draw(contract: Contract, verdict: Verdict, settings: RunSettings) -> None:
    """Draw what a comparison draws, of this run alone and of its last period."""
    for part, seen in list(verdict.seen.items())[-1:]:
        entries = [
            Entry(
                settings.name,
                "fit",
                name,
                part,
                below(verdict.metrics, f"{part}/{name}/"),
                "",
                contract.panel.tick_s,
                "",
            )
            for name in seen
        ]
        gallery.draw(entries, {("", name): one for name, one in seen.items()}, settings.home / PLOTS)


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a small JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", "utf-8")
    partial.replace(path)


def recorded_run(folder: Path) -> dict[str, str | None]:
    """What `run.json` of a run folder says; empty when there is none. Raises DataError when it is garbled."""
    path = folder / RUN
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str | None])
    except msgspec.MsgspecError as error:
        raise DataError(str(path), expected="a run's record", found=str(error), remedy="train again") from error
