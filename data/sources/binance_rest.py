"""Binance's REST for the newest hours, which its archive does not have yet: candles and funding.

Decided here: a candle is taken only when it is closed by the server's clock, and requests pause before the weight that
the server counts (X-MBX-USED-WEIGHT-1M) reaches its limit. https://developers.binance.com/docs/.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import polars as pl

from data.errors import UsageError
from data.sources import binance_tables as tables
from data.sources.archive import drift
from data.sources.asking import add_times
from data.sources.binance_tables import Listing
from data.sources.chunks import Chunk, ChunkPart, chunks
from data.sources.engine import Part, Rows
from data.sources.fields import array, mapping, number, whole
from data.sources.web import Web, without_query

KINDS = ("klines", "fundingRate")
HOSTS: Mapping[str, str] = MappingProxyType(
    {"um": "https://fapi.binance.com", "cm": "https://dapi.binance.com", "spot": "https://api.binance.com"}
)
PATHS: Mapping[str, str] = MappingProxyType({"um": "/fapi/v1", "cm": "/dapi/v1", "spot": "/api/v3"})
ROWS = 1000  # of a request; all markets allow as many
FUNDING_MS = 3600_000  # funding comes at most hourly
MOST_WEIGHT = 1800  # of 2400 a minute on futures, 6000 on spot
PAUSE_S = 20.0


def breather(headers: Mapping[str, str]) -> float:
    """Seconds to pause: some when most of the minute's weight is used."""
    used = headers.get("x-mbx-used-weight-1m", "0")
    return PAUSE_S if used.isdigit() and int(used) > MOST_WEIGHT else 0.0


@dataclass(frozen=True)
class Newest:
    """What is asked of the REST: kinds of rows of some listings of one market for [since, until)."""

    listings: tuple[Listing, ...]
    kinds: tuple[str, ...]
    since: datetime
    until: datetime
    interval: str = "5m"
    base_url: str | None = None

    async def parts(self, web: Web) -> Sequence[Part]:
        """A part for each thousand rows."""
        market = self.listings[0].market
        root = f"{(self.base_url or HOSTS[market]).rstrip('/')}{PATHS[market]}"
        url = f"{root}/time"
        now = whole(mapping(await web.json(url), url).get("serverTime"), url, "serverTime")
        streams = [Stream(listing, kind, self.interval, root, now) for kind in self.kinds for listing in self.listings]
        return [
            ChunkPart(stream.name, chunk, now - stream.lasts_ms, stream.rows)
            for stream in streams
            for chunk in chunks(self.since, self.until, stream.step_ms)
        ]


@dataclass(frozen=True)
class Stream:
    """Rows of one kind of one listing."""

    listing: Listing
    kind: str
    interval: str
    root: str
    now: int

    @property
    def name(self) -> str:
        """Lasting name: market, kind, symbol and name, interval."""
        step = self.interval if self.kind == "klines" else "all"
        return f"binance-rest/{self.listing.market}/{self.kind}/{self.listing.symbol}={self.listing.name}/{step}"

    @property
    def step_ms(self) -> int:
        """Milliseconds that one request covers."""
        return ROWS * (tables.interval_s(self.interval) * 1000 if self.kind == "klines" else FUNDING_MS)

    @property
    def lasts_ms(self) -> int:
        """Milliseconds until a row is whole."""
        return tables.interval_s(self.interval) * 1000 if self.kind == "klines" else 0

    async def rows(self, web: Web, chunk: Chunk) -> tuple[Rows, ...]:
        """The rows of a range."""
        url = f"{self.root}/{self.kind}"
        asked: dict[str, str | int] = {"symbol": self.listing.symbol, "limit": ROWS}
        asked |= {"startTime": chunk.start, "endTime": chunk.end - 1}
        if self.kind == "klines":
            asked["interval"] = self.interval
        answer = array(await web.json(url, asked), url)
        where = f"{without_query(url)} {self.listing.symbol} {chunk.start}-{chunk.end}"
        if self.kind == "klines":
            return (Rows("bars", self.candles(answer, where), where),)
        return (Rows("funding", self.funding(answer, where), where),)

    def candles(self, answer: Sequence[object], where: str) -> pl.DataFrame:
        """Closed candles."""
        lists = [array(row, where) for row in answer]
        if any(len(row) != len(tables.KLINE) for row in lists):
            raise drift(where, f"candles of {len(tables.KLINE)} values", f"{len(lists[0])} values")
        data = {
            name: [
                (whole if dtype == tables.WHOLE else number)(row[tables.KLINE.index(name)], where, name)
                for row in lists
            ]
            for name, dtype in tables.KLINE_TYPES.items()
        }
        rows = pl.DataFrame(data, schema=dict(tables.KLINE_TYPES)).filter(pl.col("close_time") < self.now)
        return tables.bars(rows, self.listing, tables.interval_s(self.interval))

    def funding(self, answer: Sequence[object], where: str) -> pl.DataFrame:
        """Funding payments."""
        rows = [mapping(row, where) for row in answer]
        data = {
            "calc_time": [whole(row.get("fundingTime"), where, "fundingTime") for row in rows],
            "last_funding_rate": [number(row.get("fundingRate"), where, "fundingRate") for row in rows],
        }
        return tables.funding(
            pl.DataFrame(data, schema={"calc_time": pl.Int64(), "last_funding_rate": pl.Float64()}), self.listing
        )


def add_options(parser: ArgumentParser) -> None:
    """Options of `shaper data pull binance-rest`."""
    parser.add_argument(
        "--symbol", action="append", required=True, metavar="SYMBOL[=NAME]", help="e.g. ETHUSDT; repeatable"
    )
    parser.add_argument("--market", default="um", choices=tables.MARKETS, help="USD-M or coin-M futures, or spot")
    parser.add_argument("--kind", action="append", choices=KINDS, help="repeatable (default: klines)")
    parser.add_argument("--interval", default="5m", help="of klines (default: %(default)s)")
    parser.add_argument("--base-url", metavar="URL", help="server (default: Binance's for the market)")
    add_times(parser)


def from_options(options: Namespace) -> Newest:
    """The source that the options ask for."""
    tables.interval_s(options.interval)
    kinds = tuple(options.kind or ["klines"])
    if options.market == "spot" and "fundingRate" in kinds:
        raise UsageError("--kind fundingRate", expected="--market um or cm", found="spot", remedy="name another")
    listings = tuple(tables.listing(text, options.market) for text in options.symbol)
    return Newest(listings, kinds, options.since, options.until, options.interval, options.base_url)
