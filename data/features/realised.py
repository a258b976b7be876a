"""Realised volatility of the main market, and what spills over from the others.

Decided here: returns are in percent, so that their squares keep at least three digits in exact sums; volatilities are half the
log of a mean variance. The estimators are realised variance and its two halves (Barndorff-Nielsen, Kinnebrock and Shephard 2010),
bipower variation and the jump part above it (Barndorff-Nielsen and Shephard 2004), Garman and Klass (1980); the windows are
those of a heterogeneous autoregression (Corsi 2009). A shock is a distance to the trailing day in standard deviations.
"""

import math

import polars as pl

from data.contract import Panel
from data.features.spec import DAY_S, FeatureSpec, change, rolling_mean, ticks_in, z_score
from data.features.volatility import LEVEL, log_volatility
from data.ticks_bars import main_role

PERCENT = 100.0
LEAST_VARIANCE = 1e-6  # percent squared: a thousandth of a percent a tick
HAR, PARTS, JUMPS = (1, 3, 12, 72, 288), (12, 72), (12, 72, 288)
UNIT = "ln(%)"


def family(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Estimators of the main market, then the spill-over from every other role; nothing without roles."""
    main, day = main_role(panel), ticks_in(DAY_S, panel)
    if main is None:
        return ()
    others = sorted(set(panel.roles) - {main})
    spilt = tuple(spec for role in others for spec in spill_over(role, main, day))
    return (*variances(main), *halves(main), *jumps(main), *shocks(main, day), *spilt)


def returns(role: str, ticks: int = 1) -> pl.Expr:
    """Log return over some ticks, in percent."""
    return change(pl.col(f"{role}_close").log(), ticks) * PERCENT


def log_deviation(variance: pl.Expr) -> pl.Expr:
    """Ln of a standard deviation in percent, from a variance in percent squared."""
    return variance.clip(LEAST_VARIANCE).log() * 0.5


def garman_klass(role: str) -> pl.Expr:
    """Variance of a candle: ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2, in percent squared."""
    width = (pl.col(f"{role}_high") / pl.col(f"{role}_low")).log() * PERCENT
    body = (pl.col(f"{role}_close") / pl.col(f"{role}_open")).log() * PERCENT
    return width * width * 0.5 - body * body * (2 * math.log(2) - 1)


def variances(role: str) -> tuple[FeatureSpec, ...]:
    """Realised over the HAR windows and Garman-Klass."""
    square, candle = returns(role) * returns(role), garman_klass(role)
    return (
        *(
            FeatureSpec(f"{role}_log_realised_{n}", UNIT, n + 1, log_deviation(rolling_mean(square, n)), LEVEL)
            for n in HAR
        ),
        *(
            FeatureSpec(f"{role}_log_garman_klass_{n}", UNIT, n, log_deviation(rolling_mean(candle, n)), LEVEL)
            for n in (1, *PARTS)
        ),
    )  # fmt: skip


def halves(role: str) -> tuple[FeatureSpec, ...]:
    """Semivariances: what rises and what falls contribute to the realised variance."""
    up, down = returns(role).clip(0.0), (returns(role) * -1.0).clip(0.0)
    specs = []
    for n in PARTS:
        rise, fall = rolling_mean(up * up, n), rolling_mean(down * down, n)
        total = rise + fall
        specs += [
            FeatureSpec(f"{role}_log_rise_{n}", UNIT, n + 1, log_deviation(rise), LEVEL),
            FeatureSpec(f"{role}_log_fall_{n}", UNIT, n + 1, log_deviation(fall), LEVEL),
            FeatureSpec(f"{role}_fall_share_{n}", "1", n + 1, pl.when(total > 0).then(fall / total)),
        ]
    return tuple(specs)


def jumps(role: str) -> tuple[FeatureSpec, ...]:
    """Share of the realised variance above bipower variation: the part that came in jumps, 0..1."""
    square, size = returns(role) * returns(role), returns(role).abs()
    bipower = size * size.shift(1) * (math.pi / 2)
    specs = []
    for n in JUMPS:
        total = rolling_mean(square, n)
        share = pl.when(total > 0).then((total - rolling_mean(bipower, n)) / total).clip(0.0)
        specs.append(FeatureSpec(f"{role}_jump_share_{n}", "1", n + 2, share))
    return tuple(specs)


def shocks(role: str, day: int) -> tuple[FeatureSpec, ...]:
    """How unusual the width of the candle and its volume are for the trailing day."""
    volume = pl.col(f"{role}_volume").clip(1e-9).log()
    return (
        FeatureSpec(f"{role}_range_shock", "sd", day, z_score(log_volatility(role), day)),
        FeatureSpec(f"{role}_volume_shock", "sd", day, z_score(volume, day)),
    )


def spill_over(role: str, main: str, day: int) -> tuple[FeatureSpec, ...]:
    """What another market just did, and how far the main market has yet to follow."""
    own, other = z_score(log_volatility(main), day), z_score(log_volatility(role), day)
    return (
        *(FeatureSpec(f"{role}_return_{n}", "%", n + 1, returns(role, n)) for n in (1, 3)),
        *(
            FeatureSpec(f"{role}_return_lead_{n}", "%", n + 1, returns(role, n) - returns(main, n))
            for n in (1, 3, 12)
        ),
        FeatureSpec(f"{role}_range_shock", "sd", day, other),
        FeatureSpec(f"{role}_range_shock_lead", "sd", day, other - own),
    )  # fmt: skip
