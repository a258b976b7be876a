"""How demand moves: its usual level, and whether a surge is beginning, told from what is measured alone.

Decided here: what the reactive rule takes a sudden rise for. Units that are ordered too many are given back a few reviews later
and cost that long, those ordered too late leave orders waiting for a whole delay; so a rise beyond chance is met as if it were
a surge of the stated size, until demand has stood still.
"""

import math
from dataclasses import dataclass

from shaper.observed import Observed
from shaper.venue import Venue

USUAL_S = 3600.0  # over which the usual demand is averaged
SUDDEN = 1.3  # times the demand of the last review, and beyond four standard deviations of counting: a surge begins
CHANCE = 4.0
RISING_S = 15.0  # after the last sudden rise, in which a surge may be rising still


@dataclass(frozen=True, slots=True)
class Tide:
    """Demand of the last review, its geometric mean over `USUAL_S` (orders/s), and what a surge that is rising may come to.

    `rising_until_s` is when it is taken to have risen, `crest_per_s` its expected height (0: none).
    """

    seen_per_s: float = 0.0
    usual_per_s: float = 0.0
    at_s: float = 0.0
    rising_until_s: float = -math.inf
    crest_per_s: float = 0.0


def moved(venue: Venue, before: Tide, observed: Observed, times: float) -> Tide:
    """The tide after a review; surges are taken to come to `times` the usual demand."""
    demand, seen = observed.demand_per_s, before.seen_per_s
    usual = _usual(before, demand, observed.at_s - before.at_s)
    sudden = seen > 0 and demand > max(SUDDEN * seen, seen + CHANCE * math.sqrt(seen / venue.review_s))
    until = observed.at_s + observed.demand_age_s + RISING_S if sudden else before.rising_until_s
    crest = max(times * usual, demand * demand / seen) if sudden else before.crest_per_s
    return Tide(demand, usual, observed.at_s, until, crest if observed.at_s < until else 0.0)


def reactive_demand(tide: Tide, observed: Observed) -> float:
    """Orders per second that the reactive rule goes by."""
    return max(observed.reactive_per_s, tide.crest_per_s)


def _usual(before: Tide, demand_per_s: float, passed_s: float) -> float:
    if before.usual_per_s <= 0 or demand_per_s <= 0 or passed_s < 0:
        return max(before.usual_per_s, demand_per_s)
    ratio = demand_per_s / before.usual_per_s
    if not 0 < ratio < math.inf:  # further apart than floats can tell
        return demand_per_s
    gone = math.log(ratio)
    return before.usual_per_s * math.exp(-math.expm1(-passed_s / USUAL_S) * gone)
