"""One row of a program in few steps: those that do the same are taken side by side, as one step over an array.

Decided here: the order of steps, and how each kind takes a single row from what is kept of the rows before it. Elementwise
kernels are those of history; a sum grows by its row, and a window is the difference of two sums.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from data.features.kernels import ROWWISE, Array
from data.features.program import Step
from data.fixedpoint import GRAINS

SUMS = ("grains", "wholes", "counts")
OF_SUMS = ("mean", "sum")
Index = NDArray[np.intp]


class Kept(Protocol):
    """What is kept by row up to the row at place `at`, which is being computed: `memory` (columns, places)."""

    memory: Array
    at: int


Work = Callable[[NDArray[np.float64], Kept, Kept], None]  # (values by place, kept values, kept sums) -> fills places


class Placed(NamedTuple):
    """A step and its place."""

    place: int
    step: Step


def rounds(steps: Sequence[Placed], known: Collection[int]) -> Iterator[list[Placed]]:
    """The steps in groups of one kind, each after those it needs; `known` places are there already."""
    there, left = set(known), list(steps)
    while left:
        kinds = dict[Any, list[Placed]]()
        for placed in left:
            if placed.step.key[0] == "shift" or there.issuperset(placed.step.inputs):
                kinds.setdefault(kind(placed.step), []).append(placed)
        group = max(kinds.values(), key=len)
        there.update(placed.place for placed in group)
        left = [placed for placed in left if placed.place not in there]
        yield group


def kind(step: Step) -> tuple[Any, ...]:
    """What steps must have in common to be taken side by side."""
    return step.key[:1] if step.key[0] in ("shift", *OF_SUMS) else (*step.key, len(step.inputs))


def work(group: Sequence[Placed], rows: Mapping[int, int]) -> Work:
    """What computes the places of a group; `rows` says which row of what is kept a place has."""
    name, out = group[0].step.key[0], np.array([placed.place for placed in group])
    inputs = [np.array(places) for places in zip(*(placed.step.inputs for placed in group), strict=True)]
    held = [np.array([rows.get(place, -1) for place in places]) for places in inputs]
    numbers = [np.array(values) for values in zip(*(placed.step.key[1:] for placed in group), strict=True)]
    match name:
        case "shift":
            return shifted(out, *held, *numbers)
        case "mean" | "sum":
            return windows(name, out, held, *numbers)
        case "most" | "quantile":
            return selected(group, rows)
        case "grains" | "wholes" | "counts":
            return grown(name, np.array([rows[place] for place in out.tolist()]), inputs)
        case "known":
            return elementwise(np.isfinite, out, inputs)
    return elementwise(ROWWISE.get(name) or partial(group[0].step.run, len(out)), out, inputs)


def elementwise(run: Callable[..., Any], out: Index, inputs: Sequence[Index]) -> Work:
    """Of values of the same row."""

    def fill(now: NDArray[np.float64], _values: Kept, _sums: Kept) -> None:
        now[out] = run(*[now.take(places) for places in inputs])

    return fill


def shifted(out: Index, rows: Index, ticks: Index) -> Work:
    """Values some rows ago."""

    def fill(now: NDArray[np.float64], values: Kept, _sums: Kept) -> None:
        now[out] = values.memory[rows, values.at - ticks]

    return fill


def grown(name: str, rows: Index, inputs: Sequence[Index]) -> Work:
    """Sums up to this row."""

    def fill(now: NDArray[np.float64], _values: Kept, sums: Kept) -> None:
        added = now[inputs[0]]
        if name != "counts":
            added = np.where(now[inputs[1]] > 0, np.rint(added * GRAINS) if name == "grains" else added, 0.0)
        sums.memory[rows, sums.at] = sums.memory[rows, sums.at - 1] + added.astype(np.int64)

    return fill


def windows(name: str, out: Index, rows: Sequence[Index], window: Index, least: Index) -> Work:
    """Means, or sums, of the known values of a window."""

    def fill(now: NDArray[np.float64], _values: Kept, sums: Kept) -> None:
        total, count = (sums.memory[of, sums.at] - sums.memory[of, sums.at - window] for of in rows)
        known = np.where(count < least, np.nan, count)
        now[out] = total / (known * GRAINS) if name == "mean" else np.where(np.isnan(known), np.nan, total)

    return fill


def selected(group: Sequence[Placed], rows: Mapping[int, int]) -> Work:
    """One of the values of a window, or one between two of them."""
    each = [(placed.place, placed.step.inputs[0], placed.step) for placed in group]

    def fill(now: NDArray[np.float64], values: Kept, _sums: Kept) -> None:
        at = values.at
        for place, of, step in each:
            kept = values.memory[rows[of]]
            kept[at] = now[of]
            now[place] = step.run(1, kept[at - step.reach : at + 1])[0]

    return fill
