"""Candles as other tools keep them: arrays of open time (ms), open, high, low, close and volume.

Decided here: how markets are called here (`BTC/USDT:USDT` is BTC-PERP, `BTC/USDT` is BTC-SPOT) and which rows of an
exchange are not candles yet (the last one, when it had not closed by the time of the file, cannot be told apart and
stays; its correction later is a conflict that the lake shows).
"""

import re
from pathlib import Path

import msgspec
import polars as pl

from data.errors import DataError, UsageError

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
PRICES = ("open", "high", "low", "close", "volume")

Number = float | int | str
Row = tuple[int, Number, Number, Number, Number, Number]


def interval_s(text: str) -> int:
    """Seconds of a time frame such as 5m, 1h or 1d. Raises UsageError for others (months have no fixed length)."""
    match = re.fullmatch(r"([1-9]\d*)([smhdw])", text)
    if match is None:
        raise UsageError(
            "interval", expected="a number and one of s, m, h, d, w", found=repr(text), remedy="write e.g. 5m or 1h"
        )
    return int(match[1]) * SECONDS[match[2]]


def market(pair: str) -> str:
    """Name of a market here: `BASE/QUOTE:SETTLE` is BASE-PERP, `BASE/QUOTE` BASE-SPOT, anything else itself."""
    match = re.fullmatch(r"([^/:]+)/([^/:]+)(:[^/:]+)?", pair)
    return pair if match is None else f"{match[1].upper()}-{'PERP' if match[3] else 'SPOT'}"


def decoded(content: bytes, path: Path) -> pl.DataFrame:
    """Columns `ts` (ms, UTC) and prices (Float64) of a JSON array of candles; numbers may be written as strings.

    Raises DataError when it is cut short or holds anything else.
    """
    try:
        rows = msgspec.json.decode(content, type=list[Row])
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise DataError(
            str(path),
            expected="a JSON array of [milliseconds, open, high, low, close, volume]",
            found=str(error),
            remedy="name another format or fetch the file again",
        ) from error
    frame = pl.DataFrame([*zip(*rows, strict=True)] or [[]] * 6, schema=["ts", *PRICES], strict=False)
    return frame.select(pl.col("ts").cast(pl.Int64).cast(pl.Datetime("ms", "UTC")), pl.col(PRICES).cast(pl.Float64))


def bars(prices: pl.DataFrame, symbol: str, interval: int) -> pl.DataFrame:
    """Canonical bars from `ts` and prices; `interval` seconds."""
    return prices.select(
        pl.lit(symbol).alias("symbol"), "ts", pl.lit(interval, pl.Int64).alias("interval_s"), pl.col(PRICES)
    )


def usual_step_s(prices: pl.DataFrame, path: Path) -> int:
    """Seconds between most candles: the time frame of a file that does not say it. Raises UsageError without two rows."""
    steps = prices.select(pl.col("ts").sort().diff().drop_nulls().dt.total_seconds().mode().min())
    step = steps.item() if prices.height > 1 else None
    if not step:
        raise UsageError(
            str(path),
            expected="--interval",
            found="fewer than two candles",
            remedy="say the time frame, e.g. --interval 5m",
        )
    return int(step)
