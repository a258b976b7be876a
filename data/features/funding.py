"""Funding and open interest: what it costs to hold the crowded side, and how much is held.

Decided here: rates are in basis points a payment; the time to the next payment follows the interval of the last two, since
venues pay every 1, 4 or 8 hours; open interest counts by its change, as its level says little across markets.
"""

import polars as pl

from data.contract import Panel
from data.features.spec import DAY_S, HOUR_S, FeatureSpec, change, rolling_mean, ticks_in, z_score
from data.ticks_bars import main_role

BASIS_POINTS = 1e4
HOURS_PER_S = 1 / HOUR_S  # a factor, for the reason given at ticks_blocks.GWEI_PER_WEI
CHANGES = (1, 12)


def family(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Rates of every role, and the open interest of the main one."""
    main = main_role(panel)
    if main is None:
        return ()
    others = sorted(set(panel.roles) - {main})
    gaps = (FeatureSpec(f"{role}_funding_gap_bp", "bp", 1, rate_bp(role) - rate_bp(main)) for role in others)
    return (*rates(main, panel), *gaps, *open_interest(main, panel))


def rate_bp(role: str) -> pl.Expr:
    """The last funding rate in basis points."""
    return pl.col(f"{role}_funding_rate") * BASIS_POINTS


def rates(role: str, panel: Panel) -> tuple[FeatureSpec, ...]:
    """The last rate, its change and its trailing mean, and the hours to the next payment."""
    rate, shift, day = rate_bp(role), ticks_in(8 * HOUR_S, panel), ticks_in(DAY_S, panel)
    left_s = (pl.col(f"{role}_funding_interval_s") - pl.col(f"{role}_funding_age_s")).clip(0.0)
    return (
        FeatureSpec(f"{role}_funding_bp", "bp", 1, rate),
        FeatureSpec(f"{role}_funding_change_bp", "bp", shift + 1, change(rate, shift)),
        FeatureSpec(f"{role}_funding_gap_day_bp", "bp", day, rate - rolling_mean(rate, day)),
        FeatureSpec(f"{role}_hours_to_funding", "h", 1, left_s * HOURS_PER_S),
    )


def open_interest(role: str, panel: Panel) -> tuple[FeatureSpec, ...]:
    """Log changes of the open interest, and its distance to the trailing day."""
    value, day = pl.col(f"{role}_open_interest").clip(1e-9).log(), ticks_in(DAY_S, panel)
    return (
        *(FeatureSpec(f"{role}_open_interest_change_{n}", "ln(1)", n + 1, change(value, n)) for n in CHANGES),
        FeatureSpec(f"{role}_open_interest_change_day", "ln(1)", day + 1, change(value, day)),
        FeatureSpec(f"{role}_open_interest_shock", "sd", day, z_score(value, day)),
    )
