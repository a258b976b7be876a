"""What a fitted model would have said at past issue times, beside what came true, and the scores of it.

Decided here: how answers, labels and thresholds are brought together, and the flat names under which scores are recorded:
PART/TARGET/SCORE, with /hNN for a horizon and /qLEVEL for a level.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data.contract import Contract
from data.panel import Labels, Rows
from training.alarms import AlarmScore, Onsets, score_alarms
from training.metrics import Issued, QuantileScore, persistence, score_quantiles

Answers = tuple[NDArray[np.float32], NDArray[np.float32]]
Predict = Callable[[NDArray[np.float32]], Answers]

BATCH = 512
HEADLINES = ("skill", "loss", "reference_loss", "coverage", "pr_auc", "base_rate")


class Known(Protocol):
    """What is known of a past: rows, their labels, and the residual quantiles (horizon, target, level) of persistence."""

    @property
    def contract(self) -> Contract:
        """What the model reads and says."""

    @property
    def rows(self) -> Rows:
        """Features by tick."""

    @property
    def labels(self) -> Labels:
        """The truth for each row."""

    @property
    def reference(self) -> NDArray[np.float64]:
        """Residual quantiles."""


@dataclass(frozen=True)
class Hindsight:
    """One target's forecasts beside the truth: quantiles, and spike probabilities where the target has spikes."""

    issued: Issued
    onsets: Onsets | None


@dataclass(frozen=True)
class TargetScore:
    """Scores of one target; none where nothing could be scored."""

    quantiles: QuantileScore | None
    alarms: AlarmScore | None


def answer(predict: Predict, windows: NDArray[np.float32], rows: NDArray[np.int64]) -> Answers:
    """Quantiles (n, horizon, target, level) and spike probabilities (n, horizon, target) at some rows' windows."""
    parts = [predict(windows[rows[start : start + BATCH]]) for start in range(0, len(rows), BATCH)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def hindsight(prepared: Known, rows: NDArray[np.int64], answers: Answers) -> dict[str, Hindsight]:
    """Answers given at some rows beside the truth, by target."""
    quantiles, spike = answers
    contract, labels = prepared.contract, prepared.labels
    ticks, found = prepared.rows.ticks[rows], {}
    for place, target in enumerate(contract.targets):
        value = labels.value[rows, place].astype(np.float64)
        issued = Issued(
            issued_s=ticks,
            value=value,
            truth=labels.ahead[rows, :, place].astype(np.float64),
            quantiles=quantiles[:, :, place].astype(np.float64),
            reference=persistence(value, prepared.reference[:, place]),
        )
        has_spikes = target.threshold is not None
        found[target.name] = Hindsight(
            issued, onsets(prepared, rows, spike[:, -1, place], place) if has_spikes else None
        )
    return found


def onsets(prepared: Known, rows: NDArray[np.int64], probability: NDArray[np.float32], place: int) -> Onsets:
    """The issue rows at risk of a spike, with what their hour held."""
    contract, labels = prepared.contract, prepared.labels
    threshold = contract.targets[place].threshold
    if threshold is None:
        raise ValueError(f"expected a target with spikes, found {contract.targets[place].name}")
    reach, tick_s = contract.horizons[-1], contract.panel.tick_s
    over = labels.value[:, place] > prepared.rows.column(threshold)
    recent = np.convolve(over, np.ones(reach), "full")[: len(over)] > 0.5
    crossed = labels.crossed[rows, :, place] > 0
    steps = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, 0)
    kept = labels.at_risk[rows, place] & labels.known[rows, -1, place] & np.isfinite(probability)
    ticks = prepared.rows.ticks[rows] // tick_s
    return Onsets(ticks[kept], steps[kept], ~recent[rows][kept], probability[kept].astype(np.float64), tick_s, reach)


def score(found: Mapping[str, Hindsight], levels: tuple[float, ...]) -> dict[str, TargetScore]:
    """Scores by target."""
    return {
        name: TargetScore(
            score_quantiles(seen.issued, levels), None if seen.onsets is None else score_alarms(seen.onsets)
        )
        for name, seen in found.items()
    }


def joined(parts: list[dict[str, Hindsight]]) -> dict[str, Hindsight]:
    """Several periods in time order as one."""
    return {name: joined_target([part[name] for part in parts]) for name in parts[0]}


