"""From any frame to a canonical one, or to one message that says what is wrong with it.

Decided here: which types are near enough to be converted, and how a broken rule is worded. Faults are never repaired.
"""

from dataclasses import dataclass

import polars as pl

from data.errors import DataError
from data.schemas import Table

ROW = "_row"
REMEDY = "see all faults with `shaper data check DIR`"
WORDING = {
    "nullability": "a value in every row",
    "nan": "a finite number",
    "inf": "a finite number",
    "min": "a value that is not below what is possible",
    "min_exclusive": "a positive value",
    "max": "a value that is not above what is possible",
    "rows_in_order": "rows in ascending order",
    "no_duplicates": "one row for each key",
    "time_goes_forward": "times that do not go back",
    "gas_fits_the_block": "gas used of at most twice the limit",
    "prices_within_low_and_high": "open and close between low and high",
    "opens_on_its_interval": "open times that are multiples of interval_s",
    "whole_seconds": "times on whole seconds",
    "long_or_short": "a side of long or short",
}


@dataclass(frozen=True)
class Fault:
    """A broken rule: how often, and the first row (counted from 0) that breaks it."""

    table: str
    rule: str
    expected: str
    found: str
    rows: int
    first_row: int

    def error(self, where: str) -> DataError:
        """The fault as an error about a place."""
        return DataError(
            f"{where}: {self.table}",
            expected=self.expected,
            found=f"{self.found} ({self.rows} such row{'s' if self.rows > 1 else ''})",
            remedy=REMEDY,
        )


def canonical(frame: pl.LazyFrame, table: Table, where: str) -> pl.LazyFrame:
    """The frame with exactly the canonical columns and types (absent optional columns are null).

    Raises DataError for a missing column, a naive time, or a type that cannot be converted without loss of meaning.
    """
    schema = frame.collect_schema()
    missing = sorted(set(table.dtypes) - set(schema) - table.optional)
    if missing:
        raise DataError(
            f"{where}: {table.name}",
            expected=f"the columns {', '.join(c for c in table.dtypes if c not in table.optional)}",
            found=f"no column {', '.join(missing)} (there are {', '.join(schema)})",
            remedy="rename or add the column",
        )
    return frame.select(
        converted(name, schema.get(name), dtype, f"{where}: {table.name}.{name}")
        for name, dtype in table.dtypes.items()
    )


def converted(name: str, found: pl.DataType | None, wanted: pl.DataType, where: str) -> pl.Expr:
    """Expression of one canonical column; `found` is its type in the frame, None when it is absent."""
    if found is None or found == pl.Null:
        return pl.lit(None, wanted).alias(name)
    if isinstance(wanted, pl.Datetime):
        require_aware(found, where)
        return pl.col(name).dt.convert_time_zone("UTC").dt.cast_time_unit(wanted.time_unit)
    fits = {
        pl.String: isinstance(found, pl.String | pl.Categorical | pl.Enum),
        pl.Int64: found.is_integer(),
        pl.Float64: found.is_numeric(),
    }[type(wanted)]
    if not fits:
        raise DataError(
            where,
            expected=f"the type {wanted}",
            found=f"the type {found}",
            remedy="convert the column and write it again",
        )
    return pl.col(name).cast(wanted)


def require_aware(found: pl.DataType, where: str) -> None:
    """Raise DataError unless a type is a time with a time zone."""
    if not isinstance(found, pl.Datetime):
        raise DataError(
            where, expected="a time with a time zone", found=f"the type {found}", remedy="convert it to a UTC datetime"
        )
    if found.time_zone is None:
        raise DataError(
            where,
            expected="a time with a time zone",
            found=f"a naive one ({found})",
            remedy="say which zone it is, e.g. `frame.with_columns(pl.col('ts').dt.replace_time_zone('UTC'))`",
        )


def faults(frame: pl.DataFrame, table: Table, first: int = 0) -> tuple[Fault, ...]:
    """Every broken rule of a canonical frame: the rows that break one first come first, rules of one column before others.

    `first` is the number of the frame's first row, where it is part of a table.
    """
    if table.schema.is_valid(frame):
        return ()
    failure = table.schema.filter(frame).failure
    details, numbered = failure.details(), frame.with_columns(pl.int_range(first, first + frame.height).alias(ROW))
    broken = [
        fault(numbered, table, rule, details.filter(pl.col(rule) == "invalid").select(frame.columns))
        for rule in sorted(failure.counts(), key=lambda rule: "|" not in rule)
    ]
    return tuple(sorted(broken, key=lambda found: found.first_row))


def fault(numbered: pl.DataFrame, table: Table, rule: str, rows: pl.DataFrame) -> Fault:
    """One broken rule, in words; `rows` are those that break it, among the numbered ones."""
    column, _, kind = rule.rpartition("|")
    first = rows.head(1)
    place = numbered.join(first, on=rows.columns, how="semi", nulls_equal=True)[ROW]
    # Of two equal rows it is the second that breaks an order.
    row = int(place[-1] if rule == "no_duplicates" else place[0])
    names = [column] if column else []
    shown = first.select(*dict.fromkeys([*table.order, "ts", *names])).row(0, named=True)
    return Fault(
        table=table.name,
        rule=kind,
        expected=WORDING.get(kind, kind.replace("_", " ")) + (f" in {column}" if column else ""),
        found=f"row {row}: " + ", ".join(f"{name} {value}" for name, value in shown.items()),
        rows=rows.height,
        first_row=row,
    )


def require_valid(frame: pl.DataFrame, table: Table, where: str) -> None:
    """Raise DataError with the first fault of a canonical frame, if it has any."""
    for found in faults(frame, table)[:1]:
        raise found.error(where)
