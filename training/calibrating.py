"""Calibration that changes how wide forecasts are, and leaves where they are to the model.

Decided here: both sides of a band move by the same share of its width, as much as the band needed to hold as often as it says
(conformalised quantile regression, Romano, Patterson & Candès 2019, eq. 7). A few weeks tell how large errors are, but hardly
whether they are biased: correcting each level on its own takes a trend of those weeks for a bias of the model, and costs more
at the median than it gains in coverage.
"""

import numpy as np
from numpy.typing import NDArray

from models.calibration import FEWEST, SMALLEST_WIDTH, conformal_rank, fit_offsets
from training.evaluation import Predict, answer
from training.preparation import Prepared

METHOD = "split conformal, symmetric bands"


def offsets(predict: Predict, prepared: Prepared) -> NDArray[np.float32]:
    """Offsets (horizon, target, level) in widths of the forecast, from the calibration period."""
    rows = prepared.trainable(prepared.split.calibration)
    quantiles, _ = answer(predict, prepared.windows, rows)
    return band_offsets(quantiles, prepared.labels.ahead[rows], prepared.contract.levels)


def band_offsets(
    quantiles: NDArray[np.float32], truth: NDArray[np.float32], levels: tuple[float, ...]
) -> NDArray[np.float32]:
    """Offsets (horizon, target, level) to be added as quantile + offset x width; 0 where too few truths are known.

    `quantiles` (n, horizon, target, level), `truth` (n, horizon, target), NaN where unknown. Levels that do not mirror each
    other have no bands: they are corrected one by one.
    """
    if not np.allclose(np.add(levels, levels[::-1]), 1):
        return fit_offsets(quantiles, truth, np.isfinite(truth), levels)
    found = np.zeros(quantiles.shape[1:], np.float32)
    for h, t in np.ndindex(found.shape[:2]):
        known = np.isfinite(truth[:, h, t])
        if known.sum() >= FEWEST:
            found[h, t] = cell(quantiles[known, h, t].astype(np.float64), truth[known, h, t].astype(np.float64), levels)
    return found


def cell(quantiles: NDArray[np.float64], truth: NDArray[np.float64], levels: tuple[float, ...]) -> NDArray[np.float64]:
    """Offsets (level) of one horizon and target from quantiles (n, level) and truths (n)."""
    width = np.maximum(quantiles[:, -1] - quantiles[:, 0], SMALLEST_WIDTH)
    found = np.zeros(len(levels))
    for low in range(len(levels) // 2):
        high = len(levels) - 1 - low
        outside = np.maximum(quantiles[:, low] - truth, truth - quantiles[:, high]) / width
        moved = np.sort(outside)[conformal_rank(levels[high] - levels[low], len(truth))]
        found[low], found[high] = -moved, moved
    return found
