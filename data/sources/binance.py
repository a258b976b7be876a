"""Binance's public archive (https://data.binance.vision): monthly and daily zips with published checksums.

Decided here: whole months come as monthly files and the rest as daily ones; a month that has no monthly file (yet) is
put together from its days. Files are taken whole.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType

import polars as pl

from data.errors import UsageError
from data.sources import binance_tables as tables
from data.sources.archive import download_verified, drift, fetch_file, read_csv, unpacked
from data.sources.asking import add_base_url, add_days
from data.sources.binance_tables import REAL, TEXT, WHOLE, Listing
from data.sources.engine import Fetched, Part, Rows
from data.sources.web import AbsentError, Web

BASE_URL = "https://data.binance.vision"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """A calendar month or day, as it stands in the name of a file."""

    since: date
    until: date

    @property
    def label(self) -> str:
        """2024-01 for a month, 2024-01-31 for a day."""
        return f"{self.since:%Y-%m-%d}" if self.is_day else f"{self.since:%Y-%m}"

    @property
    def is_day(self) -> bool:
        """Whether it is a day."""
        return self.until - self.since == DAY

    def days(self) -> list["Period"]:
        """Its days, in order."""
        return [Period(self.since + n * DAY, self.since + (n + 1) * DAY) for n in range((self.until - self.since).days)]


Convert = Callable[[pl.DataFrame, Listing, Period, str], pl.DataFrame]


@dataclass(frozen=True)
class Kind:
    """A kind of file: the table it fills, its columns, those that are used, and where it exists."""

    table: str
    columns: tuple[str, ...]
    wanted: Mapping[str, pl.DataType]
    convert: Convert
    markets: tuple[str, ...] = tables.MARKETS
    is_monthly: bool = True
    is_daily: bool = True


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "klines": Kind(
            "bars",
            tables.KLINE,
            tables.KLINE_TYPES,
            lambda rows, of, _, step: tables.bars(rows, of, tables.interval_s(step)),
        ),
        # A month of trades may be larger than memory; a day is not.
        "aggTrades": Kind(
            "request_counts",
            tables.TRADE,
            {"transact_time": WHOLE},
            lambda rows, of, period, _: tables.request_counts(rows, of, midnight(period.since), midnight(period.until)),
            is_monthly=False,
        ),
        "fundingRate": Kind(
            "funding",
            tables.FUNDING,
            {"calc_time": WHOLE, "last_funding_rate": REAL},
            lambda rows, of, *_: tables.funding(rows, of),
            markets=("um", "cm"),
            is_daily=False,
        ),
        "metrics": Kind(
            "open_interest",
            tables.METRICS,
            {"create_time": TEXT, "sum_open_interest": REAL, "sum_open_interest_value": REAL},
            lambda rows, of, *_: tables.open_interest(rows, of),
            markets=("um", "cm"),
            is_monthly=False,
        ),
        "liquidationSnapshot": Kind(
            "liquidations",
            tables.LIQUIDATION,
            {"time": WHOLE, **dict.fromkeys(tables.LIQUIDATION[1:], TEXT)}
            | dict.fromkeys(("average_price", "accumulated_fill_quantity"), REAL),
            lambda rows, of, *_: tables.liquidations(rows, of),
            markets=("um", "cm"),
            is_monthly=False,
        ),
    }
)


@dataclass(frozen=True)
class Archive:
    """What is asked of the archive: kinds of files of some markets for [since, until)."""

    listings: tuple[Listing, ...]
    kinds: tuple[str, ...]
    since: date
    until: date
    interval: str = "5m"
    base_url: str = BASE_URL

    async def parts(self, web: Web) -> Sequence[Part]:  # noqa: ARG002 - nothing has to be asked
        """A part for each market, kind and period, oldest first."""
        require_range(self.since, self.until)
        whole = [(listing, required(kind, listing)) for kind in self.kinds for listing in self.listings]
        found = [
            File(self, listing, kind, period)
            for listing, kind in whole
            for period in periods(KINDS[kind], self.since, self.until)
        ]
        return sorted(found, key=lambda file: file.period.since)


@dataclass(frozen=True)
class File:
    """One file of the archive, or the daily files of its month."""

    archive: Archive
    listing: Listing
    kind: str
    period: Period

    @property
    def key(self) -> str:
        """Lasting name: market, kind, symbol and name, interval, period."""
        name = f"{self.listing.symbol}={self.listing.name}"
        return f"binance/{self.listing.market}/{self.kind}/{name}/{self.step}/{self.period.label}"

    @property
    def step(self) -> str:
        """Interval of candles; `all` for other kinds."""
        return self.archive.interval if self.kind == "klines" else "all"

    async def fetch(self, web: Web) -> Fetched:
        """The rows of the file, or of the days of a month that has none."""
        try:
            return Fetched((await self.rows(web, self.period),))
        except AbsentError:
            if self.period.is_day or not KINDS[self.kind].is_daily:
                raise
        found = [rows for day in self.period.days() if (rows := await self.rows_if_any(web, day))]
        if not found:
            raise AbsentError(self.key)
        return Fetched(tuple(found), complete=len(found) == len(self.period.days()))

    async def rows_if_any(self, web: Web, period: Period) -> Rows | None:
        """The rows of one file, None when it does not exist."""
        try:
            return await self.rows(web, period)
        except AbsentError:
            return None

    async def rows(self, web: Web, period: Period) -> Rows:
        """The canonical rows of one file; raises AbsentError when it does not exist."""
        url = f"{self.archive.base_url.rstrip('/')}/{self.path(period)}"
        frame = await fetch_file(download_verified, web, url, partial(self.read, period=period, url=url))
        return Rows(KINDS[self.kind].table, frame, url)

    def path(self, period: Period) -> str:
        """Path of the file that holds a period."""
        market = "spot" if self.listing.market == "spot" else f"futures/{self.listing.market}"
        symbol, step = self.listing.symbol, self.archive.interval
        folder = f"{self.kind}/{symbol}/{step}" if self.kind == "klines" else f"{self.kind}/{symbol}"
        name = f"{symbol}-{step if self.kind == 'klines' else self.kind}-{period.label}.zip"
        return f"data/{market}/{'daily' if period.is_day else 'monthly'}/{folder}/{name}"

    def read(self, path: Path, period: Period, url: str) -> pl.DataFrame:
        """Canonical rows of a downloaded file."""
        kind = KINDS[self.kind]
        with unpacked(path, url) as csv:
            rows = read_csv(csv, columns_of(self.kind, self.listing), kind.wanted, url)
        try:
            return kind.convert(rows, self.listing, period, self.archive.interval)
        except pl.exceptions.PolarsError as error:
            raise drift(url, "times and numbers that can be read", f"{error}".splitlines()[0]) from error


def columns_of(kind: str, listing: Listing) -> tuple[str, ...]:
    """Columns of a file without a header: only spot trades have the last one of theirs."""
    columns = KINDS[kind].columns
    return columns if kind != "aggTrades" or listing.market == "spot" else columns[:-1]


def required(kind: str, listing: Listing) -> str:
    """The kind, if it exists and its market has it."""
    if kind not in KINDS:
        raise UsageError("--kind", expected=f"one of {', '.join(KINDS)}", found=kind, remedy="name one of them")
    if listing.market not in KINDS[kind].markets:
        markets = " or ".join(KINDS[kind].markets)
        raise UsageError(f"--kind {kind}", expected=f"--market {markets}", found=listing.market, remedy="name another")
    return kind


def require_range(since: date, until: date) -> None:
    """Raise UsageError unless there is a day between the two."""
    if since >= until:
        raise UsageError("--until", expected=f"a day after {since}", found=f"{until}", remedy="give a later day")


def periods(kind: Kind, since: date, until: date) -> list[Period]:
    """Months and days that cover [since, until): months where they lie within it or where there are no daily files."""
    found = []
    month = since.replace(day=1)
    while month < until:
        after = (month + 31 * DAY).replace(day=1)
        whole = Period(month, after)
        is_within = since <= month and after <= until
        if kind.is_monthly and (is_within or not kind.is_daily):
            found.append(whole)
        else:
            found += [day for day in whole.days() if since <= day.since < until]
        month = after
    return found


def midnight(day: date) -> datetime:
    """The start of a day in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def add_options(parser: ArgumentParser) -> None:
    """Options of `shaper data pull binance`."""
    parser.add_argument(
        "--symbol", action="append", required=True, metavar="SYMBOL[=NAME]", help="e.g. ETHUSDT; repeatable"
    )
    parser.add_argument("--market", default="um", choices=tables.MARKETS, help="USD-M or coin-M futures, or spot")
    parser.add_argument(
        "--kind", action="append", choices=list(KINDS), help="kind of file; repeatable (default: klines)"
    )
    parser.add_argument("--interval", default="5m", help="of klines (default: %(default)s)")
    add_days(parser)
    add_base_url(parser, BASE_URL)


def from_options(options: Namespace) -> Archive:
    """The source that the options ask for."""
    tables.interval_s(options.interval)
    return Archive(
        tuple(tables.listing(text, options.market) for text in options.symbol),
        tuple(options.kind or ["klines"]),
        options.since,
        options.until,
        options.interval,
        options.base_url,
    )
