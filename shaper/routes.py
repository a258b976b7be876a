"""How each tier's orders are split over nodes, when tiers differ in intent or in how much gas matters to them.

Decided here: one linear programme for all tiers. With x(t, n) the orders per second of tier t on node n and y(n, s) the load of
node n on piece s of its convex wait,

    min Σ x(t, n)·(delay_t·latency_n + sensitivity_t·fee_n) + Σ y(n, s)·value·slope(n, s)
    s.t. Σ_n x(t, n) = demand_t,  Σ_t x(t, n) = Σ_s y(n, s),  caps on operators and regions,  x(t, n) = 0 where t may not go.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shaper.intents import eligible, objective
from shaper.routing import SEGMENTS, groups, pieces, value_usd_per_s, wait_s
from shaper.solvers import optimize
from shaper.tiers import PARTS, largest_remainder
from shaper.venue import Tier, Venue

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RouteSetting:
    """The share of a tier's orders that a node gets, 0..1; the shares of a tier sum to 1."""

    tier: str
    node: str
    weight: float
    reason: str


def routes(venue: Venue, demand_per_s: float) -> tuple[RouteSetting, ...]:
    """Shares by tier (in the order of service) and node; none where no tier has an intent or a gas sensitivity of its own.

    Where demand or caps cannot be met, caps are left out first, then a tier is shared over its eligible nodes by capacity; a tier
    without any has no route.
    """
    if all(tier.intent is None and tier.gas_sensitivity == 1 for tier in venue.tiers):
        return ()
    allowed = np.array(
        [[node.up and eligible(tier.intent, node.markets) for node in venue.nodes] for tier in venue.by_priority]
    )
    found = _solve(venue, demand_per_s, allowed, capped=True)
    how = "least time, fee and congestion"
    if found is None:
        found, how = _solve(venue, demand_per_s, allowed, capped=False), f"{how}, dispersion caps left out"
    if found is None:
        found = allowed * np.array([node.capacity_per_s for node in venue.nodes])
        how = "by capacity: demand exceeds it"
    return tuple(
        RouteSetting(tier.name, node.name, part / PARTS, how)
        for tier, row in zip(venue.by_priority, found.tolist(), strict=True)
        if max(row, default=0.0) > 0
        for node, part in zip(venue.nodes, largest_remainder([max(x, 0.0) for x in row], PARTS), strict=True)
        if part
    )


def _solve(venue: Venue, demand_per_s: float, allowed: NDArray[np.bool_], capped: bool) -> Floats | None:
    tiers, nodes = venue.by_priority, venue.nodes
    demands = np.maximum([demand_per_s * tier.demand_share for tier in tiers], 1e-6) * allowed.any(axis=1)
    slopes, widths = (
        np.array(rows)
        for rows in zip(*(pieces(node, value_usd_per_s(venue), wait_s(node, 0.0)) for node in nodes), strict=True)
    )
    count, loads = len(tiers) * len(nodes), len(nodes) * SEGMENTS
    cost = np.concatenate([_price(tiers, venue).ravel(), slopes.ravel()])
    by_tier = np.hstack([np.kron(np.eye(len(tiers)), np.ones(len(nodes))), np.zeros((len(tiers), loads))])
    by_node = np.hstack([np.tile(np.eye(len(nodes)), len(tiers)), -np.kron(np.eye(len(nodes)), np.ones(SEGMENTS))])
    upper = np.concatenate([np.where(allowed, np.inf, 0.0).ravel(), widths.ravel()])
    limits = {}
    if capped and (caps := groups(list(nodes), venue)):
        rows = np.array([[float(i in members) for i in range(len(nodes))] for members, _ in caps])
        limits["A_ub"] = np.hstack([np.tile(rows, len(tiers)), np.zeros((len(caps), loads))])
        limits["b_ub"] = np.array([cap * demands.sum() for _, cap in caps])
    found = optimize().linprog(
        cost,
        A_eq=np.vstack([by_tier, by_node]),
        b_eq=np.concatenate([demands, np.zeros(len(nodes))]),
        bounds=np.column_stack([np.zeros(len(upper)), upper]),
        method="highs",
        **limits,
    )
    return np.asarray(found.x[:count]).reshape(len(tiers), len(nodes)) if found.status == 0 else None


def _price(tiers: tuple[Tier, ...], venue: Venue) -> Floats:
    """USD of an order by tier and node, before congestion."""
    prices = []
    for tier in tiers:
        aim = objective(tier.intent)
        delay, fee = aim.delay * tier.delay_cost_usd_per_s, aim.fee * tier.gas_sensitivity
        prices.append([delay * wait_s(node, 0.0) + fee * node.fee_usd for node in venue.nodes])
    return np.array(prices)
