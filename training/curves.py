"""Curves behind the alarm scores: precision over recall, and how early the episodes of spikes are warned of.

Decided here: which points are drawn. The definitions of alarms, episodes and leads are those of `training.alarms`.
"""

import numpy as np
from numpy.typing import NDArray

from training.alarms import FALSE_ALARMS_PER_DAY, Onsets, alarms_within_budget, judged_days, leads, select

Array = NDArray[np.float64]
Curve = tuple[Array, Array]


def precision_recall(onsets: Onsets) -> Curve | None:
    """(recall, precision) at each distinct threshold from the highest down; none where no issue time precedes a spike."""
    positive = onsets.steps > 0
    if not positive.any():
        return None
    order = np.argsort(-onsets.probability, kind="stable")
    found = positive[order].cumsum()
    last = np.append(np.flatnonzero(np.diff(onsets.probability[order])), len(order) - 1)
    return found[last] / found[-1], found[last] / (last + 1)


def lead_curve(onsets: Onsets) -> Curve | None:
    """(lead in s, share of episodes warned of at least that early) at one false alarm a day; none without an episode."""
    fresh = select(onsets, onsets.fresh)
    found = leads(fresh, alarms_within_budget(fresh, FALSE_ALARMS_PER_DAY * judged_days(fresh)))
    if not len(found):
        return None
    steps = np.arange(onsets.reach + 1)
    early = np.where(np.isfinite(found), found, -1)
    return np.asarray(steps * float(onsets.tick_s)), np.asarray((early >= steps[:, None]).mean(axis=1), np.float64)
