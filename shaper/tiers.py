"""How capacity is shared among tiers: a floor for each, then the most urgent first, the rest as headroom."""

import math
from dataclasses import dataclass

from shaper.venue import Tier, Venue

PARTS = 10_000  # shares are whole parts of ten thousand, so that they sum exactly


@dataclass(frozen=True, slots=True)
class Share:
    """A tier's part of the capacity in parts of `PARTS`, and how it came about: floor, need (its demand and queue), headroom."""

    tier: Tier
    parts: int
    floor: float
    need: float
    headroom: float


def share_capacity(
    venue: Venue, capacity_per_s: float, demand_per_s: float, queued: dict[str, float]
) -> tuple[Share, ...]:
    """Shares of the tiers in the order of service; parts sum to `PARTS` exactly, also for no capacity at all.

    Every tier gets its floor. What is left fills the tiers' needs (demand and its queue cleared within a review) in the
    order of priority and generalised cμ (van Mieghem 1995), as a fractional knapsack up to each tier's ceiling; what is left
    then is headroom in proportion to demand.
    """
    tiers = venue.by_priority
    capacity = max(capacity_per_s, 1e-9)
    needs = [(demand_per_s * t.demand_share + queued.get(t.name, 0.0) / venue.review_s) / capacity for t in tiers]
    floors = [tier.floor_share for tier in tiers]
    rooms = [max(min(need, t.ceiling_share) - t.floor_share, 0.0) for need, t in zip(needs, tiers, strict=True)]
    extra = knapsack([float(-rank) for rank in range(len(tiers))], rooms, max(1 - sum(floors), 0.0))
    left = max(1 - sum(floors) - sum(extra), 0.0)
    spare = [left * tier.demand_share for tier in tiers]
    parts = largest_remainder([f + e + s for f, e, s in zip(floors, extra, spare, strict=True)], PARTS)
    return tuple(Share(*row) for row in zip(tiers, parts, floors, needs, spare, strict=True))


def knapsack(values: list[float], sizes: list[float], capacity: float) -> list[float]:
    """How much of each item to take: the fractional knapsack, most valuable per unit of capacity first (Dantzig 1957).

    `values` are per unit of capacity, ties go to the first. No other choice that fits is worth more.
    """
    left, taken = capacity, [0.0] * len(sizes)
    for i in sorted(range(len(sizes)), key=lambda i: (-values[i], i)):
        taken[i] = min(sizes[i], left)
        left -= taken[i]
    return taken


def largest_remainder(weights: list[float], total: int) -> list[int]:
    """Whole numbers in proportion to weights that sum to `total` exactly (Hamilton's method; ties go to the first).

    No number is further than 1 from its exact proportion. Raises ValueError unless all weights are finite, none is negative
    and some are positive.
    """
    if not weights or min(weights) < 0 or not 0 < max(weights) < math.inf:
        raise ValueError(f"expected weights of 0 or more with a positive sum, found {weights}")
    sizes = [weight / max(weights) for weight in weights]
    exact = [size / sum(sizes) * total for size in sizes]
    parts = [int(value) for value in exact]
    order = sorted(range(len(exact)), key=lambda i: (parts[i] - exact[i], i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return parts
