"""Seconds of the features against pandas and mlforecast, and of a live tick; run in a process of its own, prints JSON.

`python -m tests.benchmarks.features_measured FOLDER` with a history; POLARS_MAX_THREADS says how many cores polars may use.
Each measure is [wall, CPU] of the quickest of some repeats, for the alternatives in turn.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from mlforecast import MLForecast
from mlforecast.lag_transforms import RollingMax, RollingMean, RollingQuantile, RollingStd

from data.contract import Calibration, Contract, Panel, Window
from data.features.compiler import compiled
from data.features.registry import arrays, columns_of, describe, evaluate, programmed, specs
from data.features.spec import enough, rolling_max, rolling_mean, rolling_std
from data.history import History
from data.live import LivePanel
from data.targets import describe_targets
from data.ticks import extent, tick_table
from tests.benchmarks import features_in_pandas

Seconds = list[float]
PANEL = Panel(300, "ethereum", {"eth": ("ETH-PERP", "ETH-SPOT"), "btc": ("BTC-PERP", "BTC-SPOT")})
FAMILIES = ("volatility", "congestion", "calendar", "realised", "blockspace", "funding")
TICK, TABLES = timedelta(seconds=300), ("blocks", "bars", "funding")
MEANS, DAY, MONTH = (3, 12, 36, 72, 288), 288, 8640


def quickest(repeats: int, *works: Callable[[], object]) -> list[Seconds]:
    """[wall, CPU] seconds of each work, which take turns so that a busy machine is busy for all of them."""
    found = [[np.inf, np.inf] for _ in works]
    for _ in range(repeats):
        for best, work in zip(found, works, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            best[:] = min(best[0], time.perf_counter() - wall), min(best[1], time.process_time() - cpu)
    return found


def against_pandas(history: History) -> dict[str, list[Seconds]]:
    """Ours and pandas' seconds by family and in total, from the columns of one tick table to those of the features."""
    names = [feature.name for feature in describe(FAMILIES, PANEL)]
    columns = columns_of(specs(names, PANEL))
    ticks = tick_table(history, PANEL, *extent(history, PANEL, columns), columns)
    ticks = ticks.with_columns(pl.col(pl.Null).cast(pl.Float64)).rechunk()
    table, frame = arrays(ticks, ticks.columns), ticks.to_pandas()
    require_equal(evaluate(ticks, names, PANEL).drop("tick"), features_in_pandas.every(frame))
    found = {}
    for family in FAMILIES:
        own = programmed(specs([feature.name for feature in describe([family], PANEL)], PANEL))
        found[family] = quickest(
            5,
            lambda own=own: own.whole(table, len(frame)),
            lambda family=family: features_in_pandas.family(family, frame),
        )
    whole = programmed(specs(names, PANEL))
    found["all"] = quickest(5, lambda: whole.whole(table, len(frame)), lambda: features_in_pandas.every(frame))
    return found


def require_equal(ours: pl.DataFrame, theirs: pd.DataFrame) -> None:
    """Both have the same features with the same unknowns and, to rounding, the same values."""
    assert ours.columns == list(theirs.columns)
    for name in ours.columns:
        np.testing.assert_allclose(
            ours[name].to_numpy(), theirs[name].to_numpy(float), rtol=2e-5, atol=2e-5, err_msg=name
        )


