"""Demand for order handling: how many orders come per second.

Decided here: demand is ln max(rate, 1e-3); a rush is a tick above twice the median of the last hour, and its onset may be
alarmed while demand is at or below one and a half times that median.
"""

import math

import polars as pl

from data.contract import Panel
from data.features.spec import DAY_S, HOUR_S, FeatureSpec, change, rolling_max, rolling_mean, rolling_std, ticks_in

LEAST_PER_S = 1e-3
RUSH_RATIO, CALM_RATIO = 2.0, 1.5
MEANS, CHANGES, SPREAD = (4, 20, 60, 240), (1, 4, 20), 20
AHEAD_S = 120
UNIT = "ln(1/s)"


def yesterday(panel: Panel) -> tuple[FeatureSpec, ...]:
    """The order stream a day ago: then, and on average over the minutes that followed."""
    value, day, ahead = pl.col("order_rate").clip(LEAST_PER_S).log(), ticks_in(DAY_S, panel), ticks_in(AHEAD_S, panel)
    return (
        FeatureSpec("log_demand_day_ago", UNIT, day + 1, value.shift(day)),
        FeatureSpec("log_demand_day_ago_ahead", UNIT, day, rolling_mean(value, ahead).shift(day - ahead)),
    )


def family(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Features of the order stream."""
    value = pl.col("order_rate").clip(LEAST_PER_S).log()
    day, hour = ticks_in(DAY_S, panel), ticks_in(HOUR_S, panel)
    level = value.exp().rolling_median(hour, min_samples=max(1, hour // 2)).log()
    limit = level + math.log(RUSH_RATIO)
    return (
        FeatureSpec("log_demand", UNIT, 1, value),
        *(FeatureSpec(f"log_demand_mean_{n}", UNIT, n, rolling_mean(value, n)) for n in MEANS),
        FeatureSpec(f"log_demand_max_{SPREAD}", UNIT, SPREAD, rolling_max(value, SPREAD)),
        FeatureSpec(f"log_demand_std_{SPREAD}", UNIT, SPREAD, rolling_std(value, SPREAD)),
        *(FeatureSpec(f"log_demand_change_{n}", UNIT, n + 1, change(value, n)) for n in CHANGES),
        FeatureSpec("log_demand_hour_ago_gap", UNIT, hour + 1, value.shift(hour) - value),
        FeatureSpec("log_demand_day_ago_gap", UNIT, day + 1, value.shift(day) - value),
        FeatureSpec("demand_threshold", UNIT, hour, limit),
        FeatureSpec("demand_calm", UNIT, hour, level + math.log(CALM_RATIO)),
        FeatureSpec("demand_gap", UNIT, hour, limit - value),
    )
