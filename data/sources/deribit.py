"""Deribit's public API: the DVOL volatility index as candles, trades per second, liquidations, and listed instruments.

Decided here: DVOL is a market like any other (`BTC-DVOL`, in annualised percent, volume 0); trades are counted per
second as the tier `taker:NAME`; a liquidation is a trade that Deribit marks as one. https://docs.deribit.com/.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from data.errors import DataError
from data.sources.asking import add_base_url, add_times
from data.sources.chunks import Chunk, ChunkPart, at, chunks
from data.sources.engine import Fetched, Part, Rows
from data.sources.fields import array, mapping, number, whole
from data.sources.web import RUN_AGAIN, Web

BASE_URL = "https://www.deribit.com/api/v2"
PER_SECOND = 10.0  # half of what Deribit allows to strangers
KINDS = ("dvol", "trades", "instruments")
HOUR_MS = 3600_000
CANDLES = 1000  # of an answer
TRADES = 1000  # of an answer
DVOL = ("ts", "open", "high", "low", "close")


@dataclass(frozen=True)
class Deribit:
    """What is asked of Deribit: kinds of rows for [since, until); trades of single instruments, the rest by currency."""

    kinds: tuple[str, ...]
    currencies: tuple[str, ...]
    instruments: tuple[str, ...]
    since: datetime
    until: datetime
    dvol_interval_s: int = 3600
    base_url: str = BASE_URL

    async def parts(self, web: Web) -> Sequence[Part]:
        """Thousands of DVOL candles, hours of trades, one part for the instruments of a currency."""
        api = Api(self.base_url.rstrip("/"))
        now = whole(await api.ask(web, "get_time", {}), api.url("get_time"), "time")
        found: list[Part] = []
        for currency in self.currencies:
            if "dvol" in self.kinds:
                found += self.candles(api, currency, now)
            if "instruments" in self.kinds:
                found.append(Listed(api, currency, now))
        for instrument in self.instruments if "trades" in self.kinds else ():
            stream = Trades(api, instrument, now)
            found += [
                ChunkPart(f"deribit/trades/{instrument}", chunk, now, stream.rows)
                for chunk in chunks(self.since, self.until, HOUR_MS)
            ]
        return found

    def candles(self, api: "Api", currency: str, now: int) -> list[Part]:
        """Parts of the DVOL of a currency."""
        stream = Dvol(api, currency, self.dvol_interval_s, now)
        step = CANDLES * self.dvol_interval_s * 1000
        name = f"deribit/dvol/{currency}/{self.dvol_interval_s}"
        closed = now - self.dvol_interval_s * 1000
        return [ChunkPart(name, chunk, closed, stream.rows) for chunk in chunks(self.since, self.until, step)]


@dataclass(frozen=True)
class Api:
    """Deribit's public methods at one address."""

    base_url: str

    def url(self, method: str) -> str:
        """Address of a method."""
        return f"{self.base_url}/public/{method}"

    async def ask(self, web: Web, method: str, parameters: Mapping[str, str | int]) -> object:
        """The `result` of a method, or DataError."""
        url = self.url(method)
        answer = mapping(await web.json(url, parameters), url)
        if "result" not in answer:
            raise DataError(url, expected="a result", found=repr(answer.get("error"))[:80], remedy="check the names")
        return answer["result"]


