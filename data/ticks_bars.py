"""Candles on the tick grid: `{role}_open`, `_high`, `_low`, `_close`, `_volume`.

Decided here: bars whose interval divides the tick are joined, and a tick that they do not fully cover is unknown; a bar
longer than the tick holds from its close until the next one would close. The first symbol of a role that is known at a tick
plays the role there.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Panel
from data.spans import Columns, Ticks, instants, is_of, numbers, spans, taken

PARTS = ("open", "high", "low", "close", "volume")
LONGEST_S = 3600  # longer bars say too little about one tick, and would make the look-back long
VOLUME_SCALE = float(2**16)


def main_role(panel: Panel) -> str | None:
    """The market that is forecast: `eth`, or else the first role in alphabetical order; None without roles."""
    return "eth" if "eth" in panel.roles else min(panel.roles, default=None)


def bar_columns(panel: Panel) -> tuple[str, ...]:
    """Names of the columns, by role in alphabetical order."""
    return tuple(f"{role}_{part}" for role in sorted(panel.roles) for part in PARTS)


@dataclass(frozen=True)
class Candles:
    """Bars of one symbol: open times (ms) and intervals (s), (n,) each, and OHLCV (5, n)."""

    ts: NDArray[np.int64]
    interval_s: NDArray[np.int64]
    values: NDArray[np.float64]

    def where(self, chosen: NDArray[np.bool_]) -> "Candles":
        """Some of them."""
        return self if chosen.all() else Candles(self.ts[chosen], self.interval_s[chosen], self.values[:, chosen])


def bar_ticks(ticks: Ticks, bars: pl.DataFrame, panel: Panel) -> Columns:
    """The bar columns of every role."""
    values = np.stack([numbers(bars, part) for part in PARTS])
    candles = Candles(instants(bars["ts"]), bars["interval_s"].to_numpy(), values)
    found: Columns = {}
    for role in sorted(panel.roles):
        table = np.full((len(PARTS), len(ticks.end)), np.nan)
        for symbol in panel.roles[role]:
            if np.isnan(table).any():
                own = candles.where(is_of(bars["symbol"], symbol))
                table = np.where(np.isnan(table), symbol_ticks(ticks, own), table)
        found |= {f"{role}_{part}": column for part, column in zip(PARTS, table, strict=True)}
    return found


def symbol_ticks(ticks: Ticks, bars: Candles) -> NDArray[np.float64]:
    """OHLCV (5, n) of one symbol by tick, NaN where unknown: joined short bars, else the last complete long one."""
    divides = ticks.tick_s % bars.interval_s == 0
    short = joined(ticks, bars.where(divides))
    is_long = ~divides & (bars.interval_s >= ticks.tick_s) & (bars.interval_s <= LONGEST_S)
    return np.where(np.isnan(short), held(ticks, bars.where(is_long)), short) if is_long.any() else short


def joined(ticks: Ticks, bars: Candles) -> NDArray[np.float64]:
    """OHLCV (5, n) of the ticks that bars cover without a gap; bars divide the tick and are in order of open time."""
    inside = spans(ticks, bars.ts)
    opened, high, low, close, volume = bars.values
    whole = np.rint(volume * VOLUME_SCALE).astype(np.int64)  # order-free, as in fixedpoint
    most, least = inside.mosts(high, -low)
    values = inside.first(opened), most, -least, inside.last(close)
    covered = inside.total(bars.interval_s) == ticks.tick_s
    return np.where(covered, np.stack([*values, inside.total(whole) / VOLUME_SCALE]), np.nan)


def held(ticks: Ticks, bars: Candles) -> NDArray[np.float64]:
    """OHLCV (5, n) of the last complete bar, until the next one would close."""
    width = bars.interval_s * 1000
    close = bars.ts + width
    order = np.argsort(close, kind="stable")
    last = np.searchsorted(close[order], ticks.end, side="right") - 1
    place = np.where(last >= 0, order[last], -1)
    fresh = (place >= 0) & (ticks.end - close[place] < width[place])
    return np.stack([taken(values, np.where(fresh, place, -1)) for values in bars.values])
