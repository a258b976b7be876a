"""The tick table: what was known at the end of each tick, one row a tick, null where unknown.

Decided here: which columns there are and which table each comes from. How a table becomes columns is decided in
`ticks_bars`, `ticks_blocks` and `ticks_orders`. A tick's values depend on rows of at most `MARGIN_S` before its start and
on none at or after its end, so the tail of a table gives the same bits as the whole.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import polars as pl

from data.contract import Panel
from data.errors import DataError
from data.history import Tables
from data.schemas import TABLES
from data.ticks_bars import bar_columns, bar_ticks
from data.ticks_blocks import BLOCK_COLUMNS, block_ticks
from data.ticks_orders import ORDER_COLUMNS, order_ticks
from data.timeline import TICK, floor_tick, grid

MARGIN_S = 3 * 3600  # the longest raw look-back: bars of up to 1 h that hold for another hour, the hour of order counts


def tick_columns(panel: Panel) -> tuple[str, ...]:
    """Names of all columns of the tick table after `tick`."""
    return (*bar_columns(panel), *BLOCK_COLUMNS, *ORDER_COLUMNS)


def sources_of(columns: Collection[str], panel: Panel, tables: Collection[str]) -> tuple[str, ...]:
    """Names of the tables that are there and feed some columns."""
    order_table = "request_counts" if "request_counts" in tables else "arrivals"
    feeds = {"bars": bar_columns(panel), "blocks": BLOCK_COLUMNS, order_table: ORDER_COLUMNS}
    return tuple(name for name, fed in feeds.items() if name in tables and not set(fed).isdisjoint(columns))


def tick_table(
    history: Tables,
    panel: Panel,
    since: datetime,
    until: datetime,
    columns: Collection[str] | None = None,
) -> pl.DataFrame:
    """One row for each tick label T, since <= T < until: `tick` (Datetime ms, UTC) and the columns of the panel.

    Only tables that feed `columns` (all by default) are read; the columns of the others are null. Units: prices in quote
    currency, volume in base units, base fees in ln gwei, shares 0..1, orders per second. Raises DataError for a bad table.
    """
    wanted = tick_columns(panel) if columns is None else tuple(columns)
    unknown = set(wanted) - set(tick_columns(panel))
    if unknown:
        raise DataError(
            "tick table", expected=f"columns among {', '.join(tick_columns(panel))}",
            found=", ".join(sorted(unknown)), remedy="name the role in the panel",
        )  # fmt: skip
    table = grid(since, until, panel.tick_s)
    first = since - timedelta(seconds=MARGIN_S + panel.tick_s)
    near = pl.col("ts").is_between(first, until, closed="left")
    for name in sources_of(wanted, panel, history.tables):
        rows = history.scan(name).filter(near).collect()
        if name == "bars":
            table = bar_ticks(table, rows, panel)
        elif name == "blocks":
            table = block_ticks(table, rows.filter(pl.col("chain") == panel.chain), panel.tick_s)
        else:
            table = order_ticks(table, rows, panel.tick_s)
    absent = [pl.lit(None, pl.Float64).alias(c) for c in tick_columns(panel) if c not in table.columns]
    return table.with_columns(absent).select(TICK, *tick_columns(panel))


def extent(history: Tables, panel: Panel, columns: Collection[str]) -> tuple[datetime, datetime]:
    """(first tick, tick after the last one) of the tables that feed some columns: the last tick is one whose end was reached.

    Raises DataError when none of the tables is there or all are empty.
    """
    names = sources_of(columns, panel, history.tables)
    spans = [
        history.scan(name).select(pl.col("ts").min(), TABLES[name].known_at.max().alias("known_at")).collect().row(0)
        for name in names
    ]
    starts = [start for start, _ in spans if start is not None]
    ends = [end for _, end in spans if end is not None]
    if not starts:
        raise DataError(
            "history",
            expected="a table that feeds the features (bars, blocks, request_counts or arrivals)",
            found=", ".join(sorted(history.tables)) or "no table",
            remedy="bring the table, or choose other feature families",
        )
    tick = timedelta(seconds=panel.tick_s)
    return floor_tick(min(starts), panel.tick_s) + tick, floor_tick(max(ends), panel.tick_s) + tick
