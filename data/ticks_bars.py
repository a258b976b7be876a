"""Candles on the tick grid: `{role}_open`, `_high`, `_low`, `_close`, `_volume`.

Decided here: bars whose interval divides the tick are joined, and a tick that they do not fully cover is unknown; a bar
longer than the tick holds from its close until the next one would close. The first symbol of a role that is known at a tick
plays the role there.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Panel
from data.spans import Columns, Ticks, instants, numbers, spans, taken

PARTS = ("open", "high", "low", "close", "volume")
LONGEST_S = 3600  # longer bars say too little about one tick, and would make the look-back long
VOLUME_SCALE = float(2**16)


def main_role(panel: Panel) -> str | None:
    """The market that is forecast: `eth`, or else the first role in alphabetical order; None without roles."""
    return "eth" if "eth" in panel.roles else min(panel.roles, default=None)


def bar_columns(panel: Panel) -> tuple[str, ...]:
    """Names of the columns, by role in alphabetical order."""
    return tuple(f"{role}_{part}" for role in sorted(panel.roles) for part in PARTS)


def bar_ticks(ticks: Ticks, bars: pl.DataFrame, panel: Panel) -> Columns:
    """The bar columns of every role."""
    wanted = {symbol for symbols in panel.roles.values() for symbol in symbols}
    by_symbol = {
        str(symbol): symbol_ticks(ticks, own)
        for (symbol,), own in bars.partition_by("symbol", as_dict=True).items()
        if symbol in wanted
    }
    found: Columns = {}
    for role in sorted(panel.roles):
        table = np.full((len(PARTS), len(ticks.end)), np.nan)
        for symbol in panel.roles[role]:
            if symbol in by_symbol:
                table = np.where(np.isnan(table), by_symbol[symbol], table)
        found |= {f"{role}_{part}": values for part, values in zip(PARTS, table, strict=True)}
    return found


def symbol_ticks(ticks: Ticks, bars: pl.DataFrame) -> NDArray[np.float64]:
    """OHLCV (5, n) of one symbol by tick, NaN where unknown: joined short bars, else the last complete long one."""
    interval_s = bars["interval_s"].to_numpy()
    divides = ticks.tick_s % interval_s == 0
    short = joined(ticks, bars if divides.all() else bars.filter(divides))
    is_long = ~divides & (interval_s >= ticks.tick_s) & (interval_s <= LONGEST_S)
    if not is_long.any():
        return short
    return np.where(np.isnan(short), held(ticks, bars.filter(is_long)), short)


def joined(ticks: Ticks, bars: pl.DataFrame) -> NDArray[np.float64]:
    """OHLCV (5, n) of the ticks that bars cover without a gap; bars divide the tick and are in order of open time."""
    inside = spans(ticks, instants(bars["ts"]))
    volume = np.rint(numbers(bars, "volume") * VOLUME_SCALE).astype(np.int64)  # order-free, as in fixedpoint
    values = [
        inside.first(numbers(bars, "open")),
        inside.most(numbers(bars, "high")),
        inside.least(numbers(bars, "low")),
        inside.last(numbers(bars, "close")),
        inside.total(volume) / VOLUME_SCALE,
    ]
    covered = inside.total(bars["interval_s"].to_numpy()) == ticks.tick_s
    return np.where(covered, np.stack(values), np.nan)


def held(ticks: Ticks, bars: pl.DataFrame) -> NDArray[np.float64]:
    """OHLCV (5, n) of the last complete bar, until the next one would close."""
    width = bars["interval_s"].to_numpy() * 1000
    close = instants(bars["ts"]) + width
    order = np.argsort(close, kind="stable")
    last = np.searchsorted(close[order], ticks.end, side="right") - 1
    place = np.where(last >= 0, order[last], -1)
    fresh = (place >= 0) & (ticks.end - close[place] < width[place])
    return np.stack([taken(numbers(bars, part), np.where(fresh, place, -1)) for part in PARTS])
