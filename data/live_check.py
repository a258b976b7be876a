"""Rows that come into a running process, against the rules of their table.

Decided here: how a few rows are found sound without a query each: the limits of a column by its extremes, rules of several
columns by the kernels of features. Rows that are not found sound so are looked at as any other table is, which tells the fault.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import polars as pl

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
    by_column = all(keeps(rows[key], limits) for key, limits in bounds(name))
    of_rows = across(name)
    table = {key: numbers(rows, key) for key in of_rows.columns if by_column}
    return by_column and all(kept.all() for kept in of_rows.newest(table, rows.height))


@dataclass(frozen=True)
class Limits:
    """What a value of a column may be: null or not, at `least` and at `most`, above `above`."""

    nullable: bool
    least: float | None = None
    above: float | None = None
    most: float | None = None


@cache
def bounds(name: str) -> tuple[tuple[str, Limits], ...]:
    """The rules of a table that look at one column, by column."""
    return tuple(
        (key, Limits(own.nullable, *(getattr(own, rule, None) for rule in ("min", "min_exclusive", "max"))))
        for key, own in TABLES[name].schema.columns().items()
    )


def keeps(values: pl.Series, limits: Limits) -> bool:
    """Whether all known values of a column are finite and within its limits."""
    unknown = values.null_count()
    if unknown and not limits.nullable:
        return False
    if unknown == len(values) or not values.dtype.is_numeric():
        return True
    if values.dtype.is_float() and np.isfinite(values.to_numpy()).sum() + unknown < len(values):
        return False
    ends: tuple[Any, Any] = values.min(), values.max()
    least, most = ends
    return bool(
        (limits.least is None or least >= limits.least)
        and (limits.above is None or least > limits.above)
        and (limits.most is None or most <= limits.most)
    )


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
