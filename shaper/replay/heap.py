"""A binary heap of events in arrays, and how functions become machine code."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
NEVER = 1e300
njit: Any = numba.njit  # with options that its type does not name


class Heap(NamedTuple):
    """Events by time: key, order and node (capacity,) each, and the number of events (1,)."""

    key: Any
    order: Any
    node: Any
    size: Any


def compiled(function: F) -> F:
    """The function as machine code for other such functions: arrays are borrowed, so nothing counts references to them."""
    return cast(F, njit(_nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function))


def entry(function: F) -> F:
    """The function as machine code for Python, which is kept beside the source for the next process."""
    return cast(F, njit(_nrt=False, cache=True)(function))


def empty_heap(capacity: int) -> Heap:
    """A heap for so many events."""
    room = max(capacity, 1)
    return Heap(np.empty(room), np.empty(room, np.int64), np.empty(room, np.int64), np.zeros(1, np.int64))


@compiled
def least(heap: Any) -> Any:
    """Time of the first event."""
    return heap.key[0] if heap.size[0] > 0 else NEVER


@compiled
def push(heap: Any, key: float, order: int, node: int) -> None:
    """Add an event; of equal times the earlier order comes first."""
    i = heap.size[0]
    heap.size[0] = i + 1
    while i > 0:
        above = (i - 1) // 2
        if heap.key[above] < key or (heap.key[above] == key and heap.order[above] <= order):
            break
        heap.key[i], heap.order[i], heap.node[i] = heap.key[above], heap.order[above], heap.node[above]
        i = above
    heap.key[i], heap.order[i], heap.node[i] = key, order, node


@compiled
def pop(heap: Any) -> None:
    """Remove the first event."""
    last = heap.size[0] - 1
    heap.size[0] = last
    key, order, node = heap.key[last], heap.order[last], heap.node[last]
    i, child = 0, 1
    while child < last:
        right = child + 1
        if right < last and precedes(heap, right, child):
            child = right
        if key < heap.key[child] or (key == heap.key[child] and order <= heap.order[child]):
            break
        heap.key[i], heap.order[i], heap.node[i] = heap.key[child], heap.order[child], heap.node[child]
        i, child = child, 2 * child + 1
    heap.key[i], heap.order[i], heap.node[i] = key, order, node


@compiled
def precedes(heap: Any, i: int, j: int) -> Any:
    """Whether event i comes before event j."""
    return heap.key[i] < heap.key[j] or (heap.key[i] == heap.key[j] and heap.order[i] < heap.order[j])
