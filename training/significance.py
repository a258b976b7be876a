"""Whether one forecast is better than another on the same issue times: paired bootstrap over days, and Diebold-Mariano.

Decided here: forecasts are compared only where both and the truth are known, at the horizons and levels that both have; the
loss of an issue time is its mean pinball loss, and a gain is a difference of skills against one reference. Days are resampled
whole, because errors within a day go together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from training.metrics import FEWEST_DAYS, INTERVAL, Issued, day_draws, day_sums, pinball, skill_gain

Array = NDArray[np.float64]
SAME = 1e-4  # single precision of what is kept with a run


@dataclass(frozen=True)
class Paired:
    """Losses (n,) of two forecasts and of the reference of the second at the same issue times (n,) in epoch seconds."""

    issued_s: NDArray[np.int64]
    first: Array
    second: Array
    reference: Array
    horizons: int


@dataclass(frozen=True)
class Difference:
    """Skill of the first forecast minus that of the second (positive: the first is better) over `days` UTC days.

    `interval` (90 %) and two-sided `p` come from resampled days, none for fewer than 5; `statistic` and `dm_p` are
    Diebold-Mariano's, none where the losses are equal throughout.
    """

    issues: int
    days: int
    gain: float
    interval: tuple[float, float] | None
    p: float | None
    statistic: float | None
    dm_p: float | None

    @property
    def better(self) -> bool:
        """Whether the interval lies above zero."""
        return self.interval is not None and self.interval[0] > 0

    @property
    def worse(self) -> bool:
        """Whether the interval lies below zero."""
        return self.interval is not None and self.interval[1] < 0


def pair(first: Issued, second: Issued, levels: tuple[tuple[float, ...], tuple[float, ...]]) -> Paired | None:
    """Losses at shared issue times; none where there is no such time, or the truths differ, so that it is another question."""
    a, b = first.complete(), second.complete()
    _, at, other = np.intersect1d(a.issued_s, b.issued_s, assume_unique=True, return_indices=True)
    shared = tuple(level for level in levels[0] if level in levels[1])
    horizons = min(a.truth.shape[1], b.truth.shape[1])
    truth = b.truth[other, :horizons]
    if not len(at) or not shared or not np.allclose(a.truth[at, :horizons], truth, rtol=SAME, atol=SAME):
        return None
    places = [[known.index(level) for level in shared] for known in levels]

    def loss(quantiles: Array, columns: list[int]) -> Array:
        return np.asarray(pinball(truth, quantiles[:, :horizons][..., columns], shared).mean(axis=(1, 2)))

    parts = (
        loss(a.quantiles[at], places[0]),
        loss(b.quantiles[other], places[1]),
        loss(b.reference[other], places[1]),
    )
    return Paired(a.issued_s[at], *parts, horizons)


def averaged(pairs: Sequence[Paired]) -> Paired:
    """Several forecasts of one kind, such as those of several seeds, against the same other: the mean of their losses.

    Raises ValueError when they were not issued at the same times.
    """
    if any(not np.array_equal(one.issued_s, pairs[0].issued_s) for one in pairs):
        raise ValueError("expected the same issue times of every seed")
    return replace(pairs[0], first=np.mean([one.first for one in pairs], axis=0))


def difference(paired: Paired) -> Difference:
    """Compare two forecasts."""
    sums = day_sums(paired.issued_s, paired.first, paired.second, paired.reference)
    interval, p = None, None
    if len(sums) >= FEWEST_DAYS:
        draws = day_draws(sums, skill_gain)
        low, high = np.quantile(draws, INTERVAL)
        tail = min((draws <= 0).sum(), (draws >= 0).sum())
        interval, p = (float(low), float(high)), float(min(1.0, 2 * (tail + 1) / (len(draws) + 1)))
    gain = float(skill_gain(sums.sum(axis=0)))
    statistic, dm_p = diebold_mariano(paired.second - paired.first, paired.horizons)
    return Difference(len(paired.issued_s), len(sums), gain, interval, p, statistic, dm_p)


def diebold_mariano(gain: Array, horizon: int) -> tuple[float | None, float | None]:
    """(statistic, two-sided p) of the hypothesis that losses are equal, from their differences (n,) in time order.

    Diebold, Mariano 1995 with the small-sample factor and t distribution of Harvey, Leybourne, Newbold 1997. The variance is
    that of Newey, West 1987: Bartlett weights up to horizon − 1 or 4 (n / 100)^(2/9) lags, whichever reaches further.
    """
    count = len(gain)
    lags = min(max(horizon - 1, int(4 * (count / 100) ** (2 / 9))), count - 1)
    centred = gain - gain.mean()
    autocovariance = np.array([(centred[lag:] * centred[: count - lag]).sum() / count for lag in range(lags + 1)])
    bartlett = 1 - np.arange(1, lags + 1) / (lags + 1)
    variance = (autocovariance[0] + 2 * (bartlett * autocovariance[1:]).sum()) / count
    if count < 2 or variance <= 0:
        return None, None
    factor = max(0.0, count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count
    statistic = float(gain.mean() / np.sqrt(variance) * np.sqrt(factor))
    return statistic, float(2 * stats.t.sf(abs(statistic), count - 1))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """The p values raised for being several (Holm 1979), none staying none."""
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    raised: list[float | None] = [None] * len(p)
    highest = 0.0
    for rank, (value, place) in enumerate(known):
        highest = max(highest, min(1.0, value * (len(known) - rank)))
        raised[place] = highest
    return raised
