"""Blockspace: how the base fee gathers speed, how long blocks have been full, and what is bid to get into them.

Decided here: velocity is measured from the base fee that EIP-1559 has already set for the next block, so that it knows what
the last block did; bids and tips count as logs against their own recent means.
"""

import polars as pl

from data.contract import Panel
from data.features.congestion import UNIT, surge_level
from data.features.spec import DAY_S, FeatureSpec, change, rolling_max, rolling_mean, ticks_in

STEPS = (1, 3, 12)
LEAST_TIP_GWEI = 1e-3
TIPS = ("tip_p10", "tip_p50", "tip_p90")


def family(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Features of the panel's chain beyond those of `congestion`."""
    day = ticks_in(DAY_S, panel)
    return (*speeds(), *surge_ratios(panel), *fullness(), *bids(day), *tips(day), *blocks(day))


def speeds() -> tuple[FeatureSpec, ...]:
    """Velocity and acceleration of the log base fee over 1, 3 and 12 ticks."""
    fee, coming = pl.col("log_base_fee"), pl.col("log_next_base_fee")
    return (
        *(FeatureSpec(f"base_fee_velocity_{n}", UNIT, n + 1, coming - fee.shift(n)) for n in STEPS),
        *(
            FeatureSpec(f"base_fee_acceleration_{n}", UNIT, 2 * n + 1, change(fee, n) - change(fee, n).shift(n))
            for n in STEPS
        ),
    )


def surge_ratios(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Ln of the base fee over its 6 h median: now, of the next block, and the highest of late."""
    level, window = surge_level(pl.col("log_base_fee"), panel)
    ratio = pl.col("log_base_fee") - level
    return (
        FeatureSpec("surge_ratio", "ln(1)", window, ratio),
        FeatureSpec("surge_ratio_next", "ln(1)", window, pl.col("log_next_base_fee") - level),
        FeatureSpec("surge_ratio_max_12", "ln(1)", window + 11, rolling_max(ratio, 12)),
    )


def fullness() -> tuple[FeatureSpec, ...]:
    """Runs of full blocks: the one that still lasts at the end of the tick, and the longest."""
    return (
        FeatureSpec("full_run", "blocks", 1, pl.col("full_run")),
        FeatureSpec("full_run_most", "blocks", 1, pl.col("full_run_most")),
        FeatureSpec("full_run_most_12", "blocks", 12, rolling_max(pl.col("full_run_most"), 12)),
        *(FeatureSpec(f"full_share_mean_{n}", "1", n, rolling_mean(pl.col("full_share"), n)) for n in (3, 12, 72)),
    )


def bids(day: int) -> tuple[FeatureSpec, ...]:
    """Pressure of the builders' bids: of late and against the trailing day."""
    bid = pl.col("log_bid")
    return (
        FeatureSpec("log_bid", UNIT, 1, bid),
        FeatureSpec("log_bid_gap_12", UNIT, 12, bid - rolling_mean(bid, 12)),
        FeatureSpec("log_bid_gap_day", UNIT, day, bid - rolling_mean(bid, day)),
        FeatureSpec("log_bid_most_gap", UNIT, 1, pl.col("log_bid_most") - bid),
    )


def tips(day: int) -> tuple[FeatureSpec, ...]:
    """Priority fees where the source tells them: the median, its rise, and how far the eager outbid the patient."""
    low, middle, high = (pl.col(name).clip(LEAST_TIP_GWEI).log() for name in TIPS)
    return (
        FeatureSpec("log_tip", UNIT, 1, middle),
        FeatureSpec("log_tip_gap_day", UNIT, day, middle - rolling_mean(middle, day)),
        FeatureSpec("log_tip_spread", "ln(1)", 1, high - low),
        FeatureSpec("log_tip_over_base_fee", "ln(1)", 1, middle - pl.col("log_base_fee_last")),
    )


def blocks(day: int) -> tuple[FeatureSpec, ...]:
    """Block intervals and transactions a block."""
    count = pl.col("block_tx_count").clip(1.0).log()
    interval = pl.col("block_interval_mean_s")
    return (
        FeatureSpec("block_interval_mean_s", "s", 1, interval),
        FeatureSpec("block_interval_most_s", "s", 1, pl.col("block_interval_most_s")),
        FeatureSpec("block_interval_gap_s", "s", day, interval - rolling_mean(interval, day)),
        FeatureSpec("log_tx_count", "ln(1)", 1, count),
        FeatureSpec("log_tx_count_gap_day", "ln(1)", day, count - rolling_mean(count, day)),
    )
