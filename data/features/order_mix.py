"""Who orders, and how unevenly: shares of the tiers, and the burstiness of the order stream.

Decided here: burstiness is the index of dispersion of the counts per second, variance over mean, which is 1 for Poisson
arrivals (Cox and Lewis 1966); over a window it is taken of all its known seconds, so slow swings count as well.
"""

import polars as pl

from data.contract import Panel
from data.features.spec import FeatureSpec, rolling_mean
from data.ticks_order_mix import TIERS, share_column

WINDOWS, SPREAD = (1, 4, 20, 240), 20
LEAST_DISPERSION = 1e-3


def family(panel: Panel) -> tuple[FeatureSpec, ...]:  # noqa: ARG001 - every family has this signature
    """Features of the composition of the order stream."""
    return (*shares(), *burstiness())


def shares() -> tuple[FeatureSpec, ...]:
    """Each tier's share of the orders of known tier, and how far it is from its own recent mean."""
    return tuple(
        spec
        for tier in TIERS
        for share in (pl.col(share_column(tier)),)
        for spec in (
            FeatureSpec(f"order_share_{tier}", "1", 1, share),
            FeatureSpec(f"order_share_{tier}_gap_{SPREAD}", "1", SPREAD, share - rolling_mean(share, SPREAD)),
        )
    )


def burstiness() -> tuple[FeatureSpec, ...]:
    """Ln of the index of dispersion over some ticks, and the busiest second against the mean one."""
    peak = (pl.col("order_peak") + 1.0).log() - (pl.col("order_rate") + 1.0).log()
    return (
        *(FeatureSpec(f"order_dispersion_{n}", "ln(1)", n, log_dispersion(n)) for n in WINDOWS),
        FeatureSpec("order_peak_ratio", "ln(1)", 1, peak),
    )


def log_dispersion(ticks: int) -> pl.Expr:
    """Ln of variance over mean of the counts in the known seconds of the last ticks; unknown without any order."""
    seconds, orders, squares = (
        pl.col(name).cast(pl.Int64).rolling_sum(ticks, min_samples=max(1, ticks // 4)).cast(pl.Float64)
        for name in ("order_seconds", "order_total", "order_squares")
    )
    index = squares / orders - orders / seconds
    return pl.when(orders > 0).then(index).clip(LEAST_DISPERSION).log()
