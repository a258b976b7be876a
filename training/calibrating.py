"""Calibration that changes how wide forecasts are, and leaves where they are to the model.

Decided here: both sides of a band move by the same share of its width, as much as the band needed to hold as often as it says
(conformalised quantile regression, Romano, Patterson & Candès 2019, eq. 7). A few weeks tell how large errors are, but hardly
whether they are biased: correcting each level on its own takes a trend of those weeks for a bias of the model, and costs more
at the median than it gains in coverage. What lasts longer is learnt in use (`training.online`), at the fastest rate that the
calibration period does not punish: a fast rate makes up for a change of regime sooner, and costs a little in calm.
"""

from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from data.contract import Online
from data.online import Layout
from models.calibration import FEWEST, SMALLEST_WIDTH, conformal_rank, fit_offsets
from training.evaluation import Predict, answer
from training.metrics import pinball
from training.online import Tracking
from training.preparation import Prepared

METHOD = "split conformal, symmetric bands"
RATES = (0.002, 0.003, 0.004, 0.006)  # widths of the band a miss
SLACK = 0.0025  # of the loss at the best rate, for which a faster one is had
RECENT, USUAL = 6, 240  # half-lives, in longest horizons: 6 hours and 10 days where forecasts reach an hour
NEAR = 0.05  # widths around a level within which outcomes tell how fast it is made up for


def offsets(predict: Predict, prepared: Prepared) -> NDArray[np.float32]:
    """Offsets (horizon, target, level) in widths of the forecast, from the calibration period."""
    rows = prepared.trainable(prepared.split.calibration)
    quantiles, _ = answer(predict, prepared.windows, rows)
    return band_offsets(quantiles, prepared.labels.ahead[rows], prepared.contract.levels)


def online(predict: Predict, prepared: Prepared) -> Online:
    """How calibration should go on in use: for each target the fastest rate whose loss in the calibration period is good.

    `predict` answers as the offline calibration leaves it. A forecast counts where its outcome is known.
    """
    contract, labels = prepared.contract, prepared.labels
    part = prepared.split.calibration
    rows = np.arange(part.start, part.stop)
    reach = contract.horizons[-1]
    many = len(RATES)
    draft = Online(RATES[:1], (1,), RECENT * reach, USUAL * reach)
    tracking = replace(
        Tracking.made(Layout.of(contract), contract.levels, draft),
        rate=np.array(RATES, np.float32)[:, None, None, None],
    )
    quantiles, _ = answer(predict, prepared.windows, rows)
    issued, _ = tracking.follow(
        tracking.layout.blank(many),
        np.broadcast_to(quantiles[:, None], (len(rows), many, *quantiles.shape[1:])),
        np.broadcast_to(labels.value[rows][:, None], (len(rows), many, len(contract.targets))),
    )
    truth = labels.ahead[rows].astype(np.float64)
    rates = tuple(
        chosen(issued[:, :, :, place], truth[:, :, place], contract.levels) for place in range(truth.shape[2])
    )
    speeds = (speed(quantiles[:, :, place], truth[:, :, place]) for place in range(truth.shape[2]))
    half_lives = tuple(round(np.log(2) / (rate * fall)) for rate, fall in zip(rates, speeds, strict=True))
    return msgspec.structs.replace(draft, rates=rates, half_life_ticks=half_lives, window=prepared.window(part))


def chosen(issued: NDArray[np.float32], truth: NDArray[np.float64], levels: tuple[float, ...]) -> float:
    """The rate for one target, from quantiles (n, rate, horizon, level) and truths (n, horizon)."""
    losses = [
        float(np.nanmean(pinball(truth, issued[:, place].astype(np.float64), levels))) for place in range(len(RATES))
    ]
    return max(rate for rate, loss in zip(RATES, losses, strict=True) if loss <= min(losses) * (1 + SLACK))


def speed(quantiles: NDArray[np.float32], truth: NDArray[np.float64]) -> float:
    """Density of outcomes at the outermost levels, a width: how much coverage a shift by one width would change there.

    A shift relaxes as d shift / d tick = -rate x density x shift, so that a lasting fault is half made up for after
    ln 2 / (rate x density) ticks.
    """
    bottom, top = quantiles[..., 0].astype(np.float64), quantiles[..., -1].astype(np.float64)
    width = np.maximum(top - bottom, SMALLEST_WIDTH)
    near = [np.abs(truth - edge) < NEAR * width for edge in (bottom, top)]
    known = int(np.isfinite(truth).sum())
    return max(float(np.sum(near)) / (2 * max(known, 1)) / (2 * NEAR), NEAR)


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
