"""What a plan comes to: throughput, routing latency, and how far its orders are dispersed over operators and regions."""

import math
from collections import Counter
from dataclasses import dataclass

from shaper.routing import wait_s
from shaper.venue import Venue


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How shares are spread over groups: the largest share, Σ share² (Hirschman 1945), and entropy over that of an even spread."""

    max_share: float
    hhi: float
    entropy: float


@dataclass(frozen=True, slots=True)
class Report:
    """Orders per second that pool and nodes together carry, mean seconds on the nodes, dispersion.

    Latency is None without nodes, or where one is loaded beyond its capacity.
    """

    throughput_per_s: float
    latency_s: float | None
    operators: Dispersion | None
    regions: Dispersion | None


def dispersion(groups: tuple[str, ...], shares: tuple[float, ...]) -> Dispersion | None:
    """Dispersion of shares by the group of each, over all groups there are; None without any share."""
    total: Counter[str] = Counter()
    for group, share in zip(groups, shares, strict=True):
        total[group] += share  # type: ignore[assignment]
    if not sum(shares) > 0:
        return None
    parts = [value / sum(shares) for value in total.values()]
    entropy = sum(-part * math.log(part) for part in parts if 0 < part < 1)
    even = math.log(len(parts)) if len(parts) > 1 else 1.0
    return Dispersion(max(parts), sum(part * part for part in parts), entropy / even)


def report(venue: Venue, pool_per_s: float, weights: tuple[float, ...], demand_per_s: float) -> Report:
    """The report of a plan that gives nodes these weights at a demand, with a pool of this rate.

    The nodes carry what brings the first of them to its capacity.
    """
    carried = [node.capacity_per_s / weight for node, weight in zip(venue.nodes, weights, strict=True) if weight > 0]
    throughput = min([pool_per_s, *carried])
    rows = zip(venue.nodes, weights, strict=True)
    latency = sum(weight * wait_s(node, weight * demand_per_s) for node, weight in rows if weight > 0)
    return Report(
        throughput,
        latency if carried and math.isfinite(latency) else None,
        dispersion(tuple(node.operator for node in venue.nodes), weights),
        dispersion(tuple(node.region for node in venue.nodes), weights),
    )
