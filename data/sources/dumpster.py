"""Flashbots' Mempool Dumpster (https://mempool-dumpster.flashbots.net): transactions as they were first seen, by day.

Decided here: a transaction is pending from when it was first seen until its block, at most three hours (the lifetime that
geth gives it, by which those that were dropped or replaced leave); the state of the mempool is written down each minute
from what had been seen strictly before. The first three hours of a day need the day before.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.errors import UsageError
from data.sources.archive import drift, fetch_file, read_csv, unpacked
from data.sources.asking import add_base_url, add_days
from data.sources.engine import Fetched, Part, Rows
from data.sources.web import AbsentError, Web

BASE_URL = "https://mempool-dumpster.flashbots.net/ethereum/mainnet"
DAY = timedelta(days=1)
DAY_MS, MINUTE_MS, LIFETIME_MS = 86_400_000, 60_000, 3 * 3_600_000
WEI_PER_GWEI = 1e9
CSV = (
    *("timestamp_ms", "hash", "chain_id", "from", "to", "value", "nonce", "gas", "gas_price", "gas_tip_cap"),
    *("gas_fee_cap", "data_size", "data_4bytes", "sources", "included_at_block_height"),
    *("included_block_timestamp_ms", "inclusion_delay_ms", "tx_type"),
)
CSV_TYPES: Mapping[str, pl.DataType] = MappingProxyType(
    {
        "timestamp_ms": pl.Int64(),
        "gas": pl.Float64(),
        "gas_price": pl.Float64(),
        "gas_fee_cap": pl.Float64(),
        "included_block_timestamp_ms": pl.Int64(),
    }
)
PARQUET_NAMES = MappingProxyType(
    {
        "timestamp": "timestamp_ms",
        "gas": "gas",
        "gasPrice": "gas_price",
        "gasFeeCap": "gas_fee_cap",
        "includedBlockTimestamp": "included_block_timestamp_ms",
    }
)
FORMATS = MappingProxyType({"csv": ".csv.zip", "parquet": ".parquet"})


@dataclass(frozen=True)
class Transactions:
    """Transactions in the order they were seen: times in ms since 1970, `left` when pending ends, gas, most gwei per gas.

    `delay_s` is the time from first seen to inclusion, NaN for those that were not included (in three hours).
    """

    seen: NDArray[np.int64]
    left: NDArray[np.int64]
    gas: NDArray[np.float64]
    fee_gwei: NDArray[np.float64]
    delay_s: NDArray[np.float64]


@dataclass(frozen=True)
class Dumpster:
    """What is asked: days [since, until) in one of the two formats (CSV is an eighth of the size)."""

    since: date
    until: date
    format: str = "csv"
    chain: str = "ethereum"
    base_url: str = BASE_URL

    async def parts(self, web: Web) -> Sequence[Part]:  # noqa: ARG002 - nothing has to be asked
        """A part for each day."""
        if self.since >= self.until:
            raise UsageError(
                "--until", expected=f"a day after {self.since}", found=f"{self.until}", remedy="give a later day"
            )
        return [Day(self, self.since + n * DAY) for n in range((self.until - self.since).days)]

    def url(self, day: date) -> str:
        """Address of the file of a day."""
        return f"{self.base_url.rstrip('/')}/{day:%Y-%m}/{day:%Y-%m-%d}{FORMATS[self.format]}"


@dataclass(frozen=True)
class Day:
    """One day of the mempool."""

    asked: Dumpster
    day: date

    @property
    def key(self) -> str:
        """Lasting name: chain and day."""
        return f"dumpster/{self.asked.chain}/{self.day:%Y-%m-%d}"

    async def fetch(self, web: Web) -> Fetched:
        """A row a minute; from the fourth hour on when the day before is not published."""
        url = self.asked.url(self.day)
        start = round(datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC).timestamp() * 1000)
        today = await self.transactions(web, url)
        try:
            before = await self.transactions(web, self.asked.url(self.day - DAY))
            first = start
        except AbsentError:
            before, first = today.clear(), start + LIFETIME_MS
        tail = before.filter(pl.col("timestamp_ms") >= start - LIFETIME_MS)
        frame = minutes(arranged(pl.concat([tail, today])), first, start + DAY_MS, self.asked.chain)
        return Fetched((Rows("mempool", frame, url),))

    async def transactions(self, web: Web, url: str) -> pl.DataFrame:
        """The columns that are used, of the file at an address."""
        read = partial(read_zip if self.asked.format == "csv" else read_parquet, url=url)
        return await fetch_file(Web.download, web, url, read)


def read_zip(path: Path, url: str) -> pl.DataFrame:
    """The columns that are used, of a zipped CSV."""
    with unpacked(path, url) as csv:
        return read_csv(csv, CSV, CSV_TYPES, url)


def read_parquet(path: Path, url: str) -> pl.DataFrame:
    """The columns that are used, of a parquet file with the names and types of the CSV."""
    try:
        rows = pl.scan_parquet(path).select(list(PARQUET_NAMES)).rename(dict(PARQUET_NAMES)).collect()
        times = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.Datetime)]
        return rows.with_columns(pl.col(times).dt.epoch("ms")).cast(pl.Schema(CSV_TYPES))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise drift(url, f"parquet with the columns {', '.join(PARQUET_NAMES)}", f"{error}".splitlines()[0]) from error


def arranged(rows: pl.DataFrame) -> Transactions:
    """Transactions in order; those with neither price nor time are left out, those included before they were seen too."""
    seen, included = pl.col("timestamp_ms"), pl.col("included_block_timestamp_ms")
    price = pl.coalesce(pl.when(pl.col("gas_fee_cap") > 0).then("gas_fee_cap"), "gas_price")
    kept = (
        rows.with_columns(price.alias("price"), pl.when(included > 0).then(included).alias("included"))
        .filter(seen.is_not_null() & pl.col("price").is_not_null() & pl.col("gas").is_not_null())
        .filter((pl.col("included") >= seen).fill_null(value=True))
        .sort("timestamp_ms", maintain_order=True)
    )
    left = pl.min_horizontal("included", seen + LIFETIME_MS)
    in_time = pl.col("included") - seen <= LIFETIME_MS
    delay = pl.when(in_time).then((pl.col("included") - seen) / 1000.0).fill_null(float("nan"))
    table = kept.select(seen, left.alias("left"), "gas", pl.col("price") / WEI_PER_GWEI, delay.alias("delay"))
    return Transactions(*(column.to_numpy() for column in table.iter_columns()))


def minutes(pool: Transactions, first: int, end: int, chain: str) -> pl.DataFrame:
    """Canonical rows of the mempool at each minute of [first, end), ms since 1970."""
    by_end = np.argsort(pool.left, kind="stable")
    ends = pool.left[by_end]
    rows = [minute(pool, at, by_end, ends) for at in range(first, end, MINUTE_MS)]
    names = (
        *("ts", "pending_count", "pending_weight", "pending_fee", "fee_fast", "fee_slow", "fee_min"),
        *("arrivals_per_s", "inclusion_p50_s", "inclusion_p90_s"),
    )
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64()), orient="row")
    return frame.select(
        pl.lit(chain).alias("chain"),
        pl.from_epoch(pl.col("ts").cast(pl.Int64), "ms").dt.replace_time_zone("UTC").dt.cast_time_unit("ms"),
        pl.col("pending_count").cast(pl.Int64),
        *names[2:],
    )


def minute(pool: Transactions, at: int, by_end: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[float | None, ...]:
    """One row of numbers, from what was seen and included strictly before `at`."""
    oldest, newest = np.searchsorted(pool.seen, [at - LIFETIME_MS, at])
    waiting = slice(oldest, newest)
    is_pending = pool.left[waiting] >= at
    gas, fee = pool.gas[waiting][is_pending], pool.fee_gwei[waiting][is_pending]
    fast, slow, least = quantiles(fee, (0.9, 0.1, 0.0))
    arrived = newest - np.searchsorted(pool.seen, at - MINUTE_MS)
    gone = pool.delay_s[by_end[slice(*np.searchsorted(ends, [at - MINUTE_MS, at]))]]
    median, late = quantiles(gone[~np.isnan(gone)], (0.5, 0.9))
    total = float(gas.sum()), float((gas * fee).sum())
    return float(at), float(gas.size), *total, fast, slow, least, float(arrived) / 60.0, median, late


def quantiles(values: NDArray[np.float64], levels: tuple[float, ...]) -> list[float | None]:
    """Quantiles, None of nothing."""
    return [float(value) for value in np.quantile(values, levels)] if values.size else [None] * len(levels)


def add_options(parser: ArgumentParser) -> None:
    """Options of `shaper data pull dumpster`."""
    parser.add_argument("--format", choices=list(FORMATS), default="csv", help="of the files (default: %(default)s)")
    parser.add_argument("--chain", default="ethereum", metavar="NAME", help="name in the lake (default: %(default)s)")
    add_days(parser)
    add_base_url(parser, BASE_URL)


def from_options(options: Namespace) -> Dumpster:
    """The source that the options ask for."""
    return Dumpster(options.since, options.until, options.format, options.chain, options.base_url)
