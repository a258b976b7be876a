"""The mempool: how much waits for blockspace, at what fees, and how long it waits.

Decided here: counts, weights and fees are logs; fee bands are shares of the pending weight, so that chains of any size and
unit compare. What a source does not tell stays unknown. Sources tell replacements only by what they do to the pending count.
"""

import polars as pl

from data.contract import Panel
from data.features.spec import DAY_S, FeatureSpec, change, rolling_mean, ticks_in
from data.ticks_samples import FEE_BANDS

CHANGES = (1, 3, 12)
LEAST = 1e-6


def family(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Features of the mempool of the panel's chain."""
    day = ticks_in(DAY_S, panel)
    return (*pending(day), *fee_bands(), *fees(day), *flows(day))


def log_of(column: str) -> pl.Expr:
    """Ln of a mempool column, with a floor."""
    return pl.col(f"mempool_{column}").clip(LEAST).log()


def pending(day: int) -> tuple[FeatureSpec, ...]:
    """Pending count and weight: level, growth, and distance to the trailing day."""
    count, weight = log_of("pending_count"), log_of("pending_weight")
    return (
        FeatureSpec("log_pending_count", "ln(1)", 1, count),
        FeatureSpec("log_pending_weight", "ln(weight)", 1, weight),
        *(FeatureSpec(f"log_pending_count_change_{n}", "ln(1)", n + 1, change(count, n)) for n in CHANGES),
        *(FeatureSpec(f"log_pending_weight_change_{n}", "ln(1)", n + 1, change(weight, n)) for n in CHANGES),
        FeatureSpec("log_pending_count_gap_day", "ln(1)", day, count - rolling_mean(count, day)),
        FeatureSpec("log_pending_weight_gap_day", "ln(1)", day, weight - rolling_mean(weight, day)),
    )


def fee_bands() -> tuple[FeatureSpec, ...]:
    """Share of the pending weight that pays at least so much, and its growth."""
    weight = pl.col("mempool_pending_weight")
    specs = []
    for fee in FEE_BANDS:
        share = pl.when(weight > 0).then(pl.col(f"mempool_weight_above_{fee}") / weight)
        specs += [
            FeatureSpec(f"weight_share_above_{fee}", "1", 1, share),
            FeatureSpec(f"weight_share_above_{fee}_change_3", "1", 4, change(share, 3)),
        ]
    return tuple(specs)


def fees(day: int) -> tuple[FeatureSpec, ...]:
    """What the eager and the patient offer."""
    fast, slow, following = log_of("fee_fast"), log_of("fee_slow"), log_of("next_block_median_fee")
    return (
        FeatureSpec("log_fee_fast", "ln(fee)", 1, fast),
        FeatureSpec("log_fee_fast_change_3", "ln(1)", 4, change(fast, 3)),
        FeatureSpec("log_fee_fast_gap_day", "ln(1)", day, fast - rolling_mean(fast, day)),
        FeatureSpec("log_fee_spread", "ln(1)", 1, fast - slow),
        FeatureSpec("log_next_block_fee", "ln(fee)", 1, following),
        FeatureSpec("log_next_block_fee_gap_day", "ln(1)", day, following - rolling_mean(following, day)),
    )


def flows(day: int) -> tuple[FeatureSpec, ...]:
    """Arrivals, and the delay of what was included."""
    arrivals, median, late = log_of("arrivals_per_s"), log_of("inclusion_p50_s"), log_of("inclusion_p90_s")
    return (
        FeatureSpec("log_mempool_arrivals", "ln(1/s)", 1, arrivals),
        FeatureSpec("log_mempool_arrivals_gap_day", "ln(1)", day, arrivals - rolling_mean(arrivals, day)),
        FeatureSpec("log_inclusion_delay", "ln(s)", 1, median),
        FeatureSpec("log_inclusion_delay_gap_day", "ln(1)", day, median - rolling_mean(median, day)),
        FeatureSpec("log_inclusion_delay_spread", "ln(1)", 1, late - median),
    )
