"""Weighted quantile loss: pinball loss in the natural unit, over the size of what came, horizon by horizon.

Decided here: 2 · Σ pinball / Σ |truth|, averaged over levels (Salinas et al., DeepAR, 2020; GluonTS calls it mean weighted
quantile loss). A target in ln(unit) is put into the unit first: quantiles commute with exp. Intervals resample whole UTC days.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics import FEWEST_DAYS, INTERVAL, Issued, day_draws, day_sums, pinball

Array = NDArray[np.float64]
SAME = 1e-4  # single precision of what is kept with a run


@dataclass(frozen=True)
class Weighted:
    """Loss at one horizon as a share of the mean truth; by how much it is below another forecast's, and the interval of that."""

    loss: float
    gain: float
    interval: tuple[float, float] | None


def natural(unit: str, values: Array) -> Array:
    """Values in the unit whose logarithm they are, if they are logarithms."""
    return np.exp(values) if unit.startswith("ln(") else values


def weighted(ours: Sequence[Issued], other: Issued, levels: tuple[float, ...], unit: str, step: int) -> Weighted | None:
    """The loss at horizon number `step` (from 0), averaged over the seeds `ours`, against `other` at shared issue times.

    None where they share none or speak of different truths.
    """
    them = other.complete()
    losses = []
    for one in ours:
        us = one.complete()
        _, at, place = np.intersect1d(us.issued_s, them.issued_s, assume_unique=True, return_indices=True)
        truth = them.truth[place, step]
        if not len(at) or not np.allclose(us.truth[at, step], truth, rtol=SAME, atol=SAME):
            return None
        losses.append(loss(truth, us.quantiles[at, step], levels, unit))
    theirs, size = loss(truth, them.quantiles[place, step], levels, unit), np.abs(natural(unit, truth))
    sums = day_sums(them.issued_s[place], np.mean(losses, axis=0), theirs, size)
    total = sums.sum(axis=0)
    interval = None
    if len(sums) >= FEWEST_DAYS:
        low, high = np.quantile(day_draws(sums, gain), INTERVAL)
        interval = (float(low), float(high))
    return Weighted(float(total[0] / total[2]), float(gain(total)), interval)


def loss(truth: Array, quantiles: Array, levels: tuple[float, ...], unit: str) -> Array:
    """Twice the mean pinball loss (n,) of quantiles (n, level)."""
    found = pinball(natural(unit, truth), natural(unit, quantiles), levels)
    return np.asarray(2 * found.mean(axis=-1))


def gain(totals: Array) -> Array:
    """Weighted loss of the second forecast minus that of the first, from totals (..., 3): both losses and the truths' size."""
    return np.asarray((totals[..., 1] - totals[..., 0]) / totals[..., 2])
