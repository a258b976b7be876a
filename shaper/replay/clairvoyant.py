"""The least any policy could have cost, knowing all orders in advance: a linear programme over the same slots.

Per tier k and slot t: q the queue at its end, x the orders given up, so that q₋₁ + a − x − q ≥ 0 are served; per review u
units ordered and r released; y units ready, b ordered:

    min  Σ slot·delay_k·q + reject_k·x + slot·cost·b
    s.t. Σ_k served(k, t) ≤ rate·slot·y(t),   q(k, t) ≤ orders of tier k in the last deadline_k slots,
         y(t) = y(t−1) + u(t − delay) − r(t),   b(t) = b(t−1) + u(t) − r(t),   min ≤ b ≤ max,   u, r ≤ change limit.

Every course of the simulator obeys these (it also serves by priority, in whole units, and gives up only at the deadline), so
the optimum is a lower bound. The trace is solved in chunks, each of which starts with no queue and any pool it likes: that
lowers the bound, never lifts it.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from shaper.replay.course import Price, Progress, price_of, review_slots, silent
from shaper.replay.simulator import deadline_slots
from shaper.replay.trace import Floats, ReplayError, Trace
from shaper.venue import Venue


@dataclass(frozen=True, slots=True, eq=False)
class Optimum:
    """The bound's price and its course: units ordered and ready (slots,), queue and orders given up (slots, tiers)."""

    price: Price
    ordered: Floats
    ready: Floats
    queue: Floats
    given_up: Floats


