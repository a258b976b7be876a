"""Statistics of series, by their textbook definitions."""

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
TAILS = (0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999)


def mean(values: Values | NDArray[np.bool_]) -> float | None:
    """Mean, None of nothing."""
    return float(values.mean()) if len(values) else None


def kurtosis(values: Values) -> float:
    """Fourth moment over the squared second; 3 for a normal law."""
    centred = values - values.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2)


def memory(values: Values, lag: int) -> float:
    """Autocorrelation at a lag; NaN when there are fewer than two pairs or nothing varies."""
    early, late = values[:-lag] - values.mean(), values[lag:] - values.mean()
    whole = float((values - values.mean()) @ (values - values.mean()))
    return float(early @ late) / whole if len(early) > 1 and whole > 0 else math.nan


def median(values: Values) -> float:
    """Median."""
    return float(np.median(values))


def deviation(values: Values) -> float:
    """Standard deviation."""
    return float(values.std())


def tail(values: Values) -> float:
    """The 99.9 % quantile over the median."""
    return float(np.quantile(values, 0.999) / np.median(values))


def dispersion(per_s: Values, window: int) -> float:
    """Variance over mean of the counts in windows of so many seconds; 1 for a Poisson process."""
    sums = per_s[: len(per_s) // window * window].reshape(-1, window).sum(1)
    return float(sums.var() / sums.mean())


def episodes(active: NDArray[np.bool_], apart: int) -> int:
    """Number of runs of true; runs fewer than `apart` ticks apart are one."""
    places = np.flatnonzero(active)
    return int(len(places) > 0) + int(np.count_nonzero(np.diff(places) > apart))
