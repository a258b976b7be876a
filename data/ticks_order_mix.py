"""Tiers on the tick grid: `order_share_{tier}`, each tier's share of the orders whose tier is known.

Decided here: which tiers have a column. Orders of other tiers count towards the whole; a tick without an order of known
tier is unknown.
"""

import numpy as np
import polars as pl

from data.contract import Panel
from data.spans import Columns, Ticks, instants, ratio, spans

TIERS = ("critical", "hedge", "maker", "taker", "bulk")


def share_column(tier: str) -> str:
    """Name of a tier's column."""
    return f"order_share_{tier}"


ORDER_MIX_COLUMNS = tuple(share_column(tier) for tier in TIERS)


def order_mix_ticks(ticks: Ticks, rows: pl.DataFrame, panel: Panel) -> Columns:
    """`ORDER_MIX_COLUMNS`, 0..1; `rows` are request counts by second and tier, or single arrivals (no column `count`)."""
    orders = pl.col("count") if "count" in rows.columns else pl.lit(1, pl.Int64)
    ts = instants(rows["ts"].dt.cast_time_unit("ms"))
    own = slice(np.searchsorted(ts, ticks.end[:1].min(initial=0) - 1000 * panel.tick_s), None)
    tiered = (
        rows[own].lazy().filter(pl.col("tier").is_not_null()).select("ts", "tier", orders.alias("orders")).collect()
    )
    inside = spans(ticks, instants(tiered["ts"].dt.cast_time_unit("ms")))
    count, tier = tiered["orders"].to_numpy(), tiered["tier"]
    whole = inside.total(count)
    parts = {name: inside.total(np.where((tier == name).to_numpy(), count, 0)) for name in TIERS}
    return {share_column(name): ratio(part, whole) for name, part in parts.items()}
