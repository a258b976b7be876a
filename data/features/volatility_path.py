"""The path of volatility: between what bounds it has moved over a quarter of an hour to three days, and how unevenly.

Decided here: means and bounds move with the level, so models read them relative to it; the deviation over a window tells how
sure the level itself is. Beside the means of `volatility` they are what a linear quantile regression needs to know how wide
its band must be.
"""

from data.contract import Panel
from data.features.spec import FeatureSpec, rolling_max, rolling_mean, rolling_std
from data.features.volatility import LEVEL, UNIT, log_volatility
from data.ticks_bars import main_role

MEANS, WINDOWS, MOST = (6, 24, 144, 864, 2016), (3, 6, 12, 36, 72, 288, 864), (3, 6, 36, 72, 288, 864)


def family(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Features of the main market beyond those of `volatility`; nothing without roles; windows are in ticks."""
    role = main_role(panel)
    if role is None:
        return ()
    value, name = log_volatility(role), f"{role}_volatility"
    return (
        *(FeatureSpec(f"{name}_path_mean_{n}", UNIT, n, rolling_mean(value, n), LEVEL) for n in MEANS),
        *(FeatureSpec(f"{name}_path_most_{n}", UNIT, n, rolling_max(value, n), LEVEL) for n in MOST),
        *(FeatureSpec(f"{name}_path_least_{n}", UNIT, n, rolling_max(value * -1.0, n) * -1.0, LEVEL) for n in WINDOWS),
        *(FeatureSpec(f"{name}_spread_{n}", "ln(1)", n, rolling_std(value, n)) for n in WINDOWS),
    )
