"""Congestion of the chain: the base fee, where EIP-1559 moves it next, and how full the blocks are.

Decided here: a surge is a tick whose mean base fee is above twice the median of the last 6 hours; an onset may be alarmed
while it is at or below one and a half times that median.
"""

import math

import polars as pl

from data.contract import Panel
from data.features.spec import HOUR_S, FeatureSpec, change, rolling_mean, ticks_in

SURGE_S, SURGE_RATIO, CALM_RATIO = 6 * HOUR_S, 2.0, 1.5
MEANS = (3, 12, 36, 72, 288)
UNIT, LEVEL = "ln(gwei)", "congestion"


def family(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Features of the panel's chain."""
    fee, used = pl.col("log_base_fee"), pl.col("utilisation")
    level, window = surge_level(fee, panel)
    limit = level + math.log(SURGE_RATIO)
    return (
        FeatureSpec("log_base_fee", UNIT, 1, fee, LEVEL),
        *(FeatureSpec(f"log_base_fee_mean_{n}", UNIT, n, rolling_mean(fee, n), LEVEL) for n in MEANS),
        FeatureSpec("log_next_base_fee", UNIT, 1, pl.col("log_next_base_fee"), LEVEL),
        FeatureSpec("log_base_fee_last_gap", UNIT, 1, pl.col("log_base_fee_last") - fee),
        *(FeatureSpec(f"log_base_fee_change_{n}", UNIT, n + 1, change(fee, n)) for n in (1, 3, 12)),
        FeatureSpec("congestion_threshold", UNIT, window, limit, LEVEL),
        FeatureSpec("congestion_calm", UNIT, window, level + math.log(CALM_RATIO), LEVEL),
        FeatureSpec("congestion_gap", UNIT, window, limit - fee),
        FeatureSpec("utilisation", "1", 1, used),
        *(FeatureSpec(f"utilisation_mean_{n}", "1", n, rolling_mean(used, n)) for n in (3, 12)),
        FeatureSpec("full_share", "1", 1, pl.col("full_share")),
    )


def surge_level(value: pl.Expr, panel: Panel) -> tuple[pl.Expr, int]:
    """Ln of the median of e^value over the last 6 h, half of it known; and the ticks it looks back."""
    window = ticks_in(SURGE_S, panel)
    return value.exp().rolling_median(window, min_samples=max(1, window // 2)).log(), window
