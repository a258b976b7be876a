"""A simulated world behind the wire formats of public sources: Binance's archive and an EVM node."""

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

from data.sources.evm_chain import Header
from tests.data.sources.klines import HEADER
from tests.data.sources.node import Node
from tests.data.sources.server import Server, zipped

SYMBOLS = {"ETHUSDT": "ETH-PERP", "BTCUSDT": "BTC-PERP"}
BLOCK = ["ts", "base_fee_wei", "gas_used", "gas_limit"]
FUTURES = "/data/futures/um"


def publish(server: Server, frames: Mapping[str, pl.DataFrame], rpc: str) -> None:
    """Candles by day, funding by month, and the blocks behind the path `rpc`."""
    for symbol, name in SYMBOLS.items():
        bars = frames["bars"].filter(pl.col("symbol") == name)
        for (day,), rows in bars.group_by(pl.col("ts").dt.strftime("%Y-%m-%d"), maintain_order=True):
            file = f"{symbol}-5m-{day}"
            server.publish(f"{FUTURES}/daily/klines/{symbol}/5m/{file}.zip", zipped(HEADER + candles(rows), file))
        paid = frames["funding"].filter(pl.col("symbol") == name)
        for (month,), rows in paid.group_by(pl.col("ts").dt.strftime("%Y-%m"), maintain_order=True):
            file = f"{symbol}-fundingRate-{month}"
            server.publish(f"{FUTURES}/monthly/fundingRate/{symbol}/{file}.zip", zipped(payments(rows), file))
    server.routes[rpc] = node(frames["blocks"])


def candles(bars: pl.DataFrame) -> str:
    """Bars as Binance's archive has them; what a bar does not tell is 0."""
    opened = pl.col("ts").dt.epoch("ms")
    unknown = pl.lit(0)
    return bars.select(
        opened,
        *("open", "high", "low", "close", "volume"),
        (opened + pl.col("interval_s") * 1000 - 1).alias("close_time"),
        *(unknown.alias(name) for name in ("quote", "count", "taker", "taker_quote", "ignore")),
    ).write_csv(include_header=False)


def payments(funding: pl.DataFrame) -> str:
    """Funding as Binance's archive has it."""
    return funding.select(
        calc_time=pl.col("ts").dt.epoch("ms"), funding_interval_hours=8, last_funding_rate="rate"
    ).write_csv()


def node(blocks: pl.DataFrame) -> Node:
    """An archive node of a chain that holds these blocks from its first one on."""
    headers = [
        Header(number, int(ts.timestamp()), fee, used, limit, 3, f"0xa{number}", f"0xa{number - 1}")
        for number, (ts, fee, used, limit) in enumerate(blocks.select(BLOCK).iter_rows())
    ]
    return Node(length=len(headers), blocks=headers)


def day(number: int) -> datetime:
    """A day of January 2024."""
    return datetime(2024, 1, number, tzinfo=UTC)
