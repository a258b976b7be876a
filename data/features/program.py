"""How many features are computed at once: as steps over arrays, each taken once and no further back than it is needed.

Decided here: history goes through the same steps as a live tick, block by block, so that columns stay in the processor's
cache; blocks share the cores that polars may use. Only quantiles are taken of all rows at once: they look back a long way.
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.features.kernels import Array, Kernel, newest

BLOCK = 8192  # rows


class Step(NamedTuple):
    """One column: a kernel and the places of its inputs; `reach`, of how many rows before its own it reads them.

    Steps of one `key` differ in their inputs only.
    """

    run: Kernel
    key: tuple[Any, ...]
    inputs: tuple[int, ...] = ()
    reach: int = 0


@dataclass(frozen=True)
class Program:
    """Steps over the columns of a tick table, which come first; `asked`, the places of what is asked for, by name.

    `before` is how many rows before the newest ones each step is needed for, `spent` what is not needed after it.
    """

    columns: tuple[str, ...]
    steps: tuple[Step, ...]
    asked: Mapping[str, int]
    before: tuple[int, ...]
    spent: tuple[tuple[int, ...], ...]

    @property
    def lookback(self) -> int:
        """Rows that are read for one, its own included."""
        return max(self.before, default=0) + 1

    def newest(self, table: Mapping[str, Array], rows: int) -> list[Array]:
        """The newest rows of every column that is asked for, from the columns of a table; NaN where unknown."""
        values: list[Any] = [table[name] for name in self.columns]
        length = min((len(column) for column in values), default=rows)
        with np.errstate(all="ignore"):
            for step, before, spent in zip(self.steps, self.before[len(values) :], self.spent, strict=True):
                values.append(step.run(min(length, rows + before), *[values[place] for place in step.inputs]))
                for place in spent:
                    values[place] = None
        return [newest(values[place], rows) for place in self.asked.values()]

    def whole(self, table: Mapping[str, Array], rows: int, dtype: type[np.floating[Any]] = np.float64) -> NDArray[Any]:
        """Every row of what is asked for, (asked, rows), from the columns (rows,) of a table; NaN where unknown."""
        ranked = {p: str(p) for p, step in enumerate(self.steps, len(self.columns)) if step.key[0] == "quantile"}
        if not ranked:
            return self.blocks(table, rows, dtype)
        steps = [self.steps[place - len(self.columns)] for place in ranked]
        read = self.cut({str(place): place for step in steps for place in step.inputs})
        inputs = dict(zip(read.asked, read.whole(table, rows), strict=True))
        with np.errstate(all="ignore"):
            found = {
                name: step.run(rows, *[inputs[str(place)] for place in step.inputs])
                for name, step in zip(ranked.values(), steps, strict=True)
            }
        return self.cut(self.asked, ranked).blocks({**table, **found}, rows, dtype)

    def blocks(self, table: Mapping[str, Array], rows: int, dtype: type[np.floating[Any]]) -> NDArray[Any]:
        """As `whole`, block by block."""
        found = np.empty((len(self.asked), rows), dtype)
        block = max(BLOCK, 2 * self.lookback)  # a block reads so many rows before it once more

        def fill(start: int) -> None:
            stop = min(rows, start + block)
            part = {name: table[name][max(0, start - self.lookback + 1) : stop] for name in self.columns}
            for row, values in zip(found, self.newest(part, stop - start), strict=True):
                row[start:stop] = values

        with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
            list(pool.map(fill, range(0, rows, block)))
        return found

    def cut(self, asked: Mapping[str, int], given: Mapping[int, str] = MappingProxyType({})) -> "Program":
        """A program for some places alone; `given` ones are columns of its own, by name."""
        first, needed = len(self.columns), set(asked.values())
        for place, step in reversed(list(enumerate(self.steps, first))):
            if place in needed and place not in given:
                needed.update(step.inputs)
        columns, steps = (*self.columns, *given.values()), list[Step]()
        new = {place: place for place in range(first)} | {place: first + i for i, place in enumerate(given)}
        for place, step in enumerate(self.steps, first):
            if place in needed and place not in given:
                new[place] = len(columns) + len(steps)
                steps.append(step._replace(inputs=tuple(new[of] for of in step.inputs)))
        wanted = {name: new[place] for name, place in asked.items()}
        return Program(columns, tuple(steps), wanted, *needs(len(columns), steps, wanted.values()))


def needs(
    columns: int, steps: Sequence[Step], asked: Collection[int]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """`before` of every place, and `spent` after every step."""
    before, last = [0] * (columns + len(steps)), dict[int, int]()
    for number, step in reversed(list(enumerate(steps))):
        for place in step.inputs:
            before[place] = max(before[place], before[columns + number] + step.reach)
            last.setdefault(place, number)
    spent: list[list[int]] = [[] for _ in steps]
    for place, number in last.items():
        if place >= columns and place not in asked:
            spent[number].append(place)
    return tuple(before), tuple(map(tuple, spent))
