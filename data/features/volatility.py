"""Volatility of the markets: how wide their candles are, of late and for the time of day.

Decided here: volatility is Parkinson's, P = sqrt(ln(high / low)^2 / (4 ln 2)) (Parkinson 1980), as ln max(P, 1e-5); a jump
is a tick above the 99.5 % quantile of the last 30 days. The role `eth` gets every feature, the others the level.
"""

import math

import polars as pl

from data.contract import Panel
from data.features.spec import DAY_S, FeatureSpec, rolling_max, rolling_mean, ticks_in
from data.ticks_bars import main_role

LEAST = 1e-5
PARKINSON = 1 / math.sqrt(4 * math.log(2))  # a factor, for the reason given at ticks_blocks.GWEI_PER_WEI
JUMP_QUANTILE, JUMP_DAYS, JUMP_LEAST_DAYS = 0.995, 30, 3
MEANS = (3, 12, 36, 72, 288)
UNIT, LEVEL = "ln(1)", "volatility"


def log_volatility(role: str) -> pl.Expr:
    """Ln max(P, 1e-5) of a role's candle."""
    parkinson = (pl.col(f"{role}_high") / pl.col(f"{role}_low")).log() * PARKINSON
    return parkinson.clip(LEAST).log()


def family(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Features of every role of the panel."""
    main = main_role(panel)
    others = sorted(set(panel.roles) - {main})
    return (*(main_features(main, panel) if main else ()), *(f for role in others for f in level_features(role)))


def level_features(role: str) -> tuple[FeatureSpec, ...]:
    """How volatile a market is now and was in the last twelve ticks."""
    value = log_volatility(role)
    return (
        FeatureSpec(f"{role}_log_volatility", UNIT, 1, value, LEVEL),
        FeatureSpec(f"{role}_log_volatility_mean_12", UNIT, 12, rolling_mean(value, 12), LEVEL),
    )


def main_features(role: str, panel: Panel) -> tuple[FeatureSpec, ...]:
    """Everything about the market that is forecast."""
    name, value, day = f"{role}_log_volatility", log_volatility(role), ticks_in(DAY_S, panel)
    price, volume = pl.col(f"{role}_close").log(), pl.col(f"{role}_volume").clip(1e-9).log()
    limit, window = threshold(value, panel)
    return (
        FeatureSpec(name, UNIT, 1, value, LEVEL),
        *(FeatureSpec(f"{name}_mean_{n}", UNIT, n, rolling_mean(value, n), LEVEL) for n in MEANS),
        FeatureSpec(f"{name}_max_12", UNIT, 12, rolling_max(value, 12), LEVEL),
        FeatureSpec(f"{name}_day_ago", UNIT, day + 1, value.shift(day), LEVEL),
        *(FeatureSpec(f"{role}_move_{n}", "1", n + 1, (price - price.shift(n)).abs()) for n in (1, 12)),
        FeatureSpec(f"{role}_log_volume_gap", "ln(1)", day, volume - rolling_mean(volume, day)),
        FeatureSpec(f"{role}_volatility_threshold", UNIT, window, limit, LEVEL),
        FeatureSpec(f"{role}_volatility_gap", UNIT, window, limit - value),
    )


def threshold(value: pl.Expr, panel: Panel) -> tuple[pl.Expr, int]:
    """The level whose crossing is a jump, and the ticks it looks back."""
    window, least = ticks_in(JUMP_DAYS * DAY_S, panel), ticks_in(JUMP_LEAST_DAYS * DAY_S, panel)
    return value.rolling_quantile(JUMP_QUANTILE, "linear", window, min_samples=least), window
