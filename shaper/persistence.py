"""A forecast by arithmetic alone, for when no model answers: the last value goes on, within the band of its own changes.

Decided here: what is believed of a series of which only its recent past is known, and when that is too little to say anything.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

from shaper.forecast import Curve, Forecast

LEAST_CHANGES = 8  # fewer known changes tell no band
ORIGIN = "baseline"


@dataclass(frozen=True, slots=True)
class Past:
    """One target's values at consecutive ticks, newest last (NaN: unknown), and the threshold of its spikes (None: has none)."""

    target: str
    values: tuple[float, ...]
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Axes:
    """When a forecast is issued (seconds since 1970), the width of its ticks, and what it answers for."""

    issued_at_s: float
    tick_s: float
    horizons: tuple[int, ...]
    levels: Curve


def persisted(pasts: tuple[Past, ...], axes: Axes) -> Forecast | None:
    """The forecast that the last known values go on; None when a target has too few known changes.

    A driftless random walk whose variance a tick is the mean squared change: q(h, u) = x + σ·√h·Φ⁻¹(u), and no wider than two
    values drawn from the window are apart, for a series that returns to its mean. A spike by horizon h is the walk's first
    passage, 2·(1 − Φ((threshold − x)/(σ·√h))) (reflection principle, Bachelier 1900), or certain where it has begun.
    """
    bands = [band(past.values, axes.horizons) for past in pasts]
    known = [found for found in bands if found is not None]
    if len(known) < len(pasts):
        return None
    normal = NormalDist()
    scores = tuple(normal.inv_cdf(level) for level in axes.levels)
    return Forecast(
        issued_at_s=axes.issued_at_s,
        valid_until_s=axes.issued_at_s + axes.horizons[-1] * axes.tick_s,
        tick_s=axes.tick_s,
        origin=ORIGIN,
        contract_digest="",
        targets=tuple(past.target for past in pasts),
        horizons=axes.horizons,
        levels=axes.levels,
        quantiles=tuple(tuple(tuple(last + sd * z for z in scores) for sd in sds) for last, sds in known),
        spike=tuple(
            tuple(passage(last, sd, past.threshold) for sd in sds)
            for past, (last, sds) in zip(pasts, known, strict=True)
        ),
    )


def band(values: tuple[float, ...], horizons: tuple[int, ...]) -> tuple[float, Curve] | None:
    """The last known value and the deviation at each horizon; None for too few known changes."""
    known = [value for value in values if math.isfinite(value)]
    steps = [(b - a) ** 2 for a, b in pairwise(values) if math.isfinite(a) and math.isfinite(b)]
    if len(steps) < LEAST_CHANGES:
        return None
    tick, mean = math.fsum(steps) / len(steps), math.fsum(known) / len(known)
    widest = max(2 * math.fsum((value - mean) ** 2 for value in known) / len(known), tick)
    return known[-1], tuple(math.sqrt(min(tick * horizon, widest)) for horizon in horizons)


def passage(last: float, sd: float, threshold: float | None) -> float:
    """Probability that a walk has passed a threshold by the time its deviation is `sd`."""
    if threshold is None or not math.isfinite(threshold):
        return 0.0
    if last >= threshold:
        return 1.0
    return 0.0 if sd == 0 else min(2 * NormalDist().cdf((last - threshold) / sd), 1.0)
