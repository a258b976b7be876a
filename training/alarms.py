"""How good spike probabilities are as alarms: precision over recall, and what one false alarm a day buys in lead.

Decided here: an onset counts only while no spike is running (at risk); alarms are judged at fresh issue times (none of
the last ticks, as many as the longest horizon, was above its threshold); positives closer together than that are one
episode, and one false alarm absorbs those that follow within it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics import DAY_S, FEWEST_DAYS, INTERVAL

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Whole = NDArray[np.int64]

FALSE_ALARMS_PER_DAY = 1.0
RESAMPLES = 200


@dataclass(frozen=True)
class Onsets:
    """Issue times at risk of a spike within `reach` ticks of `tick_s` seconds.

    `tick` (n,) END label / tick_s, `steps` to the first tick over the threshold (0: none), `fresh` where an alarm is
    judged, `probability` 0..1 that there is one.
    """

    tick: Whole
    steps: Whole
    fresh: Mask
    probability: Array
    tick_s: int
    reach: int


@dataclass(frozen=True)
class AlarmScore:
    """`pr_auc` is average precision (a constant forecast gets `base_rate`), `brier` the mean squared error.

    `recall` is the share of episodes alarmed before their first tick over the threshold begins, `recall_lead` the
    share alarmed at least one tick before, `median_lead_s` the median lead of the recalled, at one false alarm a day.
    """

    issues: int
    base_rate: float
    brier: float
    pr_auc: float | None
    pr_auc_interval: tuple[float, float] | None
    episodes: int
    false_alarms: int
    recall: float | None
    recall_lead: float | None
    median_lead_s: float | None


def average_precision(positive: Mask, probability: Array, weight: Array | None = None) -> float:
    """Area under precision over recall; equal probabilities are one threshold, weights repeat issue times."""
    weights = np.ones(len(positive)) if weight is None else weight
    _, group = np.unique(-probability, return_inverse=True)
    hits = np.bincount(group, weights=weights * positive)
    alarms = np.bincount(group, weights=weights)
    found = hits.cumsum()
    precision = found / np.maximum(alarms.cumsum(), 1e-12)
    return float((precision * hits).sum() / max(found[-1], 1e-12))


def precision_interval(onsets: Onsets) -> tuple[float, float] | None:
    """90 % interval of the average precision over resampled UTC days; none for fewer than 5 days."""
    _, day = np.unique(onsets.tick * onsets.tick_s // DAY_S, return_inverse=True)
    days = int(day.max()) + 1
    if days < FEWEST_DAYS:
        return None
    draws = np.random.default_rng(0).multinomial(days, np.full(days, 1 / days), RESAMPLES)
    positive = onsets.steps > 0
    scores = [average_precision(positive, onsets.probability, draw[day].astype(np.float64)) for draw in draws]
    low, high = np.quantile(scores, INTERVAL)
    return float(low), float(high)


def count_false_alarms(ticks: Whole, reach: int) -> int:
    """Alarms among ascending ticks when each absorbs those less than `reach` ticks after it."""
    count, place = 0, 0
    while place < len(ticks):
        count += 1
        place = int(np.searchsorted(ticks, ticks[place] + reach))
    return count


def alarms_within_budget(onsets: Onsets, budget: float) -> Mask:
    """Alarms at the lowest threshold with at most `budget` false ones (their number grows as the threshold falls)."""
    thresholds = np.unique(onsets.probability)[::-1]
    negative = onsets.steps == 0
    low, high = 0, len(thresholds)
    while low < high:
        middle = (low + high + 1) // 2
        false = onsets.tick[negative & (onsets.probability >= thresholds[middle - 1])]
        if count_false_alarms(false, onsets.reach) <= budget:
            low = middle
        else:
            high = middle - 1
    if not low:
        return np.zeros(len(negative), np.bool_)
    return np.asarray(onsets.probability >= thresholds[low - 1])


def leads(onsets: Onsets, alarm: Mask) -> Array:
    """Ticks from each episode's first alarm to the start of its first tick over the threshold; NaN: none, or late."""
    positive = np.flatnonzero(onsets.steps)
    if not len(positive):
        return np.empty(0)
    breaks = np.flatnonzero(np.diff(onsets.tick[positive]) > onsets.reach) + 1
    found = []
    for episode in np.split(positive, breaks):
        start = onsets.tick[episode[0]] + onsets.steps[episode[0]] - 1
        alarmed = onsets.tick[episode[alarm[episode]]]
        found.append(float(start - alarmed[0]) if len(alarmed) and alarmed[0] <= start else np.nan)
    return np.array(found)


def select(onsets: Onsets, kept: Mask) -> Onsets:
    """The issue times of a mask."""
    tick, steps, fresh, probability = (
        onsets.tick[kept],
        onsets.steps[kept],
        onsets.fresh[kept],
        onsets.probability[kept],
    )
    return Onsets(tick, steps, fresh, probability, onsets.tick_s, onsets.reach)


def judged_days(onsets: Onsets) -> float:
    """Days that the issue times cover, gaps left out."""
    spacing = float(np.median(np.diff(onsets.tick))) if len(onsets.tick) > 1 else 1.0
    return len(onsets.tick) * spacing * onsets.tick_s / DAY_S


def score_alarms(onsets: Onsets) -> AlarmScore | None:
    """Score the spike probabilities; none when no issue time is at risk."""
    if not len(onsets.tick):
        return None
    positive = onsets.steps > 0
    fresh = select(onsets, onsets.fresh)
    alarm = alarms_within_budget(fresh, FALSE_ALARMS_PER_DAY * judged_days(fresh))
    lead = leads(fresh, alarm)
    recalled = lead[np.isfinite(lead)]
    return AlarmScore(
        issues=len(onsets.tick),
        base_rate=float(positive.mean()),
        brier=float(((onsets.probability - positive) ** 2).mean()),
        pr_auc=average_precision(positive, onsets.probability) if positive.any() else None,
        pr_auc_interval=precision_interval(onsets) if positive.any() else None,
        episodes=len(lead),
        false_alarms=count_false_alarms(fresh.tick[alarm & (fresh.steps == 0)], onsets.reach),
        recall=len(recalled) / len(lead) if len(lead) else None,
        recall_lead=float((recalled >= 1).sum() / len(lead)) if len(lead) else None,
        median_lead_s=float(np.median(recalled)) * onsets.tick_s if len(recalled) else None,
    )
