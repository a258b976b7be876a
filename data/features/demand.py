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
HOURS, STEP_S, SLOW_S = 24, 15, (900, 3600)
UNIT = "ln(1/s)"


def yesterday(panel: Panel) -> tuple[FeatureSpec, ...]:
    """The order stream a day ago: then, and on average over the minutes that followed."""
    value, day, ahead = pl.col("order_rate").clip(LEAST_PER_S).log(), ticks_in(DAY_S, panel), ticks_in(AHEAD_S, panel)
    return (
        FeatureSpec("log_demand_day_ago", UNIT, day + 1, value.shift(day)),
        FeatureSpec("log_demand_day_ago_ahead", UNIT, day, rolling_mean(value, ahead).shift(day - ahead)),
    )


def hourly(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Rhythm of the hour: how far above its hour's mean the order stream was at this place of the last 24 hours, and what is slow.

    `log_demand_hourly_s` speaks of the 15 s around the time s seconds ahead, from the same seconds of past hours: an input
    about the future without a look ahead. Software acts on the clock: at full and half hours, and some of it at one second.
    """
    value, hour = pl.col("order_rate").clip(LEAST_PER_S).log(), ticks_in(HOUR_S, panel)
    above = value - rolling_mean(value, hour)
    usual = pl.mean_horizontal(*(above.shift(k * hour) for k in range(HOURS)))
    width = ticks_in(STEP_S, panel)
    smooth = rolling_mean(usual, width)
    ahead = range(0, AHEAD_S + 1, max(STEP_S, panel.tick_s))
    reach = (HOURS + 1) * hour
    return (
        *(
            FeatureSpec(
                f"log_demand_hourly_{s}", "ln(1)", reach + hour, smooth.shift(hour - s // panel.tick_s - width // 2)
            )
            for s in ahead
        ),
        FeatureSpec("log_demand_hourly_next", "ln(1)", reach + hour, usual.shift(hour - 1)),
        *(
            FeatureSpec(f"log_demand_mean_{s}s", UNIT, ticks_in(s, panel), rolling_mean(value, ticks_in(s, panel)))
            for s in SLOW_S
        ),
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