@dataclass(frozen=True, slots=True)
class Axes:
    """Sizes of a chunk: slots, tiers, slots per review and slots of actuation delay."""

    slots: int
    tiers: int
    step: int
    delay: int

    @property
    def reviews(self) -> int:
        """Reviews within the chunk."""
        return -(-self.slots // self.step)

    @property
    def early(self) -> int:
        """Reviews before the chunk whose orders may arrive in it."""
        return -(-self.delay // self.step)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of variables: queue and given up (slot by tier), ready (slot), ordered b, u (early ones first), r (review)."""
        cells = self.slots * self.tiers
        return cells, cells, self.slots, self.reviews, self.early + self.reviews, self.reviews


def optimum(venue: Venue, trace: Trace, chunk_s: float = 3600.0, progress: Progress = silent) -> Optimum:
    """Solve a trace chunk by chunk. Raises ReplayError if the solver fails."""
    step = review_slots(venue, trace.slot_s)
    size = max(round(chunk_s / venue.review_s), 1) * step
    parts = []
    for first in range(0, trace.slots, size):
        progress(first / trace.slots, "clairvoyant")
        parts.append(_solve(venue, trace.slot_s, trace.work[first : first + size]))
    ordered, ready, queue, given_up = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    books = price_of(venue, trace.slot_s, queue, given_up, ordered)
    return Optimum(books, ordered, ready, queue, given_up)


def _solve(venue: Venue, slot_s: float, work: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Units ordered and ready by slot, queue and orders given up by slot and tier, of one chunk."""
    delay = math.ceil(venue.pool.actuation_delay_s / slot_s - 1e-9)
    axes = Axes(len(work), len(venue.tiers), review_slots(venue, slot_s), delay)
    balance = pool_rows(axes)
    limits, most = _service_rows(axes, work, venue.pool.unit_rate_per_s * slot_s)
    found = linprog(
        costs(venue, slot_s, axes),
        A_ub=limits,
        b_ub=most,
        A_eq=balance,
        b_eq=np.zeros(balance.shape[0]),
        bounds=bounds(venue, slot_s, work, axes),
        method="highs",
    )
    if found.status != 0:
        raise ReplayError(f"the clairvoyant programme was not solved: {found.message}")
    queue, given_up, ready, ordered, _, _ = np.split(found.x, np.cumsum(axes.sizes)[:-1])
    return np.repeat(ordered, axes.step)[: axes.slots], ready, queue.reshape(work.shape), given_up.reshape(work.shape)


def costs(venue: Venue, slot_s: float, axes: Axes) -> Floats:
    """Cost of every variable, in their order."""
    delay = [slot_s * tier.delay_cost_usd_per_s for tier in venue.tiers]
    reject = [tier.reject_cost_usd for tier in venue.tiers]
    spans = np.full(axes.reviews, float(axes.step))
    spans[-1] = axes.slots - (axes.reviews - 1) * axes.step
    free = np.zeros(axes.sizes[4] + axes.sizes[5])
    pool = spans * slot_s * venue.pool.cost_usd_per_unit_s
    return np.concatenate([np.tile(delay, axes.slots), np.tile(reject, axes.slots), np.zeros(axes.slots), pool, free])


def bounds(venue: Venue, slot_s: float, work: Floats, axes: Axes) -> Floats:
    """Lower and upper bound of every variable, (variables, 2); a queue holds nothing older than the deadline."""
    pool = venue.pool
    total = np.vstack([np.zeros((1, axes.tiers)), np.cumsum(work, axis=0)])
    since = np.maximum(np.arange(1, axes.slots + 1)[:, None] - deadline_slots(venue, slot_s), 0)
    recent = total[1:] - np.take_along_axis(total, since, axis=0)
    change = float(pool.max_units if pool.max_change_units is None else pool.max_change_units)
    upper = [
        recent.ravel(),
        np.full(axes.sizes[1], np.inf),
        *(np.full(n, float(pool.max_units)) for n in axes.sizes[2:4]),
    ]
    lower = [np.zeros(n) for n in (*axes.sizes[:3],)] + [np.full(axes.reviews, float(pool.min_units))]
    lower.append(np.zeros(axes.sizes[4] + axes.sizes[5]))
    upper.append(np.full(axes.sizes[4] + axes.sizes[5], change))
    return np.column_stack([np.concatenate(lower), np.maximum(np.concatenate(upper), np.concatenate(lower))])


def _service_rows(axes: Axes, work: Floats, unit_orders: float) -> tuple[Any, Floats]:
    """What is served in a slot is at most what ready units can, and in no tier below 0."""
    cells, slots = axes.sizes[0], axes.slots
    grown = sparse.eye_array(cells, k=-axes.tiers) - sparse.eye_array(cells)
    served = sparse.hstack([grown, -sparse.eye_array(cells)])  # and the orders that came
    by_slot = sparse.kron(sparse.eye_array(slots), np.ones((1, axes.tiers)))
    rest = sum(axes.sizes[3:])
    capacity = sparse.hstack(
        [by_slot @ served, -unit_orders * sparse.eye_array(slots), sparse.csr_array((slots, rest))]
    )
    floor = sparse.hstack([-served, sparse.csr_array((cells, slots + rest))])
    return sparse.vstack([capacity, floor]).tocsr(), np.concatenate([-work.sum(axis=1), work.ravel()])


def pool_rows(axes: Axes) -> Any:
    """Balances of ready units by slot and of ordered units by review, each from the second on, and of the first b."""
    entries: list[tuple[int, int, float]] = []
    ready, ordered, placed, released = (int(start) for start in np.cumsum(axes.sizes)[1:5])
    for slot in range(1, axes.slots):
        entries += [(slot, ready + slot, 1.0), (slot, ready + slot - 1, -1.0)]
        if slot % axes.step == 0:
            entries.append((slot, released + slot // axes.step, 1.0))
    for order in range(-axes.early, axes.reviews):
        due = order * axes.step + axes.delay
        if 0 < due < axes.slots:
            entries.append((due, placed + axes.early + order, -1.0))
        if order <= 0 < due:
            entries.append((0, placed + axes.early + order, -1.0))
    entries += [(0, ordered, 1.0), (0, ready, -1.0)]
    for review in range(1, axes.reviews):
        row = axes.slots + review - 1
        entries += [(row, ordered + review, 1.0), (row, ordered + review - 1, -1.0)]
        entries += [(row, placed + axes.early + review, -1.0), (row, released + review, 1.0)]
    rows, columns, values = zip(*entries, strict=True)
    return sparse.csr_array((values, (rows, columns)), shape=(axes.slots + axes.reviews - 1, sum(axes.sizes)))
