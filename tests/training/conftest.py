"""A small made-up history, and a configuration that is fitted on it in seconds."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.history import write_table

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
DAYS = 11
CONFIG = """
seed_everything: 3
run:
  name: small
  track: false
data:
  panel:
    task: small
    tick_s: 900
    context: 6
    horizons: [1, 2, 3]
    levels: [0.05, 0.25, 0.5, 0.75, 0.95]
  split:
    until: "2024-01-10"
    validation_days: 2.5
    calibration_days: 2.5
  batch:
    size: 64
"""
LINEAR = """
model:
  architecture: linear
  options: {rank: 2}
trainer:
  max_epochs: 2
  accelerator: cpu
  enable_progress_bar: false
"""
BOOSTING = """
boosting:
  max_iter: 5
  spike_iter: 5
  max_leaf_nodes: 4
  min_samples_leaf: 20
"""


def walk(count: int, seed: int) -> np.ndarray:
    """A mean-reverting path."""
    noise = np.random.default_rng(seed).normal(0, 0.1, count)
    path = np.zeros(count)
    for place in range(1, count):
        path[place] = 0.95 * path[place - 1] + noise[place]
    return path


def bars(symbol: str, seed: int) -> pl.DataFrame:
    count = DAYS * 288
    ts = [START + dt.timedelta(seconds=300 * place) for place in range(count)]
    price, spread = np.exp(7 + 0.01 * walk(count, seed)), 0.002 * np.exp(walk(count, seed + 1))
    frame = pl.DataFrame({"ts": ts, "open": price, "high": price * (1 + spread), "low": price * (1 - spread)})
    return frame.with_columns(
        pl.lit(symbol).alias("symbol"),
        pl.lit(300, pl.Int64).alias("interval_s"),
        pl.col("open").alias("close"),
        pl.lit(10.0).alias("volume"),
        pl.col("ts").cast(pl.Datetime("ms", "UTC")),
    )


def blocks() -> pl.DataFrame:
    count = DAYS * 1440
    fee = (20e9 * np.exp(np.repeat(walk(count // 10, 9), 10))).astype(np.int64)
    ts = [START + dt.timedelta(seconds=60 * place) for place in range(count)]
    return pl.DataFrame(
        {
            "chain": ["ethereum"] * count,
            "number": np.arange(count) + 100,
            "ts": ts,
            "base_fee_wei": fee,
            "gas_used": np.random.default_rng(4).integers(0, 30_000_000, count),
            "gas_limit": np.full(count, 30_000_000),
        }
    ).with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC")))


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven days of bars and blocks."""
    folder = tmp_path_factory.mktemp("history")
    write_table(folder, "bars", pl.concat([bars("ETH-PERP", 1), bars("BTC-PERP", 5)]))
    write_table(folder, "blocks", blocks())
    return folder


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear model that learns in a second."""
    path = tmp_path_factory.mktemp("config") / "linear.yaml"
    path.write_text(CONFIG + LINEAR)
    return path


@pytest.fixture(scope="session")
def boosting_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few small trees."""
    path = tmp_path_factory.mktemp("config") / "boosting.yaml"
    path.write_text(CONFIG.replace("name: small", "name: trees") + BOOSTING)
    return path
