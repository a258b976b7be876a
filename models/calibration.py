"""Split-conformal calibration: move each quantile so that it held as often as it says on rows the model was not fitted to.

One-sided for each level, horizon and target (conformalised quantile regression, Romano, Patterson & Candès 2019), with the
distance measured in the forecast's own width, so that calm and wild hours are corrected in proportion.
"""

import math

import numpy as np
from numpy.typing import NDArray

FEWEST = 50  # outcomes below which an empirical quantile says less than the model does
SMALLEST_WIDTH = 1e-6


def fit_offsets(
    quantiles: NDArray[np.float32], truth: NDArray[np.float32], known: NDArray[np.bool_], levels: tuple[float, ...]
) -> NDArray[np.float32]:
    """Offsets (horizon, target, level) in widths, to be added as `quantile + offset × width`; 0 where under FEWEST are known.

    `quantiles` (n, horizon, target, level) and `truth` (n, horizon, target) in target units, `known` (n, horizon, target).
    """
    _, horizons, targets, count = quantiles.shape
    offsets = np.zeros((horizons, targets, count), np.float32)
    for h, t in np.ndindex(horizons, targets):
        kept = known[:, h, t]
        if kept.sum() >= FEWEST:
            offsets[h, t] = cell_offsets(quantiles[kept, h, t], truth[kept, h, t], levels)
    return offsets


def cell_offsets(
    quantiles: NDArray[np.float32], truth: NDArray[np.float32], levels: tuple[float, ...]
) -> NDArray[np.float64]:
    """Offsets (level) from one horizon's and target's known outcomes: `quantiles` (n, level), `truth` (n)."""
    width = np.maximum(quantiles[:, -1] - quantiles[:, 0], SMALLEST_WIDTH).astype(np.float64)
    scores = np.sort((truth[:, None].astype(np.float64) - quantiles) / width[:, None], axis=0)
    ranks = [conformal_rank(level, len(scores)) for level in levels]
    return scores[ranks, np.arange(len(levels))]


def conformal_rank(level: float, count: int) -> int:
    """Index into `count` ascending scores: ⌈(n + 1) level⌉ above the median, ⌊(n + 1) level⌋ below, counted from one."""
    place = (count + 1) * level
    rank = math.ceil(place - 1e-9) if level >= 0.5 else math.floor(place + 1e-9)
    return min(max(rank, 1), count) - 1
