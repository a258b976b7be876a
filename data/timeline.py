"""One tick grid for everything, and the joins onto it that cannot see the future.

Decided here: a tick is labelled by its END T and holds what happened in [T - tick_s, T); a row is usable at T if it happened
before T and was known by T. A row that is not usable where it was put raises `LookAheadError`.
"""

from datetime import UTC, datetime

import polars as pl

from data.errors import DataError

TICK = "tick"
TICK_TYPE = pl.Datetime("ms", "UTC")
KNOWN_AT = "known_at"


class LookAheadError(DataError):
    """A row was used at a time when nobody could have known it."""


def label(time: pl.Expr, tick_s: int) -> pl.Expr:
    """END label (Datetime ms, UTC) of the tick that holds a time; a time on the grid belongs to the tick it starts."""
    width_ms = tick_s * 1000
    start = time.dt.epoch("ms").floordiv(width_ms)
    return ((start + 1) * width_ms).cast(TICK_TYPE)


def floor_tick(at: datetime, tick_s: int) -> datetime:
    """The newest tick label that is not after a time."""
    seconds = int(at.timestamp() // tick_s) * tick_s
    return datetime.fromtimestamp(seconds, UTC)


def ceil_tick(at: datetime, tick_s: int) -> datetime:
    """The oldest tick label that is not before a time."""
    seconds = -int(-at.timestamp() // tick_s) * tick_s
    return datetime.fromtimestamp(seconds, UTC)


def grid(since: datetime, until: datetime, tick_s: int) -> pl.DataFrame:
    """Column `tick`: the labels T with since <= T < until, contiguous and ascending."""
    first, last = (int(ceil_tick(at, tick_s).timestamp()) for at in (since, until))
    labels = pl.int_range(first, last, tick_s, dtype=pl.Int64, eager=True) * 1000
    return pl.DataFrame({TICK: labels.cast(TICK_TYPE)})


def require_known(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows themselves, unless one with columns `tick`, `ts` and `known_at` is not usable at its tick.

    Raises LookAheadError that names the first such row.
    """
    ahead = rows.filter((pl.col("ts") >= pl.col(TICK)) | (pl.col(KNOWN_AT) > pl.col(TICK)))
    if ahead.height:
        row = ahead.row(0, named=True)
        raise LookAheadError(
            f"tick {row[TICK]}",
            expected="rows that happened before the tick's end and were known by it",
            found=f"a row of {row['ts']} known at {row[KNOWN_AT]}",
            remedy="label rows by the end of the tick that holds them, and join on known_at",
        )
    return rows


def join_as_of(ticks: pl.DataFrame, rows: pl.DataFrame, max_age_s: pl.Expr) -> pl.LazyFrame:
    """The ticks, each with the row that was known last by then; columns are null where there is none.

    `rows` have `ts` and `known_at` and are in ascending order of both. A row is used while the tick is less than `max_age_s`
    (an expression of its columns) after its known_at. A row that happens AT a tick's end is not part of that tick.
    """
    happened = (pl.col("ts") + pl.duration(milliseconds=1)).dt.cast_time_unit("ms")
    usable = rows.lazy().with_columns(pl.max_horizontal(KNOWN_AT, happened).alias("usable_at"))
    joined = ticks.lazy().join_asof(usable, left_on=TICK, right_on="usable_at", strategy="backward", coalesce=False)
    known = require_known(joined.collect())
    fresh = pl.col(TICK) - pl.col(KNOWN_AT) < pl.duration(seconds=max_age_s)
    columns = [c for c in rows.columns if c not in ticks.columns]
    return known.lazy().select(*ticks.columns, *(pl.when(fresh).then(pl.col(c)).alias(c) for c in columns))
