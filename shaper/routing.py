"""How orders are split over settlement nodes: least latency, fee and congestion under capacity and dispersion caps."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from shaper.forecast import Curve
from shaper.solvers import optimize
from shaper.tiers import PARTS
from shaper.venue import Node, Venue

SEGMENTS = 10  # pieces of each node's convex congestion cost
USABLE = 0.95  # share of a node's capacity that is planned with: waits grow without bound towards 1


Group = tuple[tuple[int, ...], float]  # indices of nodes and the share they may have together


@dataclass(frozen=True, slots=True)
class Split:
    """Weights in parts of `PARTS` (they sum exactly, or all are 0 with no node up), and which caps were relaxed and why."""

    parts: tuple[int, ...]
    relaxed: str | None


def split_orders(venue: Venue, demand_per_s: float) -> Split:
    """Weights of the venue's nodes, in their order, for a rate of orders.

    Minimises Σ w·(latency·value + fee) plus the wait of an M/G/1 node, or of its measured curve, at its load
    (value: USD a second of the average order), its convex cost taken in `SEGMENTS` linear pieces, which makes it a linear
    programme. Caps that the nodes that are up cannot meet are relaxed, dispersion first, and said so.
    """
    up = [node for node in venue.nodes if node.up]
    if not up:
        return Split((0,) * len(venue.nodes), "no node is up" if venue.nodes else None)
    attempts: tuple[tuple[list[Group], str | None], ...] = (
        (groups(up, venue), None),
        ([], "dispersion caps relaxed: the nodes that are up cannot meet them"),
    )
    for caps, relaxed in attempts:
        weights = _solve(up, demand_per_s, value_usd_per_s(venue), caps)
        if weights is not None:
            return Split(_spread(venue, _rounded(weights, caps)), relaxed)
    shares = _rounded([node.capacity_per_s for node in up], [])
    return Split(
        _spread(venue, shares), f"{demand_per_s:.0f} orders/s exceed the capacity of the nodes: shared by capacity"
    )


def wait_s(node: Node, load_per_s: float) -> float:
    """Mean seconds at a node under a load, infinite from its capacity on: its measured curve where it has one, else M/G/1.

    Pollaczek-Khinchine: latency + ρ/(c − λ)·(1 + cv²)/2, cv² the squared coefficient of variation of its services. A curve is
    linear between its points (share of capacity, seconds) and goes on with its last slope.
    """
    if load_per_s >= node.capacity_per_s:
        return math.inf
    if node.curve:
        return _on_curve(node.curve, load_per_s / node.capacity_per_s)
    queueing = load_per_s / node.capacity_per_s / (node.capacity_per_s - load_per_s)
    return node.latency_s + queueing * (1 + node.service_cv2) / 2


def _on_curve(curve: tuple[tuple[float, float], ...], share: float) -> float:
    if share <= curve[0][0] or len(curve) == 1:
        return curve[0][1]
    (x, low), (end, high) = next(((a, b) for a, b in pairwise(curve) if share <= b[0]), curve[-2:])
    return low + (high - low) * (share - x) / (end - x)


def value_usd_per_s(venue: Venue) -> float:
    """USD that a second costs the average order."""
    return sum(tier.demand_share * tier.delay_cost_usd_per_s for tier in venue.tiers)


def groups(up: list[Node], venue: Venue) -> list[Group]:
    """Groups of node indices with the share they may have together."""
    labels = [
        (venue.max_operator_share, [node.operator for node in up]),
        (venue.max_region_share, [node.region for node in up]),
    ]
    return [
        (tuple(i for i, other in enumerate(names) if other == name), cap)
        for cap, names in labels
        if cap < 1
        for name in dict.fromkeys(names)
    ]


def _solve(up: list[Node], demand_per_s: float, value: float, groups: list[Group]) -> list[float] | None:
    """Weights over the nodes, or None if the caps cannot be met: filled where that is exact, else by linear programming."""
    demand = max(demand_per_s, 1e-9)
    priced = [pieces(node, value) for node in up]
    cost = [[slope + node.fee_usd for slope in slopes] for node, (slopes, _) in zip(up, priced, strict=True)]
    room = [[width / demand for width in widths] for _, widths in priced]
    filled = fill(cost, room, groups)
    return programmed(cost, room, groups) if filled is None else filled


def fill(cost: list[list[float]], room: list[list[float]], groups: list[Group]) -> list[float] | None:
    """Weights that sum to 1 at least cost, cheapest piece first; None where that is not known to be the optimum.

    With caps on disjoint groups alone, taking the cheapest piece that still has room is optimal (a polymatroid; Federgruen,
    Groenevelt 1986). So the optimum under no caps, or under those of one kind, is that under all where it breaks none.
    """
    pieces = sorted((c, i, r) for i, row in enumerate(zip(cost, room, strict=True)) for c, r in zip(*row, strict=True))
    for family in _families(groups):
        weights = _taken(pieces, len(cost), family)
        within = all(sum(weights[i] for i in members) <= cap + 1e-12 for members, cap in groups)
        if within and sum(weights) > 1 - 1e-12:
            return weights
    return None


def _families(groups: list[Group]) -> list[list[Group]]:
    """No caps, and the caps of each run of disjoint groups."""
    families: list[list[Group]] = [[]]
    seen: set[int] = set()
    for members, cap in groups:
        if len(families) == 1 or seen & set(members):
            families.append([])
            seen = set()
        families[-1].append((members, cap))
        seen |= set(members)
    return families


def _taken(pieces: list[tuple[float, int, float]], nodes: int, family: list[Group]) -> list[float]:
    """Weights that take the cheapest pieces first, within the caps of disjoint groups."""
    of = {i: g for g, (members, _) in enumerate(family) for i in members}
    rooms, weights, left = [cap for _, cap in family], [0.0] * nodes, 1.0
    for _, node, room in pieces:
        group = of.get(node)
        part = min(room, left) if group is None else min(room, left, rooms[group])
        weights[node] += part
        left -= part
        if group is not None:
            rooms[group] -= part
        if left <= 0:
            break
    return weights


def programmed(cost: list[list[float]], room: list[list[float]], groups: list[Group]) -> list[float] | None:
    """The same by linear programming over (node, piece); None if the caps cannot be met."""
    rows = np.zeros((len(groups), len(cost)))
    for row, (members, _) in zip(rows, groups, strict=True):
        row[list(members)] = 1
    limits = {"A_ub": np.repeat(rows, SEGMENTS, axis=1), "b_ub": [cap for _, cap in groups]} if groups else {}
    flat = [c for row in cost for c in row]
    bounds = [(0.0, r) for row in room for r in row]
    found = optimize().linprog(flat, A_eq=np.ones((1, len(flat))), b_eq=[1.0], bounds=bounds, method="highs", **limits)
    return found.x.reshape(len(cost), SEGMENTS).sum(axis=1).tolist() if found.status == 0 else None


@lru_cache(maxsize=1024)
def pieces(node: Node, value: float, idle_s: float = 0.0) -> tuple[Curve, Curve]:
    """Slopes (USD per order) and widths (orders/s) of the linear pieces of a node's time cost beyond `idle_s` an order."""
    edges = np.linspace(0, USABLE, SEGMENTS + 1)
    full = [value * (wait_s(node, edge * node.capacity_per_s) - idle_s) * edge * node.capacity_per_s for edge in edges]
    width = float(edges[1]) * node.capacity_per_s
    return tuple((b - a) / width for a, b in pairwise(full)), (width,) * SEGMENTS


def _rounded(weights: list[float], groups: list[Group]) -> list[int]:
    """Parts that sum to `PARTS`: rounded down, the rest to the largest remainders whose groups still have room."""
    exact = [weight / sum(weights) * PARTS for weight in weights]
    parts = [int(value + 1e-6) for value in exact]
    for _ in range(PARTS - sum(parts)):
        free = [i for i in range(len(parts)) if _fits(parts, i, groups)] or list(range(len(parts)))
        parts[max(free, key=lambda i: (exact[i] - parts[i], -i))] += 1
    return parts


def _fits(parts: list[int], index: int, groups: list[Group]) -> bool:
    return all(sum(parts[i] for i in members) + 1 <= cap * PARTS + 1e-6 for members, cap in groups if index in members)


def _spread(venue: Venue, parts: list[int]) -> tuple[int, ...]:
    """Parts of the nodes that are up, laid out over all nodes, 0 for those that are not."""
    given = iter(parts)
    return tuple(next(given) if node.up else 0 for node in venue.nodes)
