"""Weights of a combination's members, learnt from what they said of a period that none of them was fitted on.

Decided here: weights of each target and horizon lie on the simplex and minimise the mean pinball loss of the averaged
quantiles plus a pull towards the weights they start from (equal ones, or the shares of a configuration), because a few days of
a validation period say little about members that are nearly as good as each other (the forecast combination puzzle, Stock and
Watson 2004).
"""

import numpy as np
from numpy.typing import NDArray

from training.combination import Weights

Array = NDArray[np.float64]
PULL = 0.05  # in mean losses for a weight that moved by 1: more days of validation would deserve less
STEPS = 200


def stacked(
    start: Weights, answers: list[NDArray[np.float32]], truth: NDArray[np.float32], levels: tuple[float, ...]
) -> Weights:
    """Better quantile weights than `start`.

    `answers` of each member are quantiles (n, horizon, target, level) of the combination's targets, `truth` (n, horizon,
    target), NaN where unknown. Where no truth is known the start is kept.
    """
    found = start.quantile.astype(np.float64).copy()
    for horizon, target in np.ndindex(found.shape[1:]):
        knows = np.flatnonzero(start.quantile[:, horizon, target])
        known = np.isfinite(truth[:, horizon, target])
        if len(knows) > 1 and known.any():
            said = np.stack([answers[member][known, horizon, target] for member in knows]).astype(np.float64)
            came = truth[known, horizon, target].astype(np.float64)
            usual = start.quantile[knows, horizon, target].astype(np.float64)
            found[knows, horizon, target] = best(said, came, np.array(levels), usual)
    return Weights(found.astype(np.float32), start.spike)


def best(said: Array, came: Array, levels: Array, usual: Array) -> Array:
    """Weights (member,) for quantiles (member, n, level) of truths (n,), by exponentiated gradient (Kivinen, Warmuth 1997).

    They start from `usual` (member,), weights that add up to 1, and are pulled towards them.
    """
    scale = np.mean([loss(own, came, levels) for own in said])
    weights, average = usual, np.zeros(len(said))
    for step in range(1, STEPS + 1):
        below = came[:, None] < np.tensordot(weights, said, 1)
        slope = (said * (below - levels)).mean(axis=(1, 2)) / scale + 2 * PULL * (weights - usual)
        weights = weights * np.exp(-(slope - slope.mean()) / np.sqrt(step))
        weights /= weights.sum()
        average += (weights - average) / step
    return average


def loss(quantiles: Array, came: Array, levels: Array) -> float:
    """Mean pinball loss of quantiles (n, level)."""
    error = came[:, None] - quantiles
    return float(np.maximum(levels * error, (levels - 1) * error).mean())
