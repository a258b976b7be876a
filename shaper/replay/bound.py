"""The least that single orders could have cost: the clairvoyant's programme with the event replay's prices.

It is that of `shaper.replay.clairvoyant` in short slots, with a review in each, and what the replay's physics forces besides.
Work is done on nodes, w(t, k, n) orders of tier k on node n, each at that node's fee and at the price of its latency beyond the
quickest one's; a node does no more than its units can, which are its share of the pool's and less than one more:

    Σ_n w(t, k, n) = served(t, k),    Σ_k load_k·w(t, k, n) ≤ rate·slot·speed_n(t)·(share_n·(y(t) + r(t)) + 1),

y + r because units released within a slot still finish what they have. Waiting is charged only where slots can see it. An order
of slot s that is still there at the end of slot s + m has waited at least m·slot less its own work, of W seconds at the most:
z₁(t) ≥ q(t) − a(t) are charged slot − W seconds, z₂(t) ≥ q(t) − a(t) − a(t−1) another W. No unit is whole and deadlines are
rounded up, so that no run of the event replay costs less (with work that varies: on average, for policies that do not know it
beforehand).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from shaper.replay.clairvoyant import Axes, bounds, costs, pool_rows
from shaper.replay.events import TICK_S, Stage
from shaper.replay.gateway import ALONE
from shaper.replay.trace import Floats, ReplayError

SLOT_S = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Programme:
    """What the programme is made of: orders by slot and tier, its axes, and (slots, nodes) speeds at each slot's best."""

    stage: Stage
    slot_s: float
    came: Floats
    axes: Axes
    speeds: Floats

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of variables: of the clairvoyant, of each charge, and of work by slot, tier and node."""
        return sum(self.axes.sizes), self.came.size, self.came.size * self.speeds.shape[1]


def least_cost_usd(stage: Stage, slot_s: float = SLOT_S) -> float:
    """Optimum of the programme over the whole stretch, in USD. Raises ReplayError if the solver fails."""
    came = stage.orders.by_slot(slot_s, len(stage.venue.tiers))
    axes = Axes(len(came), came.shape[1], 1, math.floor(stage.venue.pool.actuation_delay_s / slot_s + 1e-9))
    made = Programme(stage, slot_s, came, axes, _speeds(stage, len(came), slot_s))
    (most_rows, most), (equal_rows, equal) = _most(made), _equal(made)
    low_high = np.vstack(
        [bounds(stage.venue, slot_s, came, axes), np.tile((0.0, np.inf), (2 * made.sizes[1] + made.sizes[2], 1))]
    )
    found = linprog(
        _prices(made), A_ub=most_rows, b_ub=most, A_eq=equal_rows, b_eq=equal, bounds=low_high, method="highs"
    )
    if found.status != 0:
        raise ReplayError(f"the clairvoyant programme was not solved: {found.message}")
    return float(found.fun)


def _prices(made: Programme) -> Floats:
    """USD of every variable: of the clairvoyant's (waiting apart), of both charges, and of work on a node."""
    venue, slot_s, cells = made.stage.venue, made.slot_s, made.came.size
    nodes = venue.nodes or (ALONE,)
    price = costs(venue, slot_s, made.axes)
    waiting = price[:cells].copy()
    price[:cells] = 0.0
    work = made.stage.orders.work
    own_s = min(float(work.max(initial=0.0)) / venue.pool.unit_rate_per_s, slot_s)
    beyond_s = np.array([node.latency_s for node in nodes]) - min(node.latency_s for node in nodes)
    second = np.array([tier.delay_cost_usd_per_s for tier in venue.tiers])
    served = second[:, None] * beyond_s + np.array([node.fee_usd for node in nodes])
    charges = (waiting * (1 - own_s / slot_s), waiting * own_s / slot_s)
    return np.concatenate([price, *charges, np.tile(served.ravel(), made.axes.slots)])


