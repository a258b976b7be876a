"""Candles as Binance's archive has them."""

from datetime import UTC, datetime, timedelta

from tests.data.sources.server import Server, zipped

HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"


def kline_csv(since: datetime, hours: int, header: bool = True, scale: int = 1) -> str:
    """Hourly candles; `scale` 1000 gives times in microseconds."""
    lines = []
    for n in range(hours):
        start = int((since + timedelta(hours=n)).timestamp()) * 1000
        end = (start + 3600_000) * scale - 1
        price = 2000 + n
        lines.append(f"{start * scale},{price}.5,{price + 2},{price - 2},{price},{10 + n}.25,{end},12345.6,{n},1,2,0\n")
    return (HEADER if header else "") + "".join(lines)


def publish_days(server: Server, days: int, symbol: str = "ETHUSDT") -> list[str]:
    """Daily files of hourly candles from 2024-01-01 on; returns their paths."""
    paths = []
    for n in range(days):
        since = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=n)
        name = f"{symbol}-1h-{since:%Y-%m-%d}"
        path = f"/data/futures/um/daily/klines/{symbol}/1h/{name}.zip"
        server.publish(path, zipped(kline_csv(since, 24, header=n % 2 == 0), f"{name}.csv"))
        paths.append(path)
    return paths
