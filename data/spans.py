"""Runs of consecutive rows, one for each tick, and exact measures of them; columns by tick as arrays.

Decided here: rows that are in the order of time are grouped by where a tick starts and ends among them, and sums are taken
of whole numbers, so that no row outside a run can change a bit of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.fixedpoint import SCALE
from data.timeline import TICK, TICK_TYPE

FEW = 4096  # rows
Columns = dict[str, NDArray[np.float64]]  # values (n,) by name of the column, NaN where unknown


@dataclass(frozen=True)
class Ticks:
    """The ticks that columns are made for: `end` (n,) ms since 1970, contiguous, and the columns that are there already."""

    end: NDArray[np.int64]
    tick_s: int
    columns: Columns

    @property
    def unknown(self) -> NDArray[np.float64]:
        """A column (n,) of unknown values."""
        return np.full(len(self.end), np.nan)


@dataclass(frozen=True)
class Spans:
    """Rows [start, end) of each tick, (n,) each; a span may be empty."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]

    @cached_property
    def filled(self) -> NDArray[np.bool_]:
        """Where a span has rows."""
        return self.end > self.start

    @cached_property
    def all_filled(self) -> bool:
        """Whether each span has rows."""
        return bool(self.filled.all())

    def total(self, values: NDArray[np.int64] | NDArray[np.bool_]) -> NDArray[np.int64]:
        """Sum of whole numbers (..., rows) by span (..., n), 0 of nothing."""
        sums = np.zeros((*values.shape[:-1], values.shape[-1] + 1), np.int64)
        np.cumsum(values, axis=-1, out=sums[..., 1:])
        return np.asarray(sums[..., self.end] - sums[..., self.start])

    def most(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Largest value (..., rows) by span (..., n), ignoring NaN; NaN where there is none."""
        found = np.full((*values.shape[:-1], len(self.start)), np.nan)
        if self.filled.any():
            edges = np.stack([self.start[self.filled], self.end[self.filled]], 1).ravel()
            padded = np.full((*values.shape[:-1], values.shape[-1] + 1), np.nan)
            padded[..., :-1] = values  # reduceat wants every edge to be an index
            found[..., self.filled] = np.fmax.reduceat(padded, edges, axis=-1)[..., ::2]
        return found

    def mosts(self, *columns: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
        """As `most`, of several columns."""
        return side_by_side(self.most, columns)

    def first(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Value of the first row by span, NaN where there is none."""
        return self.at(values, self.start)

    def last(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Value of the last row by span, NaN where there is none."""
        return self.at(values, self.end - 1)

    def at(self, values: NDArray[np.float64], index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Value at a row of each span, NaN where it has none."""
        if self.all_filled:
            return np.asarray(values[index])
        found = np.full(len(index), np.nan)
        found[self.filled] = values[index[self.filled]]
        return found

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of the known values (..., rows) by span (..., n) as a sum in fixed point, NaN where there is none."""
        known = ~np.isnan(values)
        total = self.total(np.rint(np.where(known, values, 0.0) * SCALE).astype(np.int64))
        return ratio(total / SCALE, self.total(known))

    def means(self, *columns: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
        """As `mean`, of several columns."""
        return side_by_side(self.mean, columns)


def side_by_side(
    measure: Callable[[NDArray[np.float64]], NDArray[np.float64]], columns: Sequence[NDArray[np.float64]]
) -> Sequence[NDArray[np.float64]]:
    """A measure of each column: at once where they are short, for then it is calls that cost and not memory."""
    return list(measure(np.array(columns)) if len(columns[0]) <= FEW else map(measure, columns))


def ratio(part: NDArray[np.float64] | NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Part over whole, NaN where the whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0))


def instants(times: pl.Series) -> NDArray[np.int64]:
    """A column of times as whole numbers since 1970, in its own unit (ms but for single arrivals)."""
    return times.to_numpy().view(np.int64)


def spans(ticks: Ticks, ts: NDArray[np.int64]) -> Spans:
    """Where the rows with T - tick_s <= ts < T lie, for each tick T; `ts` (ms) is ascending."""
    return Spans(np.searchsorted(ts, ticks.end - 1000 * ticks.tick_s), np.searchsorted(ts, ticks.end))


def newest_before(ticks: Ticks, ts: NDArray[np.int64], max_age_s: int) -> NDArray[np.int64]:
    """Index of the last row with ts < T and T - ts < max_age_s, for each tick T, -1 where there is none.

    For tables whose rows are known when they happen; `ts` (ms) is ascending.
    """
    index = np.searchsorted(ts, ticks.end) - 1
    age_ms = ticks.end - np.append(ts, np.iinfo(np.int64).min // 2)[index]
    return np.where((index >= 0) & (age_ms < 1000 * max_age_s), index, -1)


def tick_frame(end: NDArray[np.int64], columns: Columns) -> pl.DataFrame:
    """`tick` and the columns, null where unknown."""
    ticks = pl.Series(TICK, end).cast(TICK_TYPE)
    return pl.DataFrame(
        [ticks, *(pl.Series(name, values, pl.Float64, nan_to_null=True) for name, values in columns.items())]
    )


def numbers(rows: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """A column as numbers, NaN where unknown."""
    column = rows[name]
    return (column if column.dtype == pl.Float64 else column.cast(pl.Float64)).to_numpy()


def taken(values: NDArray[np.float64], index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values at some places, NaN at place -1."""
    return np.asarray(np.append(values, np.nan)[index])


def is_of(symbols: pl.Series, symbol: str) -> NDArray[np.bool_]:
    """Which of some symbols are one."""
    if len(symbols) > FEW:
        return (symbols == symbol).to_numpy()
    return np.array([own == symbol for own in symbols.to_list()], np.bool_)