def against_mlforecast(history: History) -> dict[str, list[Seconds]]:
    """Ours and mlforecast's seconds for lags and rolling means, deviations, maxima and quantiles of one series."""
    columns = ["eth_high", "eth_low"]
    ticks = tick_table(history, PANEL, *extent(history, PANEL, columns), columns)
    value = ((pl.col("eth_high") / pl.col("eth_low")).log() + 1e-9).log().alias("y")
    series = ticks.select(pl.lit("eth").alias("unique_id"), pl.col("tick").alias("ds"), value).drop_nulls()
    kinds = kinds_of(pl.col("y"))
    found = {}
    for name in (*kinds, "all"):
        exprs = {k: v for key, (own, _) in kinds.items() if name in (key, "all") for k, v in own.items()}
        theirs = [options for key, (_, options) in kinds.items() if name in (key, "all")]
        lags = [lag for options in theirs for lag in options if isinstance(lag, int)]
        rolling = [one for options in theirs for one in options if not isinstance(one, int)]
        own = compiled(exprs)
        model = MLForecast(models=[], freq="5m", lags=lags or None, lag_transforms={1: rolling} if rolling else None)
        found[name] = quickest(
            3,
            lambda own=own: own.whole(arrays(series, own.columns), series.height),
            lambda model=model: model.preprocess(series, dropna=False),
        )
    return found


def kinds_of(y: pl.Expr) -> dict[str, tuple[dict[str, pl.Expr], list[object]]]:
    """Expressions of ours and transforms of theirs that say the same, by kind."""
    lags = (1, 3, 12, DAY)
    quantile = y.rolling_quantile(0.995, "linear", MONTH, min_samples=3 * DAY)
    return {
        "lags": ({f"lag{n}": y.shift(n) for n in lags}, [*lags]),
        "means": (
            {f"mean{n}": rolling_mean(y, n) for n in MEANS},
            [RollingMean(n, min_samples=enough(n)) for n in MEANS],
        ),
        "deviation": ({"deviation": rolling_std(y, DAY)}, [RollingStd(DAY, min_samples=enough(DAY))]),
        "maximum": ({"maximum": rolling_max(y, 12)}, [RollingMax(12, min_samples=enough(12))]),
        "quantile": ({"quantile": quantile}, [RollingQuantile(0.995, MONTH, min_samples=3 * DAY)]),
    }


def live(history: History, ticks: int = 200) -> dict[str, object]:
    """[wall, CPU] seconds of each tick (its rows appended, then the window asked for), and of the first window."""
    frames = {name: history.scan(name).collect() for name in TABLES}
    now = (frames["blocks"]["ts"][-1] - (ticks + 1) * TICK).replace(minute=0, second=0, microsecond=0)
    panel = LivePanel(contract())
    for name, frame in frames.items():
        panel.append(name, frame.filter(pl.col("ts").is_between(now - timedelta(days=33), now, closed="left")))
    first = quickest(1, lambda: panel.window(now))[0]
    took = []
    for _ in range(ticks):
        now += TICK
        took += quickest(1, partial(tick, panel, new_rows(frames, now), now))
    return {"first": first, "ticks": took, "context": panel.contract.context, "features": len(panel.contract.features)}


def new_rows(frames: dict[str, pl.DataFrame], now: datetime) -> dict[str, pl.DataFrame]:
    """What became known during the tick that ends now."""
    return {
        name: rows
        for name, frame in frames.items()
        if (rows := frame.filter(pl.col("ts").is_between(now - TICK, now, closed="left"))).height
    }


def tick(panel: LivePanel, rows: dict[str, pl.DataFrame], now: datetime) -> None:
    """One tick of a live panel."""
    for name, frame in rows.items():
        panel.append(name, frame)
    panel.window(now)


def contract() -> Contract:
    """All features of the panel task with 24 hours of context."""
    return Contract(
        name="measured", task="panel", architecture="none", panel=PANEL, context=DAY,
        features=describe(FAMILIES, PANEL), targets=describe_targets(["volatility", "congestion"], PANEL),
        horizons=(1, 12), levels=(0.05, 0.5, 0.95), training=Window("", ""), calibration=Calibration("none"),
        data_digest="", code_version="", seed=0,
    )  # fmt: skip


if __name__ == "__main__":
    recorded = History.open(Path(sys.argv[1]))
    measured = {
        "pandas": against_pandas(recorded),
        "mlforecast": against_mlforecast(recorded),
        "live": live(recorded),
        "threads": pl.thread_pool_size(),
    }
    print(json.dumps(measured))
