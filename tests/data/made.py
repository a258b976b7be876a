"""Small canonical frames made for tests: regular by default, with random holes on request."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from data.contract import Calibration, Contract, Panel, Window
from data.features.registry import describe
from data.targets import describe_targets

START = datetime(2024, 1, 1, tzinfo=UTC)
PANEL = Panel(300, "ethereum", {"eth": ("ETH-PERP", "ETH-SPOT"), "btc": ("BTC-PERP",)})
GWEI = 1_000_000_000


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def times(seconds: Sequence[float] | np.ndarray, unit: str = "ms") -> pl.Series:
    factor = 1_000_000 if unit == "us" else 1_000
    epoch = np.round((START.timestamp() + np.asarray(seconds, float)) * factor).astype(np.int64)
    return pl.Series("ts", epoch).cast(pl.Datetime("us" if unit == "us" else "ms", "UTC"))


def bars(count: int, interval_s: int = 300, symbol: str = "ETH-PERP", seed: int = 0, first: int = 0) -> pl.DataFrame:
    random = np.random.default_rng([seed, count, len(symbol)])
    close = 2000 * np.exp(np.cumsum(random.normal(0, 0.001, count)))
    open_ = np.concatenate([[2000.0], close[:-1]])
    spread = 1 + np.abs(random.normal(0, 0.001, count))
    return pl.DataFrame(
        {
            "symbol": [symbol] * count,
            "ts": times((first + np.arange(count)) * interval_s),
            "interval_s": np.full(count, interval_s),
            "open": open_,
            "high": np.maximum(open_, close) * spread,
            "low": np.minimum(open_, close) / spread,
            "close": close,
            "volume": random.exponential(100.0, count).round(3),
        }
    )


def blocks(count: int, seed: int = 0, step_s: int = 12, first_s: float = 0.0) -> pl.DataFrame:
    random = np.random.default_rng([seed, count])
    fee = 20 * GWEI * np.exp(np.cumsum(random.normal(0, 0.03, count)).clip(-3, 3))
    return pl.DataFrame(
        {
            "chain": ["ethereum"] * count,
            "number": 1000 + np.arange(count),
            "ts": times(first_s + np.arange(count) * step_s),
            "base_fee_wei": fee.astype(np.int64),
            "gas_used": random.integers(0, 30_000_001, count),
            "gas_limit": np.full(count, 30_000_000),
        }
    )


def counts(seconds: int, rate: float = 40.0, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng([seed, seconds])
    level = rate * np.exp(np.sin(np.arange(seconds) / 500) / 2)
    return pl.DataFrame({"ts": times(np.arange(seconds)), "count": random.poisson(level)})


def thinned(frame: pl.DataFrame, random: np.random.Generator, share: float, holes: int) -> pl.DataFrame:
    """The frame without a random share of its rows, and without some runs of rows."""
    keep = random.random(frame.height) >= share
    for start in random.integers(0, frame.height, holes):
        keep[start : start + random.integers(1, max(2, frame.height // 20))] = False
    return frame.filter(pl.Series(keep))


def random_history(seed: int, hours: int, step_s: int = 12, interval_s: int = 300) -> dict[str, pl.DataFrame]:
    """Bars of three symbols, blocks and (for 60 hours at most) order counts, with gaps, holes, outages and missed slots."""
    random = np.random.default_rng(seed)
    count = hours * 3600 // interval_s
    symbols = [bars(count, interval_s, name, seed) for name in ("ETH-PERP", "ETH-SPOT", "BTC-PERP")]
    chain = blocks(hours * 3600 // step_s, seed, step_s)
    on_time = random.random(chain.height) > 0.05  # a late block moves to the end of its slot, so times stay in order
    late = pl.Series(np.where(on_time, 0, random.integers(1, step_s * 1000, chain.height)))
    chain = chain.with_columns(pl.col("ts") + pl.duration(milliseconds=late))
    orders = counts(min(hours, 60) * 3600, float(random.choice([5.0, 60.0])), seed)
    return {
        "bars": pl.concat([thinned(one, random, 0.02, 2) for one in symbols]),
        "blocks": thinned(chain, random, 0.001, 2),
        "request_counts": thinned(orders, random, 0.01, 3),
    }


def contract(
    families: Sequence[str],
    targets: Sequence[str],
    panel: Panel = PANEL,
    context: int = 4,
    without: Sequence[str] = (),
) -> Contract:
    features = tuple(f for f in describe(families, panel) if f.name not in without)
    return Contract(
        name="made",
        task="panel",
        architecture="none",
        panel=panel,
        context=context,
        features=features,
        targets=describe_targets(targets, panel),
        horizons=(1, 2, 3),
        levels=(0.05, 0.5, 0.95),
        training=Window("", ""),
        calibration=Calibration("none"),
        data_digest="",
        code_version="",
        seed=0,
    )