def joined_target(parts: list[Hindsight]) -> Hindsight:
    """Several periods of one target as one. Raises ValueError when they overlap or are out of order."""
    issued = [part.issued for part in parts]
    if any(a.issued_s[-1] >= b.issued_s[0] for a, b in pairwise(issued)):
        raise ValueError("expected periods in time order that do not overlap")
    onsets = [part.onsets for part in parts if part.onsets is not None]
    return Hindsight(
        Issued(
            np.concatenate([part.issued_s for part in issued]),
            np.concatenate([part.value for part in issued]),
            np.concatenate([part.truth for part in issued]),
            np.concatenate([part.quantiles for part in issued]),
            np.concatenate([part.reference for part in issued]),
        ),
        Onsets(
            np.concatenate([part.tick for part in onsets]),
            np.concatenate([part.steps for part in onsets]),
            np.concatenate([part.fresh for part in onsets]),
            np.concatenate([part.probability for part in onsets]),
            onsets[0].tick_s,
            onsets[0].reach,
        )
        if onsets
        else None,
    )


def flat(scores: Mapping[str, TargetScore], levels: tuple[float, ...], part: str) -> dict[str, float]:
    """Scores as the metrics of a run; those that are not defined are left out."""
    values: dict[str, float | None] = {}
    for name, found in scores.items():
        where = f"{part}/{name}"
        if found.quantiles is not None:
            values |= {f"{where}/{key}": value for key, value in quantile_values(found.quantiles, levels).items()}
        if found.alarms is not None:
            values |= {f"{where}/{key}": value for key, value in alarm_values(found.alarms).items()}
    return {key: value for key, value in values.items() if value is not None and math.isfinite(value)}


def quantile_values(found: QuantileScore, levels: tuple[float, ...]) -> dict[str, float | None]:
    """Quantile scores by flat name."""
    low, high = found.skill_interval or (None, None)
    return {
        "issues": found.issues,
        "skill": found.skill,
        "skill_low": low,
        "skill_high": high,
        "loss": found.loss,
        "reference_loss": found.reference_loss,
        "coverage": found.coverage,
        "width": found.width,
        "interval_score": found.interval_score,
        "crossing": found.crossing,
        **{f"skill/h{place + 1:02}": value for place, value in enumerate(found.skill_by_horizon)},
        **{f"reached/q{level:g}": value for level, value in zip(levels, found.reached, strict=True)},
    }


def alarm_values(found: AlarmScore) -> dict[str, float | None]:
    """Alarm scores by flat name."""
    low, high = found.pr_auc_interval or (None, None)
    return {
        "pr_auc": found.pr_auc,
        "pr_auc_low": low,
        "pr_auc_high": high,
        "base_rate": found.base_rate,
        "brier": found.brier,
        "episodes": found.episodes,
        "recall": found.recall,
        "recall_lead": found.recall_lead,
        "median_lead_s": found.median_lead_s,
    }


def headlines(metrics: Mapping[str, float]) -> dict[str, float]:
    """The few metrics that travel with a contract."""
    return {name: value for name, value in metrics.items() if name.rpartition("/")[2] in HEADLINES}


def save(found: Mapping[str, Hindsight], path: Path) -> None:
    """Write forecasts beside the truth as one compressed file of plain arrays, whole or not at all."""
    columns: dict[str, NDArray[Any]] = {}
    for name, seen in found.items():
        columns |= {f"{name}/issued/{key}": value for key, value in vars(seen.issued).items()}
        if seen.onsets is not None:
            columns |= {f"{name}/onsets/{key}": np.asarray(value) for key, value in vars(seen.onsets).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        np.savez_compressed(file, **{key: narrow(value) for key, value in columns.items()})  # type: ignore[arg-type]
    partial.replace(path)


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Single precision is all that a graph answers."""
    return values.astype(np.float32) if values.dtype == np.float64 else values


def restore(path: Path) -> dict[str, Hindsight]:
    """The inverse of `save`."""
    columns: dict[str, dict[str, dict[str, Any]]] = {}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            name, part, column = key.split("/")
            value = file[key]
            wide = value.astype(np.float64) if value.dtype == np.float32 else value
            columns.setdefault(name, {}).setdefault(part, {})[column] = wide if value.ndim else int(value)
    return {
        name: Hindsight(Issued(**parts["issued"]), Onsets(**parts["onsets"]) if "onsets" in parts else None)
        for name, parts in columns.items()
    }
