"""How good quantile forecasts are: pinball loss against persistence, coverage, width, sharpness, with intervals.

Decided here: the definitions. The reference forecast is the last known value plus the empirical quantiles of
value(T + h) - value(T) seen before the training cut; skill = 1 - loss / loss of that reference on the same issue times.
Intervals resample whole UTC days, because errors within a day go together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DAY_S = 86_400
RESAMPLES, FEWEST_DAYS = 2_000, 5
INTERVAL = (0.05, 0.95)


@dataclass(frozen=True)
class Issued:
    """Forecasts of one target beside what came true, in the target's unit; NaN is unknown.

    `issued_s` (n,) epoch seconds, `value` (n,) at the issue tick, `truth` (n, horizon), `quantiles` and `reference`
    (n, horizon, level).
    """

    issued_s: NDArray[np.int64]
    value: Array
    truth: Array
    quantiles: Array
    reference: Array

    def complete(self) -> "Issued":
        """Keep the issue times whose value, truths and forecasts are all known."""
        kept = np.isfinite(self.value) & np.isfinite(self.truth).all(axis=1)
        kept &= np.isfinite(self.quantiles).all(axis=(1, 2))
        return Issued(
            self.issued_s[kept], self.value[kept], self.truth[kept], self.quantiles[kept], self.reference[kept]
        )


@dataclass(frozen=True)
class QuantileScore:
    """Scores over `issues` issue times on `days` UTC days; losses and widths in the target's unit.

    `skill_by_horizon` holds the skill at each horizon, `reached` the share of truths at or below each level's quantile
    (equal to the level when calibrated); `coverage` and `width` belong to the band between the outermost levels,
    `interval_score` is width + 2/alpha x the distance outside it, `crossing` the share of horizons out of order.
    """

    issues: int
    days: int
    loss: float
    reference_loss: float
    skill: float
    skill_interval: tuple[float, float] | None
    skill_by_horizon: tuple[float, ...]
    coverage: float
    width: float
    interval_score: float
    crossing: float
    reached: tuple[float, ...]


def pinball(truth: Array, quantiles: Array, levels: tuple[float, ...]) -> Array:
    """Quantile loss max(q (y - x), (q - 1)(y - x)) (Koenker, Bassett 1978): truth (..., h), quantiles (..., h, level)."""
    level = np.asarray(levels)
    error = truth[..., None] - quantiles
    return np.asarray(np.maximum(level * error, (level - 1) * error))


def residual_quantiles(value: Array, truth: Array, levels: tuple[float, ...]) -> Array:
    """(horizon, level) empirical quantiles of truth (n, horizon) - value (n,) over known pairs; NaN if there is none."""
    residuals = truth - value[:, None]
    columns = [column[np.isfinite(column)] for column in residuals.T]
    return np.stack([np.quantile(c, levels) if len(c) else np.full(len(levels), np.nan) for c in columns])


def persistence(value: Array, residuals: Array) -> Array:
    """(n, horizon, level): the last known value plus the residual quantiles."""
    return np.asarray(value[:, None, None] + residuals)


def day_sums(issued_s: NDArray[np.int64], *columns: Array) -> Array:
    """(days, columns) sums by the UTC day of the issue time."""
    _, day = np.unique(issued_s // DAY_S, return_inverse=True)
    return np.stack([np.bincount(day, weights=column) for column in columns], axis=1)


def day_interval(sums: Array, statistic: Callable[[Array], Array]) -> tuple[float, float] | None:
    """90 % interval of a statistic of the columns' totals over resampled days; none for fewer than 5 days."""
    if len(sums) < FEWEST_DAYS:
        return None
    low, high = np.quantile(day_draws(sums, statistic), INTERVAL)
    return float(low), float(high)


def day_draws(sums: Array, statistic: Callable[[Array], Array]) -> Array:
    """(draws,) of a statistic of the columns' totals over resampled days; seed 0."""
    weights = np.random.default_rng(0).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), RESAMPLES)
    return statistic(weights @ sums)


def skill(totals: Array) -> Array:
    """1 - loss / reference loss from totals (..., 2)."""
    return np.asarray(1 - totals[..., 0] / totals[..., 1])


def skill_gain(totals: Array) -> Array:
    """Skill of the first forecast minus that of the second, from totals (..., 3): both losses and the reference's."""
    return np.asarray((totals[..., 1] - totals[..., 0]) / totals[..., 2])


def score_quantiles(issued: Issued, levels: tuple[float, ...]) -> QuantileScore | None:
    """Score the issue times that are complete; none when there is no such time."""
    known = issued.complete()
    if not len(known.issued_s):
        return None
    loss = pinball(known.truth, known.quantiles, levels)
    base = pinball(known.truth, known.reference, levels)
    sums = day_sums(known.issued_s, loss.mean(axis=(1, 2)), base.mean(axis=(1, 2)))
    by_horizon = skill(np.stack([loss.mean(axis=(0, 2)), base.mean(axis=(0, 2))], axis=-1))
    low, high = known.quantiles[..., 0], known.quantiles[..., -1]
    outside = np.maximum(low - known.truth, 0) + np.maximum(known.truth - high, 0)
    penalty = 2 / (1 - (levels[-1] - levels[0]))
    return QuantileScore(
        issues=len(known.issued_s),
        days=len(sums),
        loss=float(loss.mean()),
        reference_loss=float(base.mean()),
        skill=float(skill(sums.sum(axis=0))),
        skill_interval=day_interval(sums, skill),
        skill_by_horizon=tuple(by_horizon.tolist()),
        coverage=float((outside == 0).mean()),
        width=float((high - low).mean()),
        interval_score=float((high - low + penalty * outside).mean()),
        crossing=float((np.diff(known.quantiles, axis=2) < 0).any(axis=2).mean()),
        reached=tuple((known.truth[..., None] <= known.quantiles).mean(axis=(0, 1)).tolist()),
    )
