"""A gateway and its nodes over orders: the kernel's arrays, and the few ways in which a policy can change them.

Decided here: how units of the pool are placed on nodes (by the nodes' capacity), and what an order's class and last moment are.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from shaper.replay import kernel
from shaper.replay.heap import empty_heap
from shaper.replay.limits import fair_shares
from shaper.replay.orders import Orders
from shaper.replay.trace import Floats
from shaper.tiers import largest_remainder
from shaper.venue import Node, Venue

Lines = Literal["one", "strict", "fair"]
Routing = Literal["round robin", "least request", "two choices", "prequal", "weighted"]
LINES: tuple[Lines, ...] = ("one", "strict", "fair")
ROUTINGS: tuple[Routing, ...] = ("round robin", "least request", "two choices", "prequal", "weighted")
LONGEST = 1 << 16  # orders in one line at most, whatever a policy says
ALONE = Node("gateway", "", "", "", 1.0, 0.0, 0.0)  # the one node of a venue that names none


@dataclass(frozen=True, slots=True)
class Discipline:
    """How a gateway queues and routes.

    `late`: an order waits at the gateway until a unit is free, else at the node it was sent to on arrival. Lines: one for
    all, a class per tier in strict order, or a class per tier by fair shares. The newest order of a line goes first once
    its oldest has waited `lifo_after_s` (None: never). A refused client tries up to `tries` times, `backoff_s` later and
    twice as long each time, if it is one that does.
    """

    late: bool = True
    lines: Lines = "strict"
    routing: Routing = "weighted"
    lifo_after_s: float | None = None
    tries: int = 3
    backoff_s: float = 2.0


class Gateway:
    """Orders on their way through a gateway; time only moves with `advance`."""

    def __init__(self, venue: Venue, orders: Orders, discipline: Discipline, seed: int = 0) -> None:
        self.venue, self.orders = venue, orders
        self.nodes = venue.nodes or (ALONE,)
        self._rules = rules_of(discipline)
        self._state = state_of(venue, orders, discipline, seed)
        self._speeds = np.ones(len(self.nodes))
        self.now_s = 0.0

    def place(self, units: int) -> None:
        """Spread units over the nodes in proportion to their capacity; at most as many as the pool can have."""
        self._state.nodes.units[:] = largest_remainder([node.capacity_per_s for node in self.nodes], units)

    def speed(self, speeds: Floats) -> None:
        """Let every node's units work at a share of their rate from now on; 0 fails what they had in hand."""
        for n in np.flatnonzero((speeds == 0) & (self._speeds > 0)):
            kernel.fail(self._state, self._rules, int(n), self.now_s)
        self._speeds = speeds.copy()
        self._state.nodes.rate[:] = self.venue.pool.unit_rate_per_s * speeds

    def see(self, up: Floats) -> None:
        """Tell the routing which nodes are up (1) or down (0)."""
        self._state.nodes.seen_up[:] = up > 0

    def weigh(self, weights: Floats) -> None:
        """Set the weights of the nodes, which need not sum to 1."""
        total = weights.sum()
        self._state.nodes.chance[:] = np.cumsum(weights / total) if total > 0 else 1.0

    def admit(self, quota_per_s: Floats, burst_s: float) -> None:
        """Set the rate of admission of each class, and how many seconds of it may be saved up."""
        self._state.gate.quota[:] = quota_per_s
        self._state.gate.burst[:] = np.maximum(quota_per_s * burst_s, 1.0)

    def limit(self, orders: float) -> None:
        """Bound the orders under way, waiting or in service."""
        self._state.gate.limit[0] = orders

    def hold(self, orders: Floats) -> None:
        """Bound every line by class."""
        self._state.lines.limit[:] = np.clip(orders, 1, self._state.lines.ring.shape[2] - 1).astype(np.int64)

    def advance(self, until_s: float) -> None:
        """Let everything happen until a time."""
        kernel.advance(self._state, self._rules, self.now_s, until_s)
        self.now_s = until_s

    @property
    def waiting(self) -> Floats:
        """Orders waiting by class, over all places."""
        return np.asarray(self._state.lines.count.sum(axis=0), dtype=np.float64)

    @property
    def tally(self) -> Floats:
        """Orders begun and the sum of their waits in seconds by class, (2, classes), since the start."""
        return np.asarray(self._state.tally.copy())

    @property
    def excess(self) -> float:
        """Units that still work though they were released."""
        return float(np.maximum(self._state.nodes.busy - self._state.nodes.units, 0).sum())

    @property
    def book(self) -> kernel.Book:
        """The orders' fates."""
        return self._state.book


