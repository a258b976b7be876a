"""The tick table: what was known at the end of each tick, one row a tick, null where unknown.

Decided here: which columns there are, which table each comes from, and how far back its rows may matter. How a table becomes
columns is decided in `ticks_bars`, `ticks_blocks` and the others. A tick's values depend on rows of at most the margin of
their table before its start and on none at or after its end, so the tail of a table gives the same bits as the whole.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Panel
from data.errors import DataError
from data.history import Tables
from data.schemas import TABLES
from data.spans import Columns, Ticks, instants, tick_frame
from data.ticks_bars import LONGEST_S, bar_columns, bar_ticks, main_role
from data.ticks_blocks import BLOCK_COLUMNS, HALT_S, YOUNG_S, block_ticks
from data.ticks_blockspace import BLOCKSPACE_COLUMNS, LONGEST_RUN, PAUSE_S, blockspace_ticks
from data.ticks_order_mix import ORDER_MIX_COLUMNS, order_mix_ticks
from data.ticks_orders import HOUR_S, ORDER_COLUMNS, order_ticks
from data.ticks_positions import BOOK_AGE_S, position_columns, position_ticks
from data.ticks_samples import (
    MEMPOOL_AGE_S,
    MEMPOOL_COLUMNS,
    OPEN_INTEREST_AGE_S,
    PAYMENT_AGE_S,
    funding_columns,
    funding_ticks,
    mempool_ticks,
    open_interest_columns,
    open_interest_ticks,
)
from data.timeline import TICK, floor_tick, grid


@dataclass(frozen=True)
class Feed:
    """Columns that one table feeds; `fill` makes them from the ticks so far, rows of the table, and the panel.

    Rows may matter to a tick if they are at most `margin_s` before its start.
    """

    table: str
    columns: tuple[str, ...]
    fill: Callable[[Ticks, pl.DataFrame, Panel], Columns]
    margin_s: int


def feeds(panel: Panel, tables: Collection[str]) -> tuple[Feed, ...]:
    """Every feed of a panel, those after the ones whose columns they read; order counts go before single arrivals."""
    orders = "request_counts" if "request_counts" in tables else "arrivals"
    return (
        Feed("bars", bar_columns(panel), bar_ticks, 2 * LONGEST_S),  # long, and held for as long again
        Feed("blocks", BLOCK_COLUMNS, block_ticks, HALT_S + YOUNG_S),
        Feed(orders, ORDER_COLUMNS, order_ticks, HOUR_S),
        Feed("blocks", BLOCKSPACE_COLUMNS, blockspace_ticks, LONGEST_RUN * PAUSE_S + HALT_S + YOUNG_S),
        Feed(orders, ORDER_MIX_COLUMNS, order_mix_ticks, 0),
        Feed("mempool", MEMPOOL_COLUMNS, mempool_ticks, MEMPOOL_AGE_S),
        Feed(
            "funding", funding_columns(panel), funding_ticks, 2 * PAYMENT_AGE_S
        ),  # the last payment and the one before
        Feed("open_interest", open_interest_columns(panel), open_interest_ticks, OPEN_INTEREST_AGE_S),
        Feed("positions", position_columns(panel), position_ticks, BOOK_AGE_S),
    )


def tick_columns(panel: Panel) -> tuple[str, ...]:
    """Names of all columns of the tick table after `tick`."""
    return tuple(name for feed in feeds(panel, ()) for name in feed.columns)


def feeds_of(columns: Collection[str], panel: Panel, tables: Collection[str]) -> tuple[Feed, ...]:
    """The feeds of some columns whose tables are there."""
    needed = set(columns)
    if not needed.isdisjoint(position_columns(panel)):
        needed.add(f"{main_role(panel)}_close")
    return tuple(feed for feed in feeds(panel, tables) if feed.table in tables and not needed.isdisjoint(feed.columns))


def sources_of(columns: Collection[str], panel: Panel, tables: Collection[str]) -> tuple[str, ...]:
    """Names of the tables that are there and feed some columns."""
    return tuple(dict.fromkeys(feed.table for feed in feeds_of(columns, panel, tables)))


def margin(table: str, panel: Panel) -> timedelta:
    """How long before the END of a tick the rows of a table may matter to it."""
    found = (feed.margin_s for feed in feeds(panel, TABLES) if feed.table == table)
    return timedelta(seconds=max(found, default=HOUR_S) + panel.tick_s)


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
    found = tick_arrays(history, panel, since, until, wanted)
    absent = [pl.lit(None, pl.Float64).alias(c) for c in tick_columns(panel) if c not in found]
    return tick_frame(found.pop(TICK), found).with_columns(absent).select(TICK, *tick_columns(panel))


def tick_arrays(
    history: Tables, panel: Panel, since: datetime, until: datetime, columns: Collection[str]
) -> dict[str, NDArray[Any]]:
    """`tick` in ms since 1970, and at least some columns as `tick_table` has them, NaN where unknown."""
    end = instants(grid(since, until, panel.tick_s)[TICK])
    rows = {name: near(history, name, panel, since, until) for name in sources_of(columns, panel, history.tables)}
    unknown = dict.fromkeys(columns, np.full(len(end), np.nan))
    return {TICK: end, **unknown, **filled(end, rows, panel, feeds_of(columns, panel, rows))}


def filled(end: NDArray[np.int64], rows: Mapping[str, pl.DataFrame], panel: Panel, using: Iterable[Feed]) -> Columns:
    """The columns by tick (`end` in ms since 1970) of some feeds.

    Rows are those of each feed's table that may matter (`margin`), and none at or after the last end.
    """
    ticks = Ticks(end, panel.tick_s, {})
    for feed in using:
        ticks.columns.update(feed.fill(ticks, rows[feed.table], panel))
    return ticks.columns


def near(history: Tables, name: str, panel: Panel, since: datetime, until: datetime) -> pl.DataFrame:
    """The rows of a table that may matter to the ticks since <= T < until."""
    first = since - margin(name, panel)
    return history.scan(name).filter(pl.col("ts").is_between(first, until, closed="left")).collect()


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
