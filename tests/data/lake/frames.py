"""Small canonical frames with known numbers."""

from datetime import UTC, datetime, timedelta

import polars as pl

START = datetime(2024, 1, 31, 23, 0, tzinfo=UTC)


def bars(count: int, symbol: str = "ETH-PERP", start: datetime = START) -> pl.DataFrame:
    """Hourly bars at a price of 100 and a volume of 0, 1, 2, …"""
    return pl.DataFrame(
        {
            "symbol": [symbol] * count,
            "ts": [start + timedelta(hours=step) for step in range(count)],
            "interval_s": [3600] * count,
            "open": [100.0] * count,
            "high": [101.0] * count,
            "low": [99.0] * count,
            "close": [100.5] * count,
            "volume": [float(step) for step in range(count)],
        },
        schema_overrides={"ts": pl.Datetime("ms", "UTC")},
    )


def blocks(count: int, first: int = 1000, chain: str = "ethereum", start: datetime = START) -> pl.DataFrame:
    """Blocks 12 s apart, half full, so that the base fee stays at 10 gwei."""
    return pl.DataFrame(
        {
            "chain": [chain] * count,
            "number": [first + step for step in range(count)],
            "ts": [start + timedelta(seconds=12 * step) for step in range(count)],
            "base_fee_wei": [10_000_000_000] * count,
            "gas_used": [15_000_000] * count,
            "gas_limit": [30_000_000] * count,
        },
        schema_overrides={"ts": pl.Datetime("ms", "UTC")},
    )


def arrivals(seconds: list[int]) -> pl.DataFrame:
    """Requests of equal work at the given seconds after the start; equal seconds give equal rows."""
    return pl.DataFrame(
        {"ts": [START + timedelta(seconds=second) for second in seconds], "work": [1.0] * len(seconds)},
        schema={"ts": pl.Datetime("us", "UTC"), "work": pl.Float64()},
    )
