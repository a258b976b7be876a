"""Candles and funding rates as freqtrade keeps them: `PAIR-TIMEFRAME[-KIND].feather|json|json.gz|parquet`.

Decided here: spot and futures candles become bars, `funding_rate` becomes funding (its rate is in `open`); mark, index
and other kinds are refused, since they are not what was traded.
"""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.errors import DataError
from data.imports.candles import PRICES, bars, decoded, interval_s, market
from data.imports.chunk import Chunk, Options, require_columns, unreadable

NAME = re.compile(
    r"(?P<pair>.+)-(?P<frame>\d+[smhdw])(?:-(?P<kind>[a-zA-Z_]+))?\.(?P<suffix>feather|json|json\.gz|parquet)"
)


@dataclass(frozen=True)
class Name:
    """What the name of a file says."""

    pair: str
    interval_s: int
    kind: str
    suffix: str


def read(path: Path, options: Options) -> Iterator[Chunk]:
    """Bars or funding of one file; `symbol` and `interval_s` stand above what its name says."""
    name = parsed(path)
    prices = candles(path, name.suffix)
    symbol = options.symbol or market(name.pair)
    origin = options.origin or f"freqtrade:{path.name}"
    if name.kind == "funding_rate":
        yield Chunk(
            "funding", prices.select(pl.lit(symbol).alias("symbol"), "ts", pl.col("open").alias("rate")), origin
        )
    else:
        yield Chunk("bars", bars(prices, symbol, options.interval_s or name.interval_s), origin)


def parsed(path: Path) -> Name:
    """The parts of a name. Raises DataError for other names and for kinds that are neither traded nor funding."""
    match = NAME.fullmatch(path.name)
    if match is None or (match["kind"] or "futures") not in ("futures", "funding_rate"):
        raise DataError(
            str(path),
            expected="a name such as BTC_USDT-5m.feather, BTC_USDT_USDT-5m-futures.feather or …-8h-funding_rate.feather",
            found=path.name,
            remedy="give it the name that freqtrade gives it, or use a mapping file",
        )
    return Name(pair(match["pair"]), interval_s(match["frame"]), match["kind"] or "spot", match["suffix"])


def pair(text: str) -> str:
    """`BTC_USDT` is BTC/USDT and `BTC_USDT_USDT` BTC/USDT:USDT."""
    return text.replace("_", "/", 1).replace("_", ":", 1)


def candles(path: Path, suffix: str) -> pl.DataFrame:
    """Columns `ts` (ms, UTC) and prices of a file."""
    try:
        if suffix.startswith("json"):
            content = path.read_bytes()
            return decoded(gzip.decompress(content) if suffix == "json.gz" else content, path)
        frame = pl.read_parquet(path) if suffix == "parquet" else pl.read_ipc(path)
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        raise unreadable(path, error) from error
    require_columns(frame.schema, ("date", *PRICES), path, "name another format")
    if not isinstance(frame.schema["date"], pl.Datetime) or frame.schema["date"].time_zone is None:
        raise DataError(
            str(path), expected="dates with a time zone", found=str(frame.schema["date"]), remedy="use a mapping file"
        )
    ts = pl.col("date").dt.convert_time_zone("UTC").dt.cast_time_unit("ms").alias("ts")
    return frame.select(ts, pl.col(PRICES).cast(pl.Float64))
