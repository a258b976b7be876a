"""Whether a live period still resembles what a model learnt from: its inputs, its errors, and what is missing.

Decided here: inputs are compared with the contract's training window by the population stability index over tenths of that
window and by the Kolmogorov-Smirnov distance (without a p value, for ticks are not independent); errors with the nominal
coverage and with the loss that the contract recorded; the calendar is left out, because it is known.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from data import panel
from data.contract import Contract, Window
from data.errors import DataError
from data.features import registry
from data.history import History
from training.artefact import Artefact
from training.evaluation import Hindsight
from training.judging import judge
from training.metrics import DAY_S, pinball
from training.settings import instant

BINS = 10
FEWEST = 100  # known values of a feature, on either side, below which its distribution is not compared
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Bounds:
    """Limits: index and distance of a feature, rise of its missing share, distance of coverage, loss over the promised one."""

    psi: float = 0.25
    ks: float = 0.3
    missing: float = 0.05
    coverage: float = 0.07
    loss: float = 1.5


@dataclass(frozen=True)
class FeatureDrift:
    """One input: index and distance (none where too little is known), and the share that is missing then and now."""

    name: str
    unit: str
    psi: float | None
    ks: float | None
    missing_then: float
    missing_now: float


@dataclass(frozen=True)
class Day:
    """Errors of one UTC day."""

    day: str
    issues: int
    coverage: float
    loss: float


@dataclass(frozen=True)
class TargetDrift:
    """Errors of one target over the period and by day; `promised_loss` is none where the contract recorded none."""

    name: str
    issues: int
    coverage: float
    nominal: float
    loss: float
    promised_loss: float | None
    days: tuple[Day, ...]


@dataclass(frozen=True)
class Drift:
    """What was found in [since, until) against the training window, and why it is beyond the limits (empty: it is not)."""

    model: str
    contract_digest: str
    training: Window
    live: Window
    features: tuple[FeatureDrift, ...]
    targets: tuple[TargetDrift, ...]
    reasons: tuple[str, ...]


def drift(
    artefact: Artefact, then: History, now: History, span: tuple[dt.datetime, dt.datetime], bounds: Bounds
) -> Drift:
    """Compare a live period of `now` with the training window in `then`.

    Raises DataError when either history lacks its period, or the model was fitted or calibrated on the live one.
    """
    contract = artefact.contract
    seen = judge(artefact, now, *span)
    learnt = (instant(contract.training.since), instant(contract.training.until))
    found = tuple(features(contract, rows(contract, then, learnt), rows(contract, now, span)))
    errors = tuple(one for one in (errors_of(name, one, contract) for name, one in seen.items()) if one is not None)
    live = Window(*(time.isoformat() for time in span))
    reasons = (*feature_reasons(found, bounds), *target_reasons(errors, bounds))
    return Drift(contract.name, contract.digest, contract.training, live, found, errors, reasons)


def rows(contract: Contract, history: History, span: tuple[dt.datetime, dt.datetime]) -> panel.Rows:
    """Rows of a period. Raises DataError when there are none."""
    found = panel.build(history, contract.panel, contract.feature_names, *span)
    if not np.isfinite(found.matrix).any():
        raise DataError(
            history.where,
            expected=f"values between {span[0]} and {span[1]}",
            found="none",
            remedy="name the history that the model learnt from with --training",
        )
    return found


def features(contract: Contract, then: panel.Rows, now: panel.Rows) -> list[FeatureDrift]:
    """Every input but the calendar, the most changed first."""
    known = {feature.name for feature in registry.describe(("calendar",), contract.panel)}
    found = []
    for place, feature in enumerate(contract.features):
        if feature.name not in known:
            before, after = (one.matrix[:, place].astype(np.float64) for one in (then, now))
            found.append(compared(feature.name, feature.unit, before, after))
    return sorted(found, key=lambda one: -(one.psi or 0.0))


def compared(name: str, unit: str, before: Values, after: Values) -> FeatureDrift:
    """One input, from its values on both sides; NaN is missing."""
    a, b = before[np.isfinite(before)], after[np.isfinite(after)]
    missing = (1 - len(a) / max(1, len(before)), 1 - len(b) / max(1, len(after)))
    if min(len(a), len(b)) < FEWEST:
        return FeatureDrift(name, unit, None, None, *missing)
    return FeatureDrift(name, unit, stability(a, b), float(stats.ks_2samp(a, b).statistic), *missing)


def stability(before: Values, after: Values) -> float:
    """Population stability index: sum over tenths of `before` of (q − p) ln(q / p), shares counted from one half up."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1], method="inverted_cdf"))
    edges = edges[edges < before.max()]
    shares = []
    for values in (before, after):
        counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1) + 0.5
        shares.append(counts / counts.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def errors_of(name: str, seen: Hindsight, contract: Contract) -> TargetDrift | None:
    """Errors of a target; none where no issue time is complete."""
    known = seen.issued.complete()
    if not len(known.issued_s):
        return None
    loss = pinball(known.truth, known.quantiles, contract.levels).mean(axis=(1, 2))
    inside = (known.truth >= known.quantiles[..., 0]) & (known.truth <= known.quantiles[..., -1])
    covered = inside.mean(axis=1)
    day = known.issued_s // DAY_S
    days = tuple(
        Day(
            dt.datetime.fromtimestamp(one * DAY_S, dt.UTC).date().isoformat(),
            int((day == one).sum()),
            float(covered[day == one].mean()),
            float(loss[day == one].mean()),
        )
        for one in np.unique(day).tolist()
    )
    nominal = contract.levels[-1] - contract.levels[0]
    return TargetDrift(
        name, len(day), float(covered.mean()), nominal, float(loss.mean()), promised(contract.metrics, name), days
    )


def promised(metrics: Mapping[str, float], target: str) -> float | None:
    """The loss that a contract recorded, of its test period where it had one."""
    return metrics.get(f"test/{target}/loss", metrics.get(f"validation/{target}/loss"))


def feature_reasons(found: tuple[FeatureDrift, ...], bounds: Bounds) -> list[str]:
    """Inputs beyond the limits."""
    reasons = []
    for one in found:
        if one.psi is not None and one.psi > bounds.psi:
            reasons.append(f"{one.name}: stability index {one.psi:.2f}, limit {bounds.psi:g}")
        if one.ks is not None and one.ks > bounds.ks:
            reasons.append(f"{one.name}: distance of distributions {one.ks:.2f}, limit {bounds.ks:g}")
        if one.missing_now - one.missing_then > bounds.missing:
            reasons.append(f"{one.name}: {one.missing_now:.0%} missing, {one.missing_then:.0%} in training")
    return reasons


def target_reasons(found: tuple[TargetDrift, ...], bounds: Bounds) -> list[str]:
    """Errors beyond the limits."""
    reasons = []
    for one in found:
        if abs(one.coverage - one.nominal) > bounds.coverage:
            reasons.append(
                f"{one.name}: coverage {one.coverage:.3f}, {one.nominal:g} promised, limit ±{bounds.coverage:g}"
            )
        if one.promised_loss is not None and one.loss > bounds.loss * one.promised_loss:
            times = one.loss / one.promised_loss
            reasons.append(f"{one.name}: loss {times:.2f} times the promised one, limit {bounds.loss:g}")
    return reasons
