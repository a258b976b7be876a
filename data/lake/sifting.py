"""Which rows are new, which are known, and which cannot be taken: pure functions on frames.

Decided here: what counts as the same row, and what counts as a contradiction.
"""

from dataclasses import dataclass

import polars as pl

from data.schemas import Table

REASON = "reason"
COPY = "_copy"  # number of a row among equal ones, in tables where equal rows may both be true
STORED = "_stored"
HELD = "_held"


@dataclass(frozen=True)
class Sifted:
    """New rows in canonical columns and order, number of known ones, and conflicting ones with their `reason`."""

    new: pl.DataFrame
    known: int
    conflicting: pl.DataFrame


def sift_rules(rows: pl.DataFrame, table: Table) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows that keep every rule in canonical order, rows that break one with their `reason`).

    Keys that occur twice are left to `sift_known`, which can tell a repetition from a contradiction.
    """
    ordered = rows.sort(table.order, maintain_order=True)
    none = ordered.clear().with_columns(pl.lit("").alias(REASON))
    if table.schema.is_valid(ordered):
        return ordered, none
    valid, failure = table.schema.filter(ordered)
    details = failure.details()
    rules = [name for name in details.columns if name not in table.dtypes and name != "no_duplicates"]
    broken = details.select(
        *table.dtypes,
        pl.concat_str(
            [pl.when(pl.col(rule) == "invalid").then(pl.lit(rule.replace("|", " "))) for rule in rules],
            separator=", ",
            ignore_nulls=True,
        ).alias(REASON),
    )
    repeated = broken.filter(pl.col(REASON) == "").drop(REASON)
    whole = pl.concat([valid.select(*table.dtypes), repeated]).sort(table.order, maintain_order=True)
    return whole, broken.filter(pl.col(REASON) != "").with_columns(pl.format("breaks {}", REASON).alias(REASON))


def sift_known(rows: pl.DataFrame, stored: pl.LazyFrame, table: Table) -> Sifted:
    """Compare rows in canonical order with those that are stored, and with each other: the first of a key is held."""
    known = touched(rows, stored, table)
    if known.is_empty() and not repeats(rows, table):
        return Sifted(rows, 0, rows.clear().with_columns(pl.lit("").alias(REASON)))
    key = identity(table)
    candidates, same = numbered(rows, table), numbered(known, table)
    held = pl.concat(
        [same.with_columns(pl.lit(True).alias(STORED)), candidates.with_columns(pl.lit(False).alias(STORED))]
    )
    held = held.unique(key, keep="first", maintain_order=True)
    values = [name for name in table.dtypes if name not in key]
    both = candidates.join(held, on=key, how="left", suffix=HELD, nulls_equal=True, maintain_order="left")
    both = both.with_columns(
        pl.any_horizontal(pl.lit(False), *(contradicts(name) for name in values)).alias("_conflict"),
        pl.struct(key).is_first_distinct().alias("_first"),
    )
    new = both.filter(~pl.col("_conflict") & ~pl.col(STORED) & pl.col("_first")).select(*table.dtypes)
    conflicting = both.filter("_conflict").select(*table.dtypes, reason(values).alias(REASON))
    return Sifted(new, rows.height - new.height - conflicting.height, conflicting)


def touched(rows: pl.DataFrame, stored: pl.LazyFrame, table: Table) -> pl.DataFrame:
    """Stored rows that have a key of the given ones; the range of keys lets the reader skip row groups."""
    key = list(table.key or table.dtypes)
    axis = "ts" if "ts" in key else key[-1]
    near = stored.filter(pl.col(axis).is_between(rows[axis].min(), rows[axis].max()))
    return (
        near.select(*table.dtypes)
        .join(rows.lazy().select(key).unique(), on=key, how="semi", nulls_equal=True)
        .collect(engine="streaming")
    )


def repeats(rows: pl.DataFrame, table: Table) -> bool:
    """Whether a key occurs twice in rows in canonical order."""
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in table.key or ("ts",))
    return bool(table.key) and bool(rows.select(same.any()).item())


def identity(table: Table) -> list[str]:
    """Columns that make two rows the same."""
    return list(table.key) or [*table.dtypes, COPY]


def numbered(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The rows, with their number among equal ones where the table has no key."""
    return rows if table.key else rows.with_columns(pl.int_range(pl.len()).over(*table.dtypes).alias(COPY))


def contradicts(name: str) -> pl.Expr:
    """Whether a row has a value that differs from the one that is held; null is unknown and contradicts nothing."""
    return pl.col(name).is_not_null() & pl.col(name).ne_missing(pl.col(name + HELD))


def reason(values: list[str]) -> pl.Expr:
    """The columns that contradict, with the values that are held."""
    shown = [
        pl.when(contradicts(name)).then(
            pl.format(f"{name} is known as {{}}", pl.col(name + HELD).cast(pl.String).fill_null("unknown"))
        )
        for name in values
    ]
    return pl.concat_str(shown, separator=", ", ignore_nulls=True) if shown else pl.lit("")