@dataclass(frozen=True)
class Dvol:
    """The DVOL index of a currency as candles."""

    api: Api
    currency: str
    interval_s: int
    now: int

    async def rows(self, web: Web, chunk: Chunk) -> tuple[Rows, ...]:
        """Closed candles of a range. Answers come newest first in pages that `continuation` leads back through."""
        url, end, found = self.api.url("get_volatility_index_data"), chunk.end - 1, list[list[object]]()
        while True:
            asked: dict[str, str | int] = {"currency": self.currency, "resolution": self.interval_s}
            asked |= {"start_timestamp": chunk.start, "end_timestamp": end}
            answer = mapping(await self.api.ask(web, "get_volatility_index_data", asked), url)
            found += [array(row, url) for row in array(answer.get("data"), url)]
            following = answer.get("continuation")
            if following is None:
                break
            before, end = end, whole(following, url, "continuation")
            if end >= before:
                raise DataError(url, expected="an earlier page", found=f"{end}", remedy=RUN_AGAIN)
        return (Rows("bars", self.frame(found, url, chunk), f"{url} {self.currency} {chunk.start}-{chunk.end}"),)

    def frame(self, rows: Sequence[Sequence[object]], url: str, chunk: Chunk) -> pl.DataFrame:
        """Canonical candles, without those that are still open or lie outside the range."""
        values = [[number(value, url, name) for name, value in zip(DVOL, row, strict=False)] for row in rows]
        if any(len(row) != len(DVOL) for row in values):
            raise DataError(url, expected=f"candles of {', '.join(DVOL)}", found=repr(rows[0])[:80], remedy=RUN_AGAIN)
        step = self.interval_s * 1000
        closed = sorted(row for row in values if chunk.start <= row[0] < chunk.end and row[0] + step <= self.now)
        return pl.DataFrame(
            {
                "symbol": [f"{self.currency}-DVOL"] * len(closed),
                "ts": [at(int(row[0])) for row in closed],
                "interval_s": [self.interval_s] * len(closed),
                **{name: [row[place] for row in closed] for place, name in enumerate(DVOL) if place},
                "volume": [0.0] * len(closed),
            },
            schema_overrides={"symbol": pl.String(), "ts": pl.Datetime("ms", "UTC"), "interval_s": pl.Int64()}
            | dict.fromkeys((*DVOL[1:], "volume"), pl.Float64()),
        )


