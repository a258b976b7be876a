"""Rows that no rule forbids but that a careful reader would look at: clocks that jump, values far from the usual.

Decided here: how far is far. These are notes: markets do crash, and no row is refused for it.
"""

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from data.parts import entity_column
from data.schemas import TABLES

FAR = 50.0  # robust standard deviations
STEADY = 0.9  # share of rows on the beat, from which a clock is said to have one
OFF_BEAT_SHARE = 0.02  # of a step, and at least a second: jitter of a recorder
LIMIT_CHANGE = 1024  # a block moves the gas limit by less than a 1024th of its parent's (yellow paper, header validity)

BEATING = frozenset({"blocks", "funding", "mempool"})
MEASURES: Mapping[str, tuple[str, pl.Expr]] = MappingProxyType(
    {
        "bars": ("the move of the close", (pl.col("close") / pl.col("close").shift(1)).log()),
        "funding": ("the funding rate", pl.col("rate")),
        "mempool": ("the change of the pending count", pl.col("pending_count").log1p().diff()),
    }
)


def oddities(name: str, rows: pl.DataFrame) -> list[str]:
    """Sentences about one table, whose rows are canonical, valid and in order."""
    column = entity_column(TABLES[name])
    if column is None:
        return []
    return [
        f"{entity}: {note}"
        for (entity,), own in rows.partition_by(column, as_dict=True, maintain_order=True).items()
        for note in [*clock(name, own), *outliers(name, own), *limit_jumps(name, own)]
    ]


def clock(name: str, rows: pl.DataFrame) -> list[str]:
    """Rows off the beat of a table that has one."""
    ms = pl.col("ts").dt.epoch("ms")
    step = rows.select(ms.diff().median()).item()
    if name not in BEATING or not step or step < 2000:
        return []
    step = int(step)
    beat = rows.select((ms % step).mode().min()).item()
    away = (ms - beat) % step
    is_off = pl.min_horizontal(away, step - away) > max(1000, OFF_BEAT_SHARE * step)
    off = rows.filter(is_off)
    if not off.height or off.height > (1 - STEADY) * rows.height:
        return []
    return [
        f"the clock jumped: {off.height} rows off the beat of {step / 1000:g} s, the first at {off['ts'][0]:%Y-%m-%d %H:%M:%S}"
    ]


def outliers(name: str, rows: pl.DataFrame) -> list[str]:
    """Values many robust standard deviations (1.4826 x median absolute deviation) from their median."""
    if name not in MEASURES:
        return []
    words, measure = MEASURES[name]
    values = rows.select("ts", measure.alias("value")).drop_nulls()
    away = values.with_columns((pl.col("value") - pl.col("value").median()).abs().alias("away"))
    usual = 1.4826 * float(away.select(pl.col("away").median()).item() or 0.0)
    far = away.filter(pl.col("away") > FAR * usual).sort("away", descending=True)
    if not usual or far.is_empty():
        return []
    ts, value = far.select("ts", "value").row(0)
    return [
        f"outliers: {words} is over {FAR:g} times the usual in {far.height} rows, most at {ts:%Y-%m-%d %H:%M:%S} ({value:+.3g})"
    ]


def limit_jumps(name: str, rows: pl.DataFrame) -> list[str]:
    """Gas limits that moved further than a block may move them."""
    if name != "blocks":
        return []
    parent = pl.col("gas_limit").shift(1)
    moved = rows.filter(
        (pl.col("number").diff() == 1) & ((pl.col("gas_limit") - parent).abs() >= (parent // LIMIT_CHANGE).clip(1))
    )
    return (
        [f"outliers: the gas limit jumped in {moved.height} blocks, the first {moved['number'][0]}"]
        if moved.height
        else []
    )
