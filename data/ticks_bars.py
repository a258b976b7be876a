"""Candles on the tick grid: `{role}_open`, `_high`, `_low`, `_close`, `_volume`.

Decided here: bars whose interval divides the tick are joined, and a tick that they do not fully cover is unknown; a bar
longer than the tick holds from its close until the next one would close. The first symbol of a role that is known at a tick
plays the role there.
"""

import polars as pl

from data.contract import Panel
from data.schemas import TABLES
from data.timeline import KNOWN_AT, TICK, join_as_of, label, require_known

PARTS = ("open", "high", "low", "close", "volume")
LONGEST_S = 3600  # longer bars say too little about one tick, and would make the look-back long
VOLUME_SCALE = float(2**16)


def bar_columns(panel: Panel) -> tuple[str, ...]:
    """Names of the columns, by role in alphabetical order."""
    return tuple(f"{role}_{part}" for role in sorted(panel.roles) for part in PARTS)


def bar_ticks(ticks: pl.DataFrame, bars: pl.DataFrame, panel: Panel) -> pl.DataFrame:
    """The ticks with the bar columns of every role; a role none of whose symbols has a bar gets no columns."""
    played = {role: [s for s in panel.roles[role] if s in set(bars["symbol"].unique())] for role in sorted(panel.roles)}
    wanted = pl.col("symbol").is_in(sorted({symbol for symbols in played.values() for symbol in symbols}))
    rows = bars.lazy().filter(wanted).with_columns(TABLES["bars"].known_at.alias(KNOWN_AT)).collect()
    by_symbol = {symbol: symbol_ticks(ticks, part, panel.tick_s) for symbol, part in split(rows)}
    table = ticks.lazy()
    for role, symbols in played.items():
        for place, symbol in enumerate(symbols):
            renamed = by_symbol[symbol].rename({part: f"{role}_{part}:{place}" for part in PARTS})
            table = table.join(renamed, on=TICK, how="left", maintain_order="left")
        if symbols:
            table = table.with_columns(first_known(f"{role}_{part}", len(symbols)) for part in PARTS)
    return table.select(
        *ticks.columns, *(f"{role}_{part}" for role in played if played[role] for part in PARTS)
    ).collect()


def split(rows: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """The rows of each symbol."""
    return [(str(symbol), part) for (symbol,), part in rows.partition_by("symbol", as_dict=True).items()]


def first_known(name: str, places: int) -> pl.Expr:
    """The value of the first symbol that is known at a tick."""
    return pl.coalesce(f"{name}:{place}" for place in range(places)).alias(name)


def symbol_ticks(ticks: pl.DataFrame, bars: pl.DataFrame, tick_s: int) -> pl.LazyFrame:
    """OHLCV of one symbol by tick (ticks without one may be absent): joined short bars, else the last complete long one."""
    divides = tick_s % pl.col("interval_s") == 0
    short = joined(bars.filter(divides), tick_s)
    long = bars.filter(~divides & pl.col("interval_s").is_between(tick_s, LONGEST_S))
    if long.is_empty():
        return short
    held = join_as_of(
        ticks.select(TICK), long.sort(KNOWN_AT, "ts").select("ts", KNOWN_AT, "interval_s", *PARTS), pl.col("interval_s")
    )
    both = ticks.lazy().select(TICK).join(short, on=TICK, how="left").join(held, on=TICK, how="left", suffix=":held")
    return both.select(TICK, *(pl.coalesce(part, f"{part}:held").alias(part) for part in PARTS))


def joined(bars: pl.DataFrame, tick_s: int) -> pl.LazyFrame:
    """OHLCV of the ticks that bars cover without a gap; bars divide the tick and are in ascending order of open time."""
    inside = require_known(bars.with_columns(label(pl.col("ts"), tick_s).alias(TICK)))
    volume = (pl.col("volume") * VOLUME_SCALE).round().cast(
        pl.Int64
    ).sum() / VOLUME_SCALE  # order-free, as in fixedpoint
    return (
        inside.lazy()
        .group_by(TICK)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            volume.alias("volume"),
            pl.col("interval_s").sum().alias("covered_s"),
        )
        .filter(pl.col("covered_s") == tick_s)
        .drop("covered_s")
    )
