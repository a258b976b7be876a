"""The path of the base fee: where it has been over hours to a week, how far it swings, and how uneven the blocks are.

Decided here: extremes and means, also those within the last tick, move with the fee, so models read them relative to the fee of
the next block; the size of swings counts as a logarithm, because calm and wild weeks differ by factors.
"""

import polars as pl

from data.contract import Panel
from data.features.congestion import LEVEL, UNIT
from data.features.spec import FeatureSpec, change, rolling_max, rolling_mean, rolling_std

MEANS, EXTREMES, SWINGS = (6, 24, 144, 864, 2016), (3, 6, 12, 36, 72, 144, 288, 864), (3, 12, 72, 288, 2016)
SPREADS, DEVIATIONS, FULLNESS = (12, 72), (3, 6, 12, 36, 72, 288, 864), (3, 12, 72, 288)
WITHIN = ("base_fee_most", "base_fee_least", "base_fee_late")
LEAST_SWING = 1e-6


def family(panel: Panel) -> tuple[FeatureSpec, ...]:  # noqa: ARG001 - every family has this signature
    """Features of the panel's chain beyond those of `congestion`; windows are in ticks."""
    fee, used = pl.col("log_base_fee"), pl.col("utilisation")
    size, spread = change(fee, 1).abs(), pl.col("base_fee_spread")
    return (
        *(FeatureSpec(f"base_fee_path_mean_{n}", UNIT, n, rolling_mean(fee, n), LEVEL) for n in MEANS),
        *(FeatureSpec(f"base_fee_path_most_{n}", UNIT, n, rolling_max(fee, n), LEVEL) for n in EXTREMES),
        *(FeatureSpec(f"base_fee_path_least_{n}", UNIT, n, rolling_max(fee * -1.0, n) * -1.0, LEVEL) for n in EXTREMES),
        *(FeatureSpec(f"base_fee_spread_{n}", "ln(1)", n, rolling_std(fee, n)) for n in DEVIATIONS),
        *(
            FeatureSpec(f"log_base_fee_swing_{n}", "ln(ln(1))", n + 1, rolling_mean(size, n).clip(LEAST_SWING).log())
            for n in SWINGS
        ),
        *(FeatureSpec(f"utilisation_path_mean_{n}", "1", n, rolling_mean(used, n)) for n in (72, 288)),
        *(FeatureSpec(f"utilisation_spread_{n}", "1", n, rolling_std(used, n)) for n in SPREADS),
        *(FeatureSpec(f"{name}_in_tick", UNIT, 1, pl.col(name), LEVEL) for name in WITHIN),
        *(
            FeatureSpec(
                f"log_base_fee_spread_in_tick_{n}", "ln(ln(1))", n, rolling_mean(spread, n).clip(LEAST_SWING).log()
            )
            for n in (1, *SPREADS)
        ),
        FeatureSpec("utilisation_late", "1", 1, pl.col("utilisation_late")),
        *(FeatureSpec(f"full_blocks_mean_{n}", "1", n, rolling_mean(pl.col("full_share"), n)) for n in FULLNESS),
    )
