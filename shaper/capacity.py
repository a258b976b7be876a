"""How many units to hold: the newsvendor on forecast work at the lever's delay, and what one would do without a forecast.

For one tier the newsvendor holds C* = F⁻¹((c_u − c_o)/c_u), c_o the capacity to serve one order, c_u what an order loses
that finds none. With tiers served by priority a shortage falls on the last ones first: if D₁..D_k is the work of the first
k tiers, the expected cost c_o·C + Σ (c_k − c_{k+1})·E(D₁+…+D_k − C)⁺ is convex, and the optimum is where
Σ (c_k − c_{k+1})·P(D₁+…+D_k > C) = c_o. (Arrow, Harris, Marschak 1951; nested classes as in Littlewood 1972.)
"""

import math
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

from shaper.forecast import Forecast, at_level
from shaper.observed import Observed
from shaper.outlook import (
    CONTRADICTED,
    LEVELS,
    Work,
    chance_above,
    distrust,
    later,
    median,
    outlook,
    outside_band,
    work,
)
from shaper.staffing import Load, Prices, Ranks, ranked_usd_per_s, regime, servers
from shaper.trust import Leash, Stage
from shaper.venue import Tier, Venue

EVENLY = tuple(NormalDist().inv_cdf(level) for level in (0.1, 0.3, 0.5, 0.7, 0.9))
GAUSS = ((0.1127, 5 / 18), (0.5, 8 / 18), (0.8873, 5 / 18))  # Gauss-Legendre points and weights on 0..1


@dataclass(frozen=True, slots=True)
class Need:
    """Units wanted and the work behind them.

    `fallback` says why no forecast led (None: it did), `held_for_s` is the lead that decided, `work` what units
    ordered now will meet, `outside` the measured demand over the nearer edge of the forecast's 5-95 % band (1: within).
    `stage` names what led: see `trust`.
    """

    units: int
    fallback: str | None
    held_for_s: float = 0.0
    work: Work | None = None
    outside: float = 1.0
    stage: Stage = "forecast-led"


@dataclass(frozen=True, slots=True)
class Waits:
    """What waiting costs where arrivals, not their rate, are random: loads in servers, equally likely, and the tiers' `ranks`."""

    loads: tuple[float, ...]
    irregularity: float
    ranks: Ranks

    def saved_usd_per_s(self, units: int) -> float:
        """USD per second that one more unit saves."""
        rows = [(units, 1.0), (units + 1, -1.0)]
        total = sum(
            sign * ranked_usd_per_s(count, load, self.irregularity, self.ranks)
            for load in self.loads
            for count, sign in rows
        )
        return total / len(self.loads)


def newsvendor_level(underage_usd: float, overage_usd: float) -> float:
    """Critical ratio (c_u − c_o)/c_u, 0 where capacity costs more than a shortage."""
    return max(underage_usd - overage_usd, 0.0) / underage_usd if underage_usd > 0 else 0.0


def shortage_cost_usd(tier: Tier, wait_s: float) -> float:
    """What an order of a tier loses that finds no capacity for `wait_s`: its waiting, and its rejection at the deadline.

    An order that arrives at an unknown moment of the shortage waits uniformly up to `wait_s`, so it expires with
    probability 1 − deadline/wait.
    """
    lives = min(wait_s, tier.deadline_s)
    expires = 1 - lives / wait_s
    waited = lives * (1 - lives / (2 * wait_s))
    return tier.delay_cost_usd_per_s * waited + tier.reject_cost_usd * expires


def tier_prices_usd(venue: Venue) -> tuple[float, ...]:
    """c_u of each tier by priority. None is below a later one: who is served first is worth no less to the pool."""
    wait_s = venue.lead_s if venue.shortage_s is None else venue.shortage_s
    prices = [shortage_cost_usd(tier, wait_s) for tier in venue.by_priority]
    return tuple(max(prices[k:]) for k in range(len(prices)))


def newsvendor_units(venue: Venue, due: Work, prices: tuple[float, ...], waits: Waits | None = None) -> int:
    """Fewest units such that one more is not worth its cost for this work, by bisection over the pool's range.

    A unit is worth c_u times the share of it that is used, which is the mean of P(work > C) over its stretch of C; with `waits`
    also what it saves of the waiting that the randomness of arrivals causes.
    """
    rate, cost = venue.pool.unit_rate_per_s, venue.pool.capacity_cost_usd
    steps = [a - b for a, b in zip(prices, (*prices[1:], 0.0), strict=True)]
    priced = [(step, curve) for step, curve in zip(steps, due.rates, strict=True) if step > 0]

    def worth(unit: int) -> float:
        points = [((unit + at) * rate, weight) for at, weight in GAUSS]
        saved = 0.0 if waits is None else waits.saved_usd_per_s(unit) / rate
        return saved + sum(
            step * weight * chance_above(curve, point) for step, curve in priced for point, weight in points
        )

    low, high = venue.pool.min_units, venue.pool.max_units
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if worth(middle) > cost else (low, middle)
    return low