@dataclass(frozen=True)
class Trades:
    """The trades of one instrument."""

    api: Api
    instrument: str
    now: int

    async def rows(self, web: Web, chunk: Chunk) -> tuple[Rows, ...]:
        """Counts of every whole second of a range that is over, and its liquidations."""
        start, end = -(-chunk.start // 1000) * 1000, min(chunk.end, self.now) // 1000 * 1000
        trades = await self.trades(web, start, end)
        url = self.api.url("get_last_trades_by_instrument_and_time")
        origin = f"{url} {self.instrument} {chunk.start}-{chunk.end}"
        counts = Rows("request_counts", self.counts(trades, start, end, url), origin)
        return counts, Rows("liquidations", self.liquidations(trades, url), origin)

    async def trades(self, web: Web, start: int, end: int) -> list[Mapping[str, object]]:
        """All trades of [start, end), page by page; pages overlap by their last millisecond, so ids are kept once."""
        url = self.api.url("get_last_trades_by_instrument_and_time")
        found: dict[str, Mapping[str, object]] = {}
        while start < end:
            asked: dict[str, str | int] = {"instrument_name": self.instrument, "count": TRADES, "sorting": "asc"}
            asked |= {"start_timestamp": start, "end_timestamp": end - 1}
            answer = mapping(await self.api.ask(web, "get_last_trades_by_instrument_and_time", asked), url)
            page = [mapping(trade, url) for trade in array(answer.get("trades"), url)]
            found |= {str(trade.get("trade_id")): trade for trade in page}
            if not answer.get("has_more") or not page:
                break
            last = whole(page[-1].get("timestamp"), url, "timestamp")
            # A page that lies in one millisecond would be asked for for ever.
            start = last if last > start else start + 1
        return list(found.values())

    def counts(self, trades: Sequence[Mapping[str, object]], start: int, end: int, url: str) -> pl.DataFrame:
        """Trades of every second of [start, end)."""
        seconds = [0] * max(0, (end - start) // 1000)
        for trade in trades:
            seconds[(whole(trade.get("timestamp"), url, "timestamp") - start) // 1000] += 1
        return pl.DataFrame(
            {
                "ts": [at(start + 1000 * n) for n in range(len(seconds))],
                "count": seconds,
                "tier": [f"taker:{self.instrument}"] * len(seconds),
            },
            schema={"ts": pl.Datetime("ms", "UTC"), "count": pl.Int64(), "tier": pl.String()},
        )

    def liquidations(self, trades: Sequence[Mapping[str, object]], url: str) -> pl.DataFrame:
        """Trades by which a position was liquidated. Amounts are USD for inverse futures, else units of the base."""
        forced = [trade for trade in trades if trade.get("liquidation")]
        return pl.DataFrame(
            {
                "ts": [at(whole(trade.get("timestamp"), url, "timestamp")) for trade in forced],
                "symbol": [self.instrument] * len(forced),
                "notional_usd": [self.notional(trade, url) for trade in forced],
            },
            schema={"ts": pl.Datetime("ms", "UTC"), "symbol": pl.String(), "notional_usd": pl.Float64()},
        )

    def notional(self, trade: Mapping[str, object], url: str) -> float:
        """USD that a trade is worth."""
        amount = number(trade.get("amount"), url, "amount")
        is_inverse_future = not self.instrument.endswith(("-C", "-P")) and "_" not in self.instrument
        return amount if is_inverse_future else amount * number(trade.get("index_price"), url, "index_price")


@dataclass(frozen=True)
class Listed:
    """The instruments of a currency that are listed now."""

    api: Api
    currency: str
    now: int

    @property
    def key(self) -> str:
        """Never the same twice: the list changes."""
        return f"deribit/instruments/{self.currency}/{self.now}"

    async def fetch(self, web: Web) -> Fetched:
        """A row for each instrument."""
        url = self.api.url("get_instruments")
        answer = await self.api.ask(web, "get_instruments", {"currency": self.currency, "expired": "false"})
        found = [mapping(one, url) for one in array(answer, url)]
        rows = [instrument(one, url) for one in found]
        frame = pl.DataFrame(rows, schema=INSTRUMENT, orient="row")
        return Fetched((Rows("instruments", frame, f"{url} {self.currency}"),), complete=False)


INSTRUMENT = pl.Schema(
    {
        "symbol": pl.String(),
        "ts": pl.Datetime("ms", "UTC"),
        "kind": pl.String(),
        "expiry": pl.Datetime("ms", "UTC"),
        "strike": pl.Float64(),
        "is_call": pl.Int64(),
        "contract_size": pl.Float64(),
    }
)


def instrument(one: Mapping[str, object], url: str) -> tuple[object, ...]:
    """The canonical row of an instrument; perpetuals have no expiry."""
    is_perpetual = one.get("settlement_period") == "perpetual"
    strike, side = one.get("strike"), one.get("option_type")
    return (
        str(one.get("instrument_name")),
        at(whole(one.get("creation_timestamp"), url, "creation_timestamp")),
        "perpetual" if is_perpetual else str(one.get("kind")),
        None if is_perpetual else at(whole(one.get("expiration_timestamp"), url, "expiration_timestamp")),
        None if strike is None else number(strike, url, "strike"),
        None if side is None else int(side == "call"),
        number(one.get("contract_size"), url, "contract_size"),
    )


def add_options(parser: ArgumentParser) -> None:
    """Options of `shaper data pull deribit`."""
    parser.add_argument("--kind", action="append", choices=KINDS, help="repeatable (default: dvol)")
    parser.add_argument("--currency", action="append", metavar="NAME", help="repeatable (default: BTC and ETH)")
    parser.add_argument(
        "--instrument", action="append", metavar="NAME", help="for trades, e.g. ETH-PERPETUAL; repeatable"
    )
    parser.add_argument("--dvol-interval", type=int, default=3600, choices=(60, 3600, 43200, 86400), metavar="S")
    add_times(parser)
    add_base_url(parser, BASE_URL)


def from_options(options: Namespace) -> Deribit:
    """The source that the options ask for."""
    return Deribit(
        tuple(options.kind or ["dvol"]),
        tuple(options.currency or ["BTC", "ETH"]),
        tuple(options.instrument or ["BTC-PERPETUAL", "ETH-PERPETUAL"]),
        options.since,
        options.until,
        options.dvol_interval,
        options.base_url,
    )
