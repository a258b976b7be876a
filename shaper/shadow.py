"""A pool and its queues as they would be under settings that were not made: what another rule would have cost.

Decided here: how a counterfactual is kept. It meets the demand that was measured, in the fluid model of `fluid.py`, and its
units obey the pool's own limits and delay, so that rules are compared on the same orders (paired, not by luck).
"""

from dataclasses import dataclass, replace
from itertools import pairwise

from shaper.fluid import pass_span
from shaper.forecast import Curve
from shaper.observed import Observed
from shaper.venue import Pool, Venue


@dataclass(frozen=True, slots=True)
class Shadow:
    """Ready units, units on their way as (time, units), orders waiting by tier in the order of service, the last order's time."""

    ready: int
    pending: tuple[tuple[float, int], ...]
    queues: Curve
    last_order_s: float | None = None

    @property
    def ordered(self) -> int:
        """Units in place and on their way."""
        return self.ready + sum(units for _, units in self.pending)


def shadow_of(venue: Venue, observed: Observed) -> Shadow:
    """The venue as measured; units whose arrival nobody told come half a delay from now."""
    unknown = observed.ordered_units - observed.ready_units - sum(units for _, units in observed.pending)
    half = ((observed.at_s + venue.pool.actuation_delay_s / 2, unknown),) if unknown > 0 else ()
    waiting = dict(observed.queued)
    queues = tuple(waiting.get(tier.name, 0.0) for tier in venue.by_priority)
    last = None if observed.since_order_s is None else observed.at_s - observed.since_order_s
    return Shadow(observed.ready_units, tuple(sorted((*observed.pending, *half))), queues, last)


def set_units(pool: Pool, shadow: Shadow, units: int, at_s: float) -> Shadow:
    """The shadow after one review that wants `units`: less is set by cancelling the newest order first, then by releasing."""
    since = None if shadow.last_order_s is None else at_s - shadow.last_order_s
    change = pool.reachable(shadow.ordered, units, since) - shadow.ordered
    if change > 0:
        pending = (*shadow.pending, (at_s + pool.actuation_delay_s, change))
        return replace(shadow, pending=pending, last_order_s=at_s)
    fewer, waiting = -change, list(shadow.pending)
    while fewer and waiting:
        due, newest = waiting.pop()
        if newest > fewer:
            waiting.append((due, newest - fewer))
        fewer -= min(newest, fewer)
    return replace(shadow, ready=shadow.ready - fewer, pending=tuple(waiting))


def pass_time(
    venue: Venue, shadow: Shadow, since_s: float, until_s: float, demand_per_s: float
) -> tuple[Shadow, float]:
    """The shadow at `until_s`, and the USD that waiting, losses and units cost since `since_s`, at constant demand.

    The delay of a tier is priced at the mean of its queues at the two ends of each stretch between arrivals of units.
    """
    tiers, pool = venue.by_priority, venue.pool
    edges = sorted({since_s, until_s, *(due for due, _ in shadow.pending if since_s < due < until_s)})
    cost = shadow.ordered * pool.cost_usd_per_unit_s * (until_s - since_s)
    queues = shadow.queues
    for start, end in pairwise(edges):
        ready = shadow.ready + sum(units for due, units in shadow.pending if due <= start)
        before = queues
        queues, lost = pass_span(tiers, before, demand_per_s, ready * pool.unit_rate_per_s, end - start)
        for tier, was, now, gone in zip(tiers, before, queues, lost, strict=True):
            cost += tier.delay_cost_usd_per_s * (was + now) / 2 * (end - start) + tier.reject_cost_usd * gone
    landed = sum(units for due, units in shadow.pending if due <= until_s)
    pending = tuple((due, units) for due, units in shadow.pending if due > until_s)
    return Shadow(shadow.ready + landed, pending, queues, shadow.last_order_s), cost


def seen_by(venue: Venue, shadow: Shadow, observed: Observed) -> Observed:
    """The measurement as the shadow's own gateway would have made it."""
    since = None if shadow.last_order_s is None else observed.at_s - shadow.last_order_s
    queued = tuple((tier.name, orders) for tier, orders in zip(venue.by_priority, shadow.queues, strict=True))
    return replace(
        observed,
        queued=queued,
        ready_units=shadow.ready,
        ordered_units=shadow.ordered,
        pending=shadow.pending,
        since_order_s=since,
    )