def _served(axes: Axes) -> sparse.csr_array:
    """Orders served by slot and tier, less those that came, as rows over the clairvoyant's variables."""
    cells = axes.sizes[0]
    grown = sparse.eye_array(cells, k=-axes.tiers) - sparse.eye_array(cells)
    return sparse.hstack([grown, -sparse.eye_array(cells), sparse.csr_array((cells, sum(axes.sizes[2:])))]).tocsr()


def _most(made: Programme) -> tuple[sparse.csr_array, Floats]:
    """Units, all and by node, do no more work than they can, and old orders are charged for."""
    axes, came, (first, cells, works) = made.axes, made.came, made.sizes
    slots, nodes = made.speeds.shape
    can = made.stage.venue.pool.unit_rate_per_s * made.slot_s
    load = _mean_work(made.stage, axes.tiers)
    ready, released = (int(start) for start in np.cumsum(axes.sizes)[[1, 4]])
    picked = _picked(slots, first, ready)
    either = picked + _picked(slots, first, released)  # a review in each slot
    share = np.array([node.capacity_per_s for node in made.stage.venue.nodes or (ALONE,)])
    share = share / share.sum()
    lost = 1 - made.speeds
    one, none = sparse.eye_array(cells), sparse.csr_array((cells, cells))
    in_all = sparse.kron(sparse.eye_array(slots), np.tile(load[:, None], (1, nodes)).ravel()[None, :])
    by_node = sparse.kron(sparse.eye_array(slots), sparse.kron(load[None, :], sparse.eye_array(nodes)))
    of_node = sparse.kron(either, np.ones((nodes, 1))).multiply((can * made.speeds * share).reshape(-1, 1))
    of_sound = either.multiply((can * (made.speeds @ share)).reshape(-1, 1))
    waits = sparse.hstack([one, sparse.csr_array((cells, first - cells))])
    rows = [
        [-can * picked, None, None, in_all],
        [-of_sound, None, None, in_all],
        [-of_node, None, None, by_node],
        [waits, -one, none, None],
        [waits, none, -one, sparse.csr_array((cells, works))],
    ]
    recent = came + np.vstack([np.zeros((1, axes.tiers)), came[:-1]])
    most = [np.zeros(slots), can * lost.sum(axis=1), can * made.speeds.ravel(), came.ravel(), recent.ravel()]
    return sparse.block_array(rows).tocsr(), np.concatenate(most)


def _equal(made: Programme) -> tuple[sparse.csr_array, Floats]:
    """The pool's balances, and that what is served is served on some node."""
    balance, (_, cells, works) = pool_rows(made.axes), made.sizes
    on_nodes = sparse.kron(sparse.eye_array(cells), np.ones((1, made.speeds.shape[1])))
    rows = [
        [balance, sparse.csr_array((balance.shape[0], 2 * cells)), sparse.csr_array((balance.shape[0], works))],
        [-_served(made.axes), sparse.csr_array((cells, 2 * cells)), on_nodes],
    ]
    return sparse.block_array(rows).tocsr(), np.concatenate([np.zeros(balance.shape[0]), made.came.ravel()])


def _picked(slots: int, columns: int, start: int) -> sparse.csr_array:
    """Rows that pick `slots` variables from `start` on."""
    places = (np.ones(slots), (np.arange(slots), start + np.arange(slots)))
    return sparse.csr_array(places, shape=(slots, columns))


def _mean_work(stage: Stage, tiers: int) -> Floats:
    count = np.bincount(stage.orders.tier, minlength=tiers)
    total = np.bincount(stage.orders.tier, stage.orders.work, tiers)
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def _speeds(stage: Stage, slots: int, slot_s: float) -> Floats:
    """Share of its rate that each node's units have, (slots, nodes), at its best within each slot and a tick around it."""
    speeds = stage.speeds()
    edges = [(int(t * slot_s / TICK_S), math.ceil((t + 1) * slot_s / TICK_S) + 1) for t in range(slots)]
    return np.array([speeds[min(a, len(speeds) - 1) : b].max(axis=0) for a, b in edges])
