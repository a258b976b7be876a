"""How many orders of a tier may wait: those that can still be done while their waiting is worth it.

Decided here: what a line is for. An order is worth waiting for until its waiting has cost its rejection, and no longer than its
deadline. Until then a line is worked off by the capacity that more urgent orders, and newer ones of the tier, leave (newest
first, they overtake), now and once units on their way and those that can still be ordered serve. Where that is none, a line
only bridges chance. Of a tier served at the rate μ and asked for at ρ·μ, ρ ≥ 1, a line of n orders (M/M/1/n) leaves what serves it
idle for the share p₀ = (ρ − 1)/(ρⁿ⁺¹ − 1) of the time, 1/(n + 1) at ρ = 1, and a longer one is waited in by one order more (a half
at ρ = 1). For orders worth waiting w for the two cost least together at n = √(2·μ·w) for ρ = 1, and at ρⁿ⁺¹ = μ·w·(ρ − 1)·ln ρ,
nearly, where ρ is well above it. `_bridge` joins the two, n = 2·ln(1 + √(2·μ·w)·ln ρ/2)/ln ρ: the more a tier is asked for beyond
what serves it, the less can chance leave that idle.
"""

import math
from itertools import accumulate, pairwise

from shaper.capacity import reactive_units
from shaper.observed import Observed
from shaper.venue import Tier, Venue

NEARLY = 1e-9  # ln ρ, below which a tier is asked for what serves it


def worth_s(tier: Tier) -> float:
    """Seconds that an order is worth waiting for: until waiting has cost as much as its rejection, at most its deadline."""
    cost = tier.delay_cost_usd_per_s
    return min(tier.deadline_s, tier.reject_cost_usd / cost) if cost > 0 else tier.deadline_s


def line_orders(venue: Venue, observed: Observed) -> tuple[float, ...]:
    """Most orders that may wait by tier, in the order of service; `most_waiting` has them whole."""
    tiers, course = venue.by_priority, _course(venue, observed)
    demands = [observed.demand_per_s * tier.demand_share for tier in tiers]
    rows = zip(tiers, demands, accumulate(demands), strict=True)
    return tuple(_orders(tier, own, upto, course) for tier, own, upto in rows)


def most_waiting(venue: Venue, observed: Observed) -> tuple[int, ...]:
    """The same as a gateway is set to: whole orders, and never less than one."""
    return tuple(max(int(orders), 1) for orders in line_orders(venue, observed))


def _course(venue: Venue, observed: Observed) -> list[tuple[float, float]]:
    """Capacity in orders/s from each time on, in seconds from now: ready units, those on their way, and those that can be ordered.

    The latter are what the reactive rule wants, once they would serve.
    """
    pool, lead_s = venue.pool, venue.lead_s
    known = sorted({0.0, *(max(at - observed.at_s, 0.0) for at, _ in observed.pending), pool.planned_delay_s / 2})
    rows = [(at, observed.ready_after(pool.planned_delay_s, at)) for at in known if at < lead_s]
    grown = max(reactive_units(venue, observed.reactive_per_s, observed.queued_orders), observed.ordered_units)
    return [(at, units * pool.unit_rate_per_s) for at, units in (*rows, (lead_s, min(grown, pool.max_units)))]


def _orders(tier: Tier, own_per_s: float, upto_per_s: float, course: list[tuple[float, float]]) -> float:
    """Orders of a tier that asks for `own_per_s`, with more urgent ones for `upto_per_s`, that a course of capacity works off."""
    worth = worth_s(tier)
    spans = [(end - start, rate) for (start, rate), (end, _) in pairwise([*course, (math.inf, 0.0)])]
    left, done = worth, 0.0
    for span, rate in spans:
        free = max(rate - upto_per_s, tier.floor_share * rate - own_per_s, 0.0)
        done += free * min(span, left)
        left -= min(span, left)
    now = course[0][1]
    served = max(min(own_per_s, now - upto_per_s + own_per_s), tier.floor_share * now)
    return done + _bridge(own_per_s, served, worth)


def _bridge(asked_per_s: float, served_per_s: float, worth_s: float) -> float:
    """Orders in the line that costs least where chance alone empties it."""
    even = math.sqrt(2 * served_per_s * worth_s)
    excess = math.log(asked_per_s / served_per_s) if 0 < served_per_s < asked_per_s else 0.0
    return 2 * math.log1p(even * excess / 2) / excess if excess > NEARLY else even