def aimed_units(venue: Venue, due: Work, tick_s: float, prices: tuple[float, ...]) -> int:
    """Units for the work of a span, by the law that fits it (see `staffing`): arrivals count where their rate is sure.

    `tick_s` is the tick of the forecast: orders that it counts more surely than a Poisson law would let them be counted are more
    regular by so much.
    """
    rate, tiers = venue.pool.unit_rate_per_s, venue.by_priority
    mean = max(median(due.demand), 1e-9)
    spread = (at_level(LEVELS, due.demand, 0.9) - at_level(LEVELS, due.demand, 0.1)) / (2 * NormalDist().inv_cdf(0.9))
    patience = sum(tier.demand_share * tier.deadline_s for tier in tiers) * rate
    load = Load(mean / rate, spread / rate, patience)
    law = "newsvendor" if venue.staffing == "newsvendor" else regime(load)
    if law == "erlang-a":
        delay = sum(tier.demand_share * tier.delay_cost_usd_per_s for tier in tiers)
        lost = sum(tier.demand_share * tier.reject_cost_usd for tier in tiers)
        staffed = servers(load, Prices(max(venue.pool.cost_usd_per_unit_s, 1e-9), delay, lost), 1 / rate)
        return max(newsvendor_units(venue, due, prices), venue.pool.rounded(staffed))
    if law == "newsvendor":
        return newsvendor_units(venue, due, prices)
    regular = min(spread**2 * tick_s / mean, 1.0)
    known = math.sqrt(max(spread**2 - mean / tick_s, 0.0))  # without the noise of counting
    loads = tuple((mean + known * z) / rate for z in EVENLY)
    irregularity = (regular + service_cv2(venue)) / 2
    return newsvendor_units(venue, due, prices, Waits(loads, irregularity, ranks_of(tiers)))


def ranks_of(tiers: tuple[Tier, ...]) -> Ranks:
    """Shares of the load up to each tier, and its delay cost beyond the next one's, none below a later one's."""
    costs = [max(tier.delay_cost_usd_per_s for tier in tiers[k:]) for k in range(len(tiers))]
    steps = (a - b for a, b in zip(costs, (*costs[1:], 0.0), strict=True))
    return tuple(zip(accumulate(tier.demand_share for tier in tiers), steps, strict=True))


def service_cv2(venue: Venue) -> float:
    """Squared coefficient of variation of services, the mean of the nodes' by capacity; 1 of a venue without nodes."""
    total = sum(node.capacity_per_s for node in venue.nodes)
    return sum(node.service_cv2 * node.capacity_per_s for node in venue.nodes) / total if total > 0 else 1.0


def reactive_units(venue: Venue, demand_per_s: float, queued_orders: float) -> int:
    """Units by what is seen alone: demand with a headroom, and the queue cleared within the drain time."""
    drain_s = venue.lead_s if venue.reactive_drain_s is None else venue.reactive_drain_s
    return venue.pool.units_for(demand_per_s * (1 + venue.reactive_headroom) + queued_orders / drain_s)


def without_forecast(venue: Venue, observed: Observed, leash: Leash | None) -> int:
    """Units of the reactive rule, which a leash knows better: it remembers how demand moved."""
    return (
        reactive_units(venue, observed.reactive_per_s, observed.queued_orders)
        if leash is None
        else leash.baseline_units
    )


def hedge_units(venue: Venue, observed: Observed) -> int:
    """Units below which no forecast-led plan goes: the demand of this moment, and the reactive rule's with the hedge."""
    hedged = observed.reactive_per_s * (1 + venue.hedge_headroom) if venue.hedge_headroom > 0 else 0.0
    return venue.pool.units_for(max(observed.demand_per_s * (1 + min(venue.hedge_headroom, 0.0)), hedged))


def wanted_units(venue: Venue, forecast: Forecast | None, observed: Observed, leash: Leash | None = None) -> Need:
    """Units wanted before the pool's limits on change, forecast-led where the forecast can be believed.

    A leash (see `steering.steer`) limits how far from the reactive units a believed forecast may pull; None: as far as it likes.

    At the planning lead the newsvendor decides, and at least the demand of this moment with the venue's hedge is wanted.
    Before that lead nothing ordered now can help, but what is released now cannot be had back either: units are kept that
    an earlier span wants. Where a review may change little, later leads start now (see `_ramp`). Demand measured well above
    the forecast's band contradicts it: it may then add to the reactive units, but not save any.
    """
    if leash is not None and leash.stage == "static":
        why = f"demand was measured {observed.demand_age_s:.0f} s ago"
        return Need(leash.baseline_units, why, stage="static")
    fallback = distrust(venue, forecast, observed) or (None if leash is None else leash.refusal)
    prospects = None if fallback is not None or forecast is None else outlook(venue, forecast, observed)
    reactive = without_forecast(venue, observed, leash)
    if forecast is None or prospects is None:
        return Need(reactive, fallback or "lead beyond the forecast", stage="reactive")
    prices, due = tier_prices_usd(venue), work(venue, prospects[-1])
    hedge = hedge_units(venue, observed)
    aims = [
        (aimed_units(venue, due, forecast.tick_s, prices), due.lead_s),
        (hedge, 0.0),
        *_ramp(venue, forecast, observed, prices),
    ]
    if max(aims)[0] < observed.ordered_units:
        kept = [(newsvendor_units(venue, work(venue, early), prices), early.lead_s) for early in prospects[:-1]]
        aims += [(min(units, observed.ordered_units), lead_s) for units, lead_s in kept]
    outside = outside_band(venue, forecast, observed)
    units, lead_s = max([*aims, (reactive, 0.0)] if outside > CONTRADICTED else aims)
    if leash is None:
        return Need(units, None, lead_s, due, outside)
    return Need(leash.pulled(units), None, lead_s, due, outside, leash.stage)


def _ramp(venue: Venue, forecast: Forecast, observed: Observed, prices: tuple[float, ...]) -> list[tuple[int, float]]:
    """Units to set now so that a pool that changes slowly reaches what each later review within the forecast will want."""
    change = venue.pool.max_change_units
    if change is None:
        return []
    works = [work(venue, prospect) for prospect in later(venue, forecast, observed)]
    return [(newsvendor_units(venue, w, prices) - k * change, w.lead_s) for k, w in enumerate(works, start=1)]
