"""Binance's rows as canonical rows, from its archive (CSV) as from its REST.

Decided here: names of columns and markets, what a symbol is called in the lake, what counts as one liquidation.
Formats: https://github.com/binance/binance-public-data and https://developers.binance.com/docs/.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import polars as pl

from data.errors import UsageError
from data.sources.archive import utc

KLINE = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count"),
    *("taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
TRADE = (
    *("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time", "is_buyer_maker"),
    "is_best_match",
)
FUNDING = ("calc_time", "funding_interval_hours", "last_funding_rate")
METRICS = (
    *("create_time", "symbol", "sum_open_interest", "sum_open_interest_value", "count_toptrader_long_short_ratio"),
    *("sum_toptrader_long_short_ratio", "count_long_short_ratio", "sum_taker_long_short_vol_ratio"),
)
LIQUIDATION = (
    *("time", "side", "order_type", "time_in_force", "original_quantity", "price", "average_price", "order_status"),
    *("last_fill_quantity", "accumulated_fill_quantity"),
)
REAL, WHOLE, TEXT = pl.Float64(), pl.Int64(), pl.String()
KLINE_TYPES: Mapping[str, pl.DataType] = MappingProxyType(
    {
        "open_time": WHOLE,
        **dict.fromkeys(("open", "high", "low", "close", "volume"), REAL),
        "close_time": WHOLE,
        "quote_volume": REAL,
        "count": WHOLE,
    }
)
INTERVALS_S: Mapping[str, int] = MappingProxyType(
    {
        "1s": 1,
        "1m": 60,
        "3m": 180,
        "5m": 300,
        "15m": 900,
        "30m": 1800,
        "1h": 3600,
        "2h": 7200,
        "4h": 14400,
        "6h": 21600,
        "8h": 28800,
        "12h": 43200,
        "1d": 86400,
    }
)
MARKETS = ("um", "cm", "spot")
COIN_CONTRACT_USD = MappingProxyType({"BTC": 100.0})
OTHER_COIN_CONTRACT_USD = 10.0


@dataclass(frozen=True)
class Listing:
    """A market: Binance's symbol, and its name in the lake."""

    symbol: str
    name: str
    market: str

    @property
    def contract_usd(self) -> float:
        """Face value in USD of a coin-margined contract: 100 for BTC, 10 for all others."""
        return COIN_CONTRACT_USD.get(self.symbol.partition("USD")[0], OTHER_COIN_CONTRACT_USD)


def listing(text: str, market: str) -> Listing:
    """The market that `SYMBOL` or `SYMBOL=NAME` asks for; ETHUSDT is called ETH-PERP, or ETH-SPOT on the spot market."""
    if market not in MARKETS:
        raise UsageError("--market", expected=f"one of {', '.join(MARKETS)}", found=market, remedy="name one of them")
    symbol, _, name = text.partition("=")
    if not symbol.replace("_", "").isalnum():
        raise UsageError("--symbol", expected="SYMBOL or SYMBOL=NAME", found=repr(text), remedy="write e.g. ETHUSDT")
    base = symbol.upper().removesuffix("USDT").removesuffix("USD_PERP")
    suffix = "SPOT" if market == "spot" else "PERP"
    coin = "COIN-" if market == "cm" else ""
    return Listing(symbol.upper(), name or f"{base}-{coin}{suffix}", market)


def interval_s(text: str) -> int:
    """Seconds of an interval such as 5m."""
    if text not in INTERVALS_S:
        raise UsageError(
            "--interval", expected=f"one of {', '.join(INTERVALS_S)}", found=text, remedy="name one of them"
        )
    return INTERVALS_S[text]


def bars(rows: pl.DataFrame, of: Listing, seconds: int) -> pl.DataFrame:
    """Candles; the volume of coin-margined contracts is in the column that otherwise holds the quote volume."""
    return rows.select(
        pl.lit(of.name).alias("symbol"),
        utc("open_time").alias("ts"),
        pl.lit(seconds, WHOLE).alias("interval_s"),
        *("open", "high", "low", "close"),
        pl.col("quote_volume" if of.market == "cm" else "volume").alias("volume"),
        pl.col("count").alias("trades"),
    )


def request_counts(rows: pl.DataFrame, of: Listing, since: datetime, until: datetime) -> pl.DataFrame:
    """Aggregate trades per second as the tier `taker:NAME`; a second without trades counts 0, as the archive is whole."""
    seconds = pl.datetime_range(since, until, "1s", closed="left", time_unit="ms", eager=True).alias("ts")
    counted = rows.group_by(utc("transact_time").dt.truncate("1s").alias("ts")).agg(pl.len().cast(WHOLE).alias("count"))
    grid = pl.DataFrame(seconds).join(counted, on="ts", how="left", maintain_order="left")
    return grid.select("ts", pl.col("count").fill_null(0), pl.lit(f"taker:{of.name}").alias("tier"))


def funding(rows: pl.DataFrame, of: Listing) -> pl.DataFrame:
    """Funding payments."""
    return rows.select(
        pl.lit(of.name).alias("symbol"), utc("calc_time").alias("ts"), pl.col("last_funding_rate").alias("rate")
    )


def open_interest(rows: pl.DataFrame, of: Listing) -> pl.DataFrame:
    """Open interest of the five minutes that end at `create_time` (UTC)."""
    return rows.select(
        pl.lit(of.name).alias("symbol"),
        pl.col("create_time").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms", time_zone="UTC").alias("ts"),
        pl.col("sum_open_interest").alias("contracts"),
        pl.col("sum_open_interest_value").alias("notional_usd"),
    )


def liquidations(rows: pl.DataFrame, of: Listing) -> pl.DataFrame:
    """Forced orders. The archive lists each order twice, so rows that are equal in every column are one order."""
    filled = pl.col("accumulated_fill_quantity")
    notional = filled * (of.contract_usd if of.market == "cm" else pl.col("average_price"))
    return rows.unique(maintain_order=True).select(
        utc("time").alias("ts"), pl.lit(of.name).alias("symbol"), notional.alias("notional_usd")
    )
