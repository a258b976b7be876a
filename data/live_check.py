"""Rows that come into a running process, against the rules of their table.

Decided here: how a few rows are found sound without a query each: the limits of columns side by side, rules of several
columns by the kernels of features. Rows that are not found sound so are looked at as any other table is, which tells the fault.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.features.compiler import compiled
from data.features.kernels import Array
from data.features.program import Program
from data.schemas import TABLES, Table
from data.validation import canonical, faults

# Broken in one frame, these are put right by merging it with the rows that are held.
ORDER_RULES = frozenset({"rows_in_order", "no_duplicates", "time_goes_forward"})
COLUMN_RULES = frozenset({"nullability", "nan", "inf", "min", "min_exclusive", "max"})  # in `Limits`


def checked(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The canonical rows of a frame. Raises DataError at the first fault other than their order."""
    rows = frame if frame.schema == types(table.name) else canonical(frame.lazy(), table, "rows").collect()
    if not is_sound(rows, table.name):
        for fault in faults(rows, table):
            if fault.rule not in ORDER_RULES:
                raise fault.error("rows")
    return rows


def is_sound(rows: pl.DataFrame, name: str) -> bool:
    """Whether all rows of a table keep its rules but those of order. As in `faults`, unknown is no fault."""
    if rows.is_empty():
        return True
    by_column, of_rows = within(rows, bounds(name)), across(name)
    table = {key: numbers(rows, key) for key in of_rows.columns if by_column}
    return by_column and all(kept.all() for kept in of_rows.newest(table, rows.height))


@dataclass(frozen=True)
class Limits:
    """Columns (n,) that may be null, the numeric ones (m,), and what values of those are: at least, above and at most (m, 1)."""

    nullable: NDArray[np.bool_]
    numeric: NDArray[np.intp]
    least: NDArray[np.float64]
    above: NDArray[np.float64]
    most: NDArray[np.float64]


@cache
def bounds(name: str) -> Limits:
    """The rules of a table that look at one column."""
    columns = list(TABLES[name].schema.columns().values())
    numeric = [place for place, own in enumerate(columns) if own.dtype.is_numeric()]

    def limit(rule: str, otherwise: float) -> NDArray[np.float64]:
        found = [getattr(columns[place], rule, None) for place in numeric]
        return np.array([[otherwise if value is None else value] for value in found], np.float64)

    return Limits(
        np.array([own.nullable for own in columns]),
        np.array(numeric, np.intp),
        limit("min", -np.inf),
        limit("min_exclusive", -np.inf),
        limit("max", np.inf),
    )


def within(rows: pl.DataFrame, limits: Limits) -> bool:
    """Whether all known values of each column are finite and within its limits, and unknown only where that may be."""
    columns = rows.get_columns()
    unknown = np.array([column.null_count() for column in columns])
    if unknown[~limits.nullable].any():
        return False
    values = np.array([columns[place].to_numpy() for place in limits.numeric.tolist()], np.float64)
    sound = (values >= limits.least) & (values > limits.above) & (values <= limits.most) & np.isfinite(values)
    return bool((sound.sum(1) + unknown[limits.numeric] == rows.height).all())


@cache
def across(name: str) -> Program:
    """The rules of a table but those of order and those in `bounds`; what they say of unknown values is no fault yet."""
    every = TABLES[name].schema._validation_rules(with_cast=False).items()
    kinds = ORDER_RULES | COLUMN_RULES
    return compiled({key: rule.expr for key, rule in every if key.rpartition("|")[2] not in kinds})


def numbers(rows: pl.DataFrame, name: str) -> Array:
    """A column as it is looked at: times in their own unit, numbers, NaN where unknown."""
    column = rows[name]
    return column.to_numpy().view(np.int64) if column.dtype.is_temporal() else column.to_numpy()


@cache
def types(name: str) -> pl.Schema:
    """The types of a table's columns, in canonical order."""
    return pl.Schema(TABLES[name].dtypes)


def last_known_at(rows: pl.DataFrame, table: Table) -> datetime:
    """When the last of some rows is knowable."""
    lag_s = rows[table.lag_s].to_numpy() if isinstance(table.lag_s, str) else table.lag_s
    last: datetime = (rows["ts"].to_numpy() + lag_s * np.timedelta64(1, "s")).max().item()
    return last.replace(tzinfo=UTC)
