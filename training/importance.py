"""Which features a classifier of onsets cannot do without: permutation importance (Breiman 2001), out of fold.

Decided here: a feature's importance is the average precision lost when its values are shuffled among the rows that a model
did not see; features that tell the same share it, so a low figure is no proof that a feature tells nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.alarms import average_precision
from training.foreseeing import Floats, Judged, precisions, probabilities
from training.metrics import INTERVAL

SHOWN = 15  # features that get an interval


@dataclass(frozen=True)
class Importance:
    """Average precision that shuffling a feature costs; with its 90 % interval over days drawn anew for the first SHOWN."""

    feature: str
    drop: float
    interval: tuple[float, float] | None


def importances(judged: Judged, told: Callable[[int, int], None]) -> tuple[Importance, ...]:
    """Every feature's importance, the greatest first; `told` hears (done, in all)."""
    whole, drops = average_precision(judged.positive, judged.probability), []
    for place in range(len(judged.names)):
        drops.append(whole - average_precision(judged.positive, shuffled(judged, place)))
        told(place + 1, len(judged.names))
    order = np.argsort(drops)[::-1]
    bands = intervals(judged, order[:SHOWN])
    return tuple(Importance(judged.names[place], float(drops[place]), bands.get(int(place))) for place in order)


def intervals(judged: Judged, places: NDArray[np.intp]) -> dict[int, tuple[float, float]]:
    """90 % interval of the importance of some columns: days are drawn for both precisions alike."""
    draws = judged.draws
    whole = precisions(judged.positive, judged.probability, draws)
    found = {}
    for place in places.tolist():
        lost = whole - precisions(judged.positive, shuffled(judged, place), draws)
        low, high = np.quantile(lost, INTERVAL)
        found[place] = (float(low), float(high))
    return found


def shuffled(judged: Judged, place: int) -> Floats:
    """(n,): probabilities when one column is shuffled within each stretch of days; the same shuffle at each call."""
    matrix, generator = judged.matrix.copy(), np.random.default_rng((0, place))
    for _, rows in judged.folds:
        matrix[rows, place] = generator.permutation(matrix[rows, place])
    return probabilities(matrix, judged.folds)