def rules_of(discipline: Discipline) -> kernel.Rules:
    """The kernel's numbers for a discipline."""
    return kernel.Rules(
        late=int(discipline.late),
        lines=LINES.index(discipline.lines),
        routing=ROUTINGS.index(discipline.routing),
        lifo_after_s=1e9 if discipline.lifo_after_s is None else float(discipline.lifo_after_s),
        tries=discipline.tries,
        backoff_s=float(discipline.backoff_s),
    )


def state_of(venue: Venue, orders: Orders, discipline: Discipline, seed: int) -> kernel.State:
    """Empty lines, no units, everything admitted."""
    nodes, tiers = venue.nodes or (ALONE,), len(venue.tiers)
    places = 1 if discipline.late else len(nodes)
    length = LONGEST if discipline.late else LONGEST // 8
    classes = 1 if discipline.lines == "one" else tiers
    return kernel.State(
        book=book_of(venue, orders),
        lines=kernel.Lines(
            ring=np.empty((places, classes, length), np.int32),
            head=np.zeros((places, classes), np.int64),
            count=np.zeros((places, classes), np.int64),
            limit=np.full(tiers, length - 1, np.int64),
        ),
        nodes=nodes_of(venue, nodes),
        gate=gate_of(venue, discipline),
        flight=empty_heap(len(nodes) * venue.pool.max_units + 1),
        again=empty_heap(len(orders)),
        counts=np.zeros(3, np.int64),
        levels=np.array([0.0, 1.0]),
        tally=np.zeros((2, tiers)),
        random=np.array([2 * seed + 0x9E3779B97F4A7C15], np.uint64),
    )


def book_of(venue: Venue, orders: Orders) -> kernel.Book:
    """Orders of unknown fate. A client leaves when its patience ends, or when its order could not be done in time any more."""
    ranks = np.array([venue.by_priority.index(tier) for tier in venue.tiers], np.int8)
    last = orders.deadline_s - orders.work / venue.pool.unit_rate_per_s
    count = len(orders)
    return kernel.Book(
        at=orders.at_s,
        line=ranks[orders.tier],
        work=orders.work,
        leave=orders.at_s + np.maximum(np.minimum(last, orders.patience_s), 1e-6),
        returns=orders.returns,
        begun=np.full(count, np.nan),
        ended=np.full(count, np.nan),
        node=np.full(count, -1, np.int16),
        fate=np.zeros(count, np.int8),
        tries=np.zeros(count, np.int8),
    )


def nodes_of(venue: Venue, nodes: tuple[Node, ...]) -> kernel.Nodes:
    """Nodes without units, with equal weights."""
    count = len(nodes)
    return kernel.Nodes(
        units=np.zeros(count, np.int64),
        busy=np.zeros(count, np.int64),
        queued=np.zeros(count, np.int64),
        rate=np.full(count, venue.pool.unit_rate_per_s),
        latency=np.array([node.latency_s for node in nodes]),
        seen_up=np.ones(count, np.bool_),
        chance=np.cumsum(np.full(count, 1 / count)),
        recent=np.array([node.latency_s for node in nodes]),
    )


def gate_of(venue: Venue, discipline: Discipline) -> kernel.Gate:
    """Nothing refused; shares by the tiers' demand and urgency; floors as the venue's under strict order."""
    tiers, strict = venue.by_priority, discipline.lines == "strict"
    count, many = len(tiers), 1e18
    return kernel.Gate(
        tokens=np.full(count, many),
        quota=np.full(count, many),
        burst=np.full(count, many),
        counted=np.zeros(count),
        share=fair_shares(venue),
        virtual=np.zeros(count),
        limit=np.full(1, many),
        floor=np.array([tier.floor_share if strict else 0.0 for tier in tiers]),
        credit=np.zeros(count),
    )
