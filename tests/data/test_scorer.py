"""The targets, against the definitions of the forecast benchmark written out again here."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.contract import Panel
from data.environment import history_folder
from data.features.registry import evaluate
from data.history import History
from data.ticks import extent, tick_table
from data.timeline import TICK
from tests.data.made import PANEL, at, random_history

NAMES = ("eth_log_volatility", "log_base_fee", "eth_volatility_threshold", "congestion_threshold", "congestion_calm")
COLUMNS = ("eth_high", "eth_low", "log_base_fee", "utilisation")


def tick_of(ts: pl.Expr, tick_s: int) -> pl.Expr:
    return (ts.dt.epoch("s") // tick_s + 1) * tick_s


def volatility(bars: pl.DataFrame, tick_s: int) -> pl.DataFrame:
    """Ln max(P, 1e-5) of the ticks that the bars cover, P = sqrt(ln(high / low)^2 / (4 ln 2))."""
    by_tick = bars.filter(pl.col("symbol") == "ETH-PERP").group_by(tick_of(pl.col("ts"), tick_s).alias("t"))
    whole = by_tick.agg(pl.col("high").max(), pl.col("low").min(), pl.col("interval_s").sum()).filter(
        pl.col("interval_s") == tick_s
    )
    spread = (pl.col("high") / pl.col("low")).log() ** 2 / (4 * math.log(2))
    return whole.select("t", spread.sqrt().clip(1e-5).log().alias("truth"))


def congestion(blocks: pl.DataFrame, tick_s: int) -> pl.DataFrame:
    """Mean ln gwei and utilisation of the ticks that touch no hole in the numbers and no end of the table."""
    step = pl.col("number").diff()
    edge = ~((step == 1) & (step.shift(-1) == 1)).fill_null(False)
    rows = blocks.with_columns(edge.alias("edge"), tick_of(pl.col("ts"), tick_s).alias("t"))
    return (
        rows.group_by("t")
        .agg(
            (pl.col("base_fee_wei") / 1e9).log().mean().alias("truth"),
            (pl.col("gas_used").sum() / pl.col("gas_limit").sum()).alias("used"),
            pl.col("edge").any(),
        )
        .filter(~pl.col("edge"))
    )


def compare(history: History, panel: Panel) -> None:
    """Every truth that the definitions know is in the features, and so are the thresholds of spikes."""
    since, until = extent(history, panel, COLUMNS)
    ticks = tick_table(history, panel, since, until, COLUMNS)
    found = evaluate(ticks, NAMES, panel).with_columns(pl.col(TICK).dt.epoch("s").alias("t"), ticks["utilisation"])
    pairs = {
        "eth_log_volatility": volatility(history.scan("bars").collect(), panel.tick_s),
        "log_base_fee": congestion(history.scan("blocks").collect(), panel.tick_s),
    }
    for name, truth in pairs.items():
        both = truth.filter(pl.col("t") <= found["t"][-1]).join(found, on="t", how="left")
        assert both.height > 50
        assert both[name].null_count() == 0
        assert (both[name] - both["truth"]).abs().max() < 1e-9
    assert (both["used"] - both["utilisation"]).abs().max() < 1e-12
    level = found["log_base_fee"].exp().rolling_median(6 * 3600 // panel.tick_s, min_samples=3 * 3600 // panel.tick_s)
    assert same(found["congestion_threshold"], (2.0 * level).log())
    assert same(found["congestion_calm"], (1.5 * level).log())
    days = 86400 // panel.tick_s
    jump = found["eth_log_volatility"].rolling_quantile(0.995, "linear", 30 * days, min_samples=3 * days)
    assert found["eth_volatility_threshold"].equals(jump)


def same(found: pl.Series, truth: pl.Series) -> bool:
    return np.allclose(found.to_numpy(), truth.to_numpy(), rtol=0, atol=1e-12, equal_nan=True)


def test_targets_are_those_of_the_benchmark_on_random_history() -> None:
    frames = random_history(11, 24 * 5)
    # Spot may stand in for a missing tick of the perpetual here; the benchmark leaves such a tick out.
    compare(History.of(frames).before(at(24 * 5 * 3600)), PANEL)


@pytest.mark.history
def test_targets_are_those_of_the_benchmark_on_recorded_history() -> None:
    compare(recorded(), PANEL)


@pytest.mark.history
def test_recorded_history_has_no_fault_and_the_outages_of_its_collector_are_unknown() -> None:
    history = recorded()
    assert all(history.scan(name).collect().height for name in history.tables)
    panel = Panel(60, "ethereum", {})
    rates = tick_table(history, panel, *extent(history, panel, ["order_rate"]), ["order_rate"])["order_rate"]
    assert 0.015 < rates.is_null().mean() < 0.025  # about 2 % of the seconds
    assert rates.min() > 0


def recorded() -> History:
    folder = history_folder()
    if folder is None:
        pytest.skip("set SHAPER_HISTORY to a folder of recorded history to run this test")
    return History.open(Path(folder))
