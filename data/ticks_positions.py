"""Positions on the tick grid: the notional that is open on each side, and how much of it is near its liquidation.

Decided here: the rows of one symbol and time are its whole book, which holds for an hour at most; the first symbol of the
main role that has one is taken. Notional is size times the market's last price, in whole cents, so that sums are exact;
a position at or past its liquidation price is near.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Panel
from data.spans import Columns, Ticks, instants, newest_before, numbers
from data.ticks_bars import main_role

SIDES = ("long", "short")
WITHIN = (1, 2, 5, 10)  # percent
BOOK_AGE_S = 3600
CENTS = 100.0


def notional_column(role: str, side: str) -> str:
    """Name of the column of a side's notional."""
    return f"{role}_{side}_notional"


def within_column(role: str, side: str, percent: int) -> str:
    """Name of the column of a side's notional within a distance of its liquidation."""
    return f"{role}_{side}_within_{percent}"


def position_columns(panel: Panel) -> tuple[str, ...]:
    """Names of the columns; none without roles."""
    role = main_role(panel)
    names = [(notional_column(role, side), *(within_column(role, side, p) for p in WITHIN)) for side in SIDES if role]
    return tuple(name for of_side in names for name in of_side)


def position_ticks(ticks: Ticks, rows: pl.DataFrame, panel: Panel) -> Columns:
    """`position_columns` in quote currency; unknown where `ticks` have no close of the main role."""
    names, role = position_columns(panel), main_role(panel)
    table = np.full((len(ticks.end), len(names)), np.nan)
    price = ticks.columns.get(f"{role}_close", ticks.unknown)
    for symbol in panel.roles[role] if role else ():
        own = rows.filter(rows["symbol"] == symbol)
        ts = instants(own["ts"])
        index = newest_before(ticks, ts, BOOK_AGE_S)
        book = np.stack([(own["side"] == side).to_numpy() * numbers(own, "size") for side in SIDES])
        level = numbers(own, "liquidation_price")
        for i in np.flatnonzero((index >= 0) & np.isnan(table[:, 0]) & ~np.isnan(price)):
            first = np.searchsorted(ts, ts[index[i]])
            whole = slice(first, index[i] + 1)
            table[i] = at_stake(book[:, whole] * price[i], level[whole] / price[i])
    return dict(zip(names, table.T, strict=True))


def at_stake(notional: NDArray[np.float64], level: NDArray[np.float64]) -> list[float]:
    """Notional of each side (2, n): all of it, then within each distance; `level` (n,) in prices, NaN for never."""
    cents = np.rint(notional * CENTS).astype(np.int64)
    found = []
    for side, own in zip(SIDES, cents, strict=True):
        near = [int(own[is_within(level, side, percent)].sum()) for percent in WITHIN]
        found += [value / CENTS for value in (int(own.sum()), *near)]
    return found


def is_within(level: NDArray[np.float64], side: str, percent: int) -> NDArray[np.bool_]:
    """Whether a move of so many percent against a side reaches some levels, in prices."""
    return level >= 1 - percent / 100 if side == "long" else level <= 1 + percent / 100
