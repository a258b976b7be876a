"""Rhythm: what the same minutes of earlier days did, for each tick of the coming hour.

Decided here: a value counts relative to its mean over the day before it, so that a rhythm survives a change of level. Step k
speaks of the tick k ticks ahead, from the same tick of past days: an input about the future without a look ahead. `fortnight`
averages the last 14 days, `week` the last 7 and the neighbouring ticks, `last_week` the same weekday's three ticks. Intraday
seasonality of volatility: Andersen and Bollerslev (1997).
"""

import polars as pl

from data.contract import Panel
from data.features.spec import DAY_S, FeatureSpec, rolling_mean, ticks_in
from data.features.volatility import log_volatility
from data.ticks_bars import main_role

AHEAD, WEEK, FORTNIGHT, SMOOTH = 12, 7, 14, 3
UNIT = "ln(1)"


def family(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Rhythm of the main market's volatility; nothing without roles, or where a day is not longer than what lies ahead."""
    main, day = main_role(panel), ticks_in(DAY_S, panel)
    if main is None or day <= AHEAD + 1:
        return ()
    value = log_volatility(main)
    above = value - rolling_mean(value, day)
    smooth = rolling_mean(above, SMOOTH)
    fortnight, week = over_days(above, FORTNIGHT, day), over_days(smooth, WEEK, day)
    return tuple(
        spec
        for k in range(1, AHEAD + 1)
        for spec in (
            FeatureSpec(f"{main}_rhythm_fortnight_{k}", UNIT, (FORTNIGHT + 1) * day - k, fortnight.shift(day - k)),
            FeatureSpec(f"{main}_rhythm_week_{k}", UNIT, (WEEK + 1) * day - k + 1, week.shift(day - k - 1)),
            FeatureSpec(
                f"{main}_rhythm_last_week_{k}", UNIT, (WEEK + 1) * day - k + 1, smooth.shift(WEEK * day - k - 1)
            ),
        )
    )


def over_days(value: pl.Expr, days: int, day: int) -> pl.Expr:
    """Mean of the known values at this tick of the day, over so many days that end with this one."""
    return pl.mean_horizontal(*(value.shift(k * day) for k in range(days)))
