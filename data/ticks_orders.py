"""Order counts on the tick grid: orders per second over all tiers, and what their dispersion is computed from.

Decided here: a second without an order is calm unless the collector was down. It is taken to be down where the seconds with
orders in the last hour had a median of 20 or more (a busy stream does not fall silent), or where the hour has no row at all.
A tick is unknown if fewer than half of its seconds are known. `order_seconds` are known seconds, `order_squares` the sum of
their squared counts, `order_peak` the count of the busiest.
"""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from data.contract import Panel
from data.spans import Columns, Ticks, instants, numbers, ratio, spans

ORDER_COLUMNS = ("order_rate", "order_seconds", "order_total", "order_squares", "order_peak")
HOUR_S = 3600
BUSY_PER_S = 20  # at this median a silent second has probability e^-20 under Poisson arrivals


def order_ticks(ticks: Ticks, rows: pl.DataFrame, panel: Panel) -> Columns:
    """`ORDER_COLUMNS`; `rows` are request counts by second and tier, or single arrivals (no column `count`)."""
    if not len(ticks.end) or rows.is_empty():
        return dict.fromkeys(ORDER_COLUMNS, ticks.unknown)
    every = known_seconds(per_second(rows), datetime.fromtimestamp(int(ticks.end[-1]) / 1000, UTC))
    inside, orders = spans(ticks, instants(every["ts"])), numbers(every, "orders")
    whole, known = np.nan_to_num(orders).astype(np.int64), ~np.isnan(orders)
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
    """Every second from the first count to an hour after the last one (but not after `end`): `ts`, and `orders`.

    Orders are null where the collector was down. Seconds further away are unknown, and left out.
    """
    first, last = (int(at.timestamp()) for at in counts.select(a=pl.col("ts").min(), b=pl.col("ts").max()).row(0))
    seconds = pl.int_range(first, min(last + HOUR_S, int(end.timestamp())), dtype=pl.Int64, eager=True) * 1000
    every = pl.DataFrame({"ts": seconds.cast(pl.Datetime("ms", "UTC"))})
    found = every.join(counts, on="ts", how="left", maintain_order="left")
    orders = pl.col("orders")
    busy = pl.when(orders > 0).then(orders).rolling_median(HOUR_S, min_samples=1).fill_null(0) >= BUSY_PER_S
    watched = orders.is_not_null().cast(pl.Int64).rolling_sum(HOUR_S, min_samples=1) > 0
    silent = orders.fill_null(0) == 0
    down = silent & (busy | ~watched)
    return found.select("ts", pl.when(~down).then(orders.fill_null(0)).alias("orders"))
