"""Order counts on the tick grid: orders per second over all tiers, and what their dispersion is computed from.

Decided here: a second without an order is calm unless the collector was down. It is taken to be down where the seconds with
orders in the last hour had a median of 20 or more (a busy stream does not fall silent), or where the hour has no row at all.
A tick is unknown if fewer than half of its seconds are known. `order_seconds` are known seconds, `order_squares` the sum of
their squared counts, `order_peak` the count of the busiest.
"""

from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Panel
from data.features.kernels import window_quantile
from data.spans import Columns, Ticks, ratio, spans

ORDER_COLUMNS = ("order_rate", "order_seconds", "order_total", "order_squares", "order_peak")
HOUR_S = 3600
BUSY_PER_S = 20  # at this median a silent second has probability e^-20 under Poisson arrivals


def order_ticks(ticks: Ticks, rows: pl.DataFrame, panel: Panel) -> Columns:
    """`ORDER_COLUMNS`; `rows` are request counts by second and tier, or single arrivals (no column `count`)."""
    if not len(ticks.end) or rows.is_empty():
        return dict.fromkeys(ORDER_COLUMNS, ticks.unknown)
    second = rows["ts"].dt.epoch("s").to_numpy()
    counts = rows["count"].to_numpy() if "count" in rows.columns else None
    ts, orders = by_second(second, counts, int(ticks.end[-1]) // 1000, int(ticks.end[0]) // 1000 - panel.tick_s)
    inside, known = spans(ticks, 1000 * ts), ~np.isnan(orders)
    whole = np.where(known, orders, 0.0).astype(np.int64)
    seconds, total = inside.total(known.astype(np.int64)), inside.total(whole)
    found = {
        "order_rate": ratio(total, seconds),
        "order_seconds": seconds,
        "order_total": total,
        "order_squares": inside.total(whole * whole),
        "order_peak": inside.most(orders),
    }
    return {name: np.where(2 * seconds >= panel.tick_s, values, np.nan) for name, values in found.items()}


def per_second(rows: pl.DataFrame) -> pl.DataFrame:
    """Orders by the second that starts at `ts` (Datetime ms), summed over tiers."""
    orders = pl.col("count") if "count" in rows.columns else pl.lit(1, pl.Int64)
    second = (pl.col("ts").dt.epoch("s") * 1000).cast(pl.Datetime("ms", "UTC")).alias("ts")
    return rows.select(second, orders.alias("orders")).group_by("ts").agg(pl.col("orders").sum())


def known_seconds(counts: pl.DataFrame, end: datetime) -> pl.DataFrame:
    """`by_second` of orders per second as a frame: `ts`, and `orders`, null where the collector was down."""
    seconds, orders = by_second(
        counts["ts"].dt.epoch("s").to_numpy(), counts["orders"].to_numpy(), int(end.timestamp())
    )
    ts = pl.Series("ts", 1000 * seconds).cast(pl.Datetime("ms", "UTC"))
    return pl.DataFrame([ts, pl.Series("orders", orders, nan_to_null=True).cast(pl.Int64)])


def by_second(
    second: NDArray[np.int64], counts: NDArray[np.int64] | None, end_s: int, told_from_s: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Every second from the first to an hour after the last one (but before `end_s`), and its orders, NaN where unknown.

    `second` (n,) are those of rows with `counts` orders each (None: one). Unknown is where the collector was down; seconds
    further away are unknown too, and left out. Whether it was down is not asked of seconds before `told_from_s`.
    """
    first = int(second.min())
    length = min(int(second.max()) + HOUR_S, end_s) - first
    orders = np.bincount(second - first, counts, length)[:length].astype(np.int64)  # whole numbers: exact below 2^53
    told = np.cumsum(np.bincount(second - first, minlength=length)[:length])
    told[HOUR_S:] -= told[:-HOUR_S].copy()
    silent = np.flatnonzero(orders[max(0, told_from_s - first) :] == 0) + max(0, told_from_s - first)
    found = orders.astype(np.float64)
    found[silent[(told[silent] == 0) | busy(orders, silent)]] = np.nan
    return first + np.arange(length), found


def busy(orders: NDArray[np.int64], silent: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the seconds with orders in the hour up to some seconds (places) had a median of `BUSY_PER_S` or more."""
    if not len(silent):
        return np.empty(0, np.bool_)
    counted = np.where(orders > 0, orders, np.nan).astype(np.float64)[: silent[-1] + 1]
    median = window_quantile(len(counted) - int(silent[0]), counted, HOUR_S, 1, 0.5)
    return np.asarray(median[silent - silent[0]] >= BUSY_PER_S)
