"""What a feature is: a name, a unit, a finite look-back and one polars expression over the tick table.

Decided here: how durations become ticks and how many known values a window needs. Every window is built from row-wise
arithmetic, exact sums or selections, so the last row of a tail of `lookback` ticks has the same bits as in the whole table.
"""

from dataclasses import dataclass

import polars as pl

from data.contract import Feature, Panel
from data.fixedpoint import grained

HOUR_S, DAY_S = 3600, 86400
LEAST_DEVIATION = 1e-3  # of what is scored, so that a value that never moved is not divided by rounding


@dataclass(frozen=True)
class FeatureSpec:
    """One column: `lookback` is how many ticks its expression reads, its own tick included; `level` as in `Feature`."""

    name: str
    unit: str
    lookback: int
    expr: pl.Expr
    level: str | None = None

    @property
    def described(self) -> Feature:
        """The feature as a contract names it."""
        return Feature(self.name, self.unit, self.lookback, self.level)


def ticks_in(duration_s: int, panel: Panel) -> int:
    """Ticks in a duration, at least one."""
    return max(1, duration_s // panel.tick_s)


def enough(window: int) -> int:
    """How many known values a mean over a window needs: a quarter, so that gaps and short histories still answer."""
    return max(1, window // 4)


def rolling_mean(value: pl.Expr, window: int) -> pl.Expr:
    """Mean of the known values among the last `window` ticks; null if fewer than a quarter of them are known."""
    return grained(value).rolling_mean(window, min_samples=enough(window))


def rolling_std(value: pl.Expr, window: int) -> pl.Expr:
    """Population standard deviation of the known values among the last `window` ticks; null as in `rolling_mean`."""
    mean = rolling_mean(value, window)
    return (rolling_mean(value * value, window) - mean * mean).clip(0.0).sqrt()


def z_score(value: pl.Expr, window: int) -> pl.Expr:
    """Distance of a value to the mean of the last `window` ticks, its own included, in their standard deviations."""
    return (value - rolling_mean(value, window)) / rolling_std(value, window).clip(LEAST_DEVIATION)


def known_count(value: pl.Expr, window: int) -> pl.Expr:
    """How many of the last `window` ticks are known."""
    return value.is_not_null().cast(pl.Int64).rolling_sum(window, min_samples=1)


def rolling_max(value: pl.Expr, window: int) -> pl.Expr:
    """Largest known value of the last `window` ticks."""
    return value.rolling_max(window, min_samples=enough(window))


def change(value: pl.Expr, ticks: int) -> pl.Expr:
    """Value now minus the value so many ticks ago."""
    return value - value.shift(ticks)
