"""The clock: hour of the day, day of the week, place in the hour, and the time to the next funding payment.

Decided here: all of it is UTC and a function of the tick's label alone; funding is paid at 00, 08 and 16 h.
"""

import math

import polars as pl

from data.contract import Panel
from data.features.spec import DAY_S, HOUR_S, FeatureSpec
from data.timeline import TICK

WEEK_S, FUNDING_S = 7 * DAY_S, 8 * HOUR_S
PERIODS = {"hour": HOUR_S, "day": DAY_S, "week": WEEK_S}


def family(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Sine and cosine of each period, and seconds to the next funding payment (0 < s <= 28800)."""
    now_s = pl.col(TICK).dt.epoch("s")
    waves = tuple(
        FeatureSpec(f"{wave}_of_{name}", "1", 1, expr)
        for name, period_s in PERIODS.items()
        for wave, expr in waves_of(now_s % period_s, period_s, math.gcd(period_s, panel.tick_s))
    )
    return (*waves, FeatureSpec("to_funding_s", "s", 1, (FUNDING_S - now_s % FUNDING_S).cast(pl.Float64)))


def waves_of(phase_s: pl.Expr, period_s: int, step_s: int) -> tuple[tuple[str, pl.Expr], ...]:
    """Sine and cosine by name, each looked up among those of the phases that a tick can have: multiples of `step_s`."""
    angle = pl.int_range(0, period_s, step_s, eager=True) * (2 * math.pi / period_s)
    place = phase_s // step_s
    return (("sin", pl.lit(angle.sin()).gather(place)), ("cos", pl.lit(angle.cos()).gather(place)))
