"""Distance to liquidation: how much of the open positions a move of the price would close by force.

Decided here: per side, the share of the known notional whose liquidation price lies within 1, 2, 5 and 10 % of the price,
and the log of that notional within 2 %; where no positions are known, all of it is unknown.
"""

import polars as pl

from data.contract import Panel
from data.features.spec import FeatureSpec, change
from data.ticks_bars import main_role
from data.ticks_positions import SIDES, WITHIN, notional_column, within_column

NEAR = 2  # percent


def family(panel: Panel) -> tuple[FeatureSpec, ...]:
    """Features of the main market's positions; nothing without roles."""
    role = main_role(panel)
    return tuple(spec for side in SIDES for spec in side_features(role, side)) if role else ()


def side_features(role: str, side: str) -> tuple[FeatureSpec, ...]:
    """Shares within each distance of the price, the notional at stake and how the nearest grew."""
    total = pl.col(notional_column(role, side))
    near = pl.col(within_column(role, side, NEAR)).clip(1.0).log()
    return (
        *(
            FeatureSpec(
                f"{role}_{side}_share_within_{percent}",
                "1",
                1,
                pl.when(total > 0).then(pl.col(within_column(role, side, percent)) / total),
            )
            for percent in WITHIN
        ),
        FeatureSpec(f"{role}_log_{side}_notional", "ln(USD)", 1, total.clip(1.0).log()),
        FeatureSpec(f"{role}_log_{side}_within_{NEAR}", "ln(USD)", 1, near),
        FeatureSpec(f"{role}_log_{side}_within_{NEAR}_change_3", "ln(1)", 4, change(near, 3)),
    )
