"""The least that single orders could have cost: the clairvoyant's programme with the event replay's prices.

It is that of `shaper.replay.clairvoyant` in short slots, with a review in each, but waiting is charged only beyond what
slots cannot see: an order that is still there two slots after its own has waited at least one slot less. z is the orders
that are charged for, z(t) ≥ q(t) − a(t) − a(t−1). Units serve at the nodes' health, every order served pays the cheapest fee, no
unit is whole, and deadlines are rounded up, so that no run of the event replay costs less (with work that varies: on average,
for policies that do not know it beforehand).
"""

import math

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from shaper.replay.clairvoyant import Axes, bounds, costs, pool_rows
from shaper.replay.events import TICK_S, Stage
from shaper.replay.gateway import ALONE
from shaper.replay.trace import Floats, ReplayError

SLOT_S = 5.0


def least_cost_usd(stage: Stage, slot_s: float = SLOT_S) -> float:
    """Optimum of the programme over the whole stretch, in USD. Raises ReplayError if the solver fails."""
    venue, tiers = stage.venue, len(stage.venue.tiers)
    came = stage.orders.by_slot(slot_s, tiers)
    axes = Axes(len(came), tiers, 1, math.floor(venue.pool.actuation_delay_s / slot_s + 1e-9))
    cells, fee = came.size, min(node.fee_usd for node in venue.nodes or (ALONE,))
    price = costs(venue, slot_s, axes)
    waiting = price[:cells].copy()
    price[:cells] = 0.0
    price[cells : 2 * cells] -= fee
    limits, most = _rows(stage, came, axes, slot_s)
    balance = pool_rows(axes)
    ranges = bounds(venue, slot_s, came, axes)
    found = linprog(
        np.concatenate([price, waiting]),
        A_ub=limits,
        b_ub=most,
        A_eq=sparse.hstack([balance, sparse.csr_array((balance.shape[0], cells))]).tocsr(),
        b_eq=np.zeros(balance.shape[0]),
        bounds=np.vstack([ranges, np.column_stack([np.zeros(cells), np.full(cells, np.inf)])]),
        method="highs",
    )
    if found.status != 0:
        raise ReplayError(f"the clairvoyant programme was not solved: {found.message}")
    return float(found.fun + fee * came.sum())


def _rows(stage: Stage, came: Floats, axes: Axes, slot_s: float) -> tuple[sparse.csr_array, Floats]:
    """Work served is at most what healthy units can do, nothing is served before it comes, and old orders are charged for."""
    cells, slots, tiers = axes.sizes[0], axes.slots, axes.tiers
    load = _mean_work(stage, tiers)
    grown = sparse.eye_array(cells, k=-tiers) - sparse.eye_array(cells)
    rest, one = sum(axes.sizes[3:]), sparse.eye_array(cells)
    served = sparse.hstack([grown, -one])
    by_slot = sparse.kron(sparse.eye_array(slots), load[None, :])
    unit = sparse.diags_array(-stage.venue.pool.unit_rate_per_s * slot_s * _health(stage, slots, slot_s))
    none = sparse.csr_array((slots, rest + cells))
    capacity = sparse.hstack([by_slot @ served, unit, none])
    floor = sparse.hstack([-served, sparse.csr_array((cells, slots + rest + cells))])
    charged = sparse.hstack([one, sparse.csr_array((cells, cells + slots + rest)), -one])
    recent = came + np.vstack([np.zeros((1, tiers)), came[:-1]])
    most = np.concatenate([-(came @ load), came.ravel(), recent.ravel()])
    return sparse.vstack([capacity, floor, charged]).tocsr(), most


def _mean_work(stage: Stage, tiers: int) -> Floats:
    count = np.bincount(stage.orders.tier, minlength=tiers)
    total = np.bincount(stage.orders.tier, stage.orders.work, tiers)
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def _health(stage: Stage, slots: int, slot_s: float) -> Floats:
    """Share of the pool's rate that faults leave, at its best within each slot and a tick around it."""
    weights = np.array([node.capacity_per_s for node in stage.venue.nodes or (ALONE,)])
    health = stage.speeds() @ (weights / weights.sum())
    edges = [(int(t * slot_s / TICK_S), math.ceil((t + 1) * slot_s / TICK_S) + 1) for t in range(slots)]
    return np.array([health[min(a, len(health) - 1) : b].max() for a, b in edges])
