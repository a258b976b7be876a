"""Fluid queues in slots: strict priority between tiers, first in first out within one, expiry at the deadline.

In each slot the new orders join, capacity is spent on the oldest orders of the most urgent tier first, and then orders
that have waited for their whole deadline leave unserved. An order served in the slot it came in has waited 0 s.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from shaper.replay.trace import Floats, Trace
from shaper.venue import Venue

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Queues:
    """Books of a simulation, advanced in place: all (slots, tiers) in orders, tiers as in the venue.

    `served`, `expired` and `backlog` (at the end of the slot) are filled as slots pass; `waits[k, n]` counts the orders of
    tier k that were served after n slots or, in the last column of its deadline, left unserved.
    """

    left: Floats
    served: Floats
    expired: Floats
    backlog: Floats
    waits: Floats
    heads: Integers
    order: Integers
    deadlines: Integers


def open_queues(venue: Venue, trace: Trace) -> Queues:
    """Empty queues for a trace."""
    ranks = [tier.name for tier in venue.by_priority]
    names = [tier.name for tier in venue.tiers]
    deadlines = deadline_slots(venue, trace.slot_s)
    zeros = np.zeros_like(trace.work)
    return Queues(
        left=trace.work.astype(np.float64, copy=True),
        served=zeros.copy(),
        expired=zeros.copy(),
        backlog=zeros.copy(),
        waits=np.zeros((len(names), int(deadlines.max()) + 1)),
        heads=np.zeros(len(names), dtype=np.int64),
        order=np.array([names.index(name) for name in ranks], dtype=np.int64),
        deadlines=deadlines,
    )


def deadline_slots(venue: Venue, slot_s: float) -> Integers:
    """Deadlines in whole slots, rounded up, at least one: finer waits than a slot cannot be told apart."""
    return np.array([max(math.ceil(tier.deadline_s / slot_s - 1e-9), 1) for tier in venue.tiers], dtype=np.int64)


def advance(queues: Queues, first: int, capacity: Floats) -> None:
    """Pass the slots from `first` on, one per entry of `capacity` (orders that can be served in the slot)."""
    q = queues
    _compiled()(q.left, q.served, q.expired, q.backlog, q.waits, q.heads, q.order, q.deadlines, first, capacity)


@cache
def _compiled() -> Callable[..., None]:
    """The loop as machine code; numba is loaded here, on the first use."""
    import numba

    return cast(Callable[..., None], numba.njit(_advance))


def _advance(
    left: Any,
    served: Any,
    expired: Any,
    backlog: Any,
    waits: Any,
    heads: Any,
    order: Any,
    deadlines: Any,
    first: int,
    capacity: Any,
) -> None:
    for i in range(len(capacity)):
        slot, room = first + i, capacity[i]
        for k in order:
            backlog[slot, k] = (backlog[slot - 1, k] if slot > 0 else 0.0) + left[slot, k]
            while room > 0 and heads[k] <= slot:
                oldest = heads[k]
                taken = min(left[oldest, k], room)
                room -= taken
                left[oldest, k] -= taken
                served[slot, k] += taken
                waits[k, slot - oldest] += taken
                if left[oldest, k] > 0:
                    break
                heads[k] += 1
            while heads[k] <= slot - deadlines[k]:
                gone = left[heads[k], k]
                left[heads[k], k] = 0.0
                expired[slot, k] += gone
                waits[k, deadlines[k]] += gone
                heads[k] += 1
            backlog[slot, k] = max(backlog[slot, k] - served[slot, k] - expired[slot, k], 0.0)
