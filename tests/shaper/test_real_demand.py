"""The replay on recorded demand, with forecasts that know the hour's half and nothing else."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shaper.replay.scenario import Scenario, run
from shaper.replay.trace import ForecastSeries
from tests.shaper.ventures import HORIZONS, LEVELS, trace_of, venue

DAY = 5760  # ticks of 15 s
PERIOD = 120  # half an hour


@pytest.fixture(scope="module")
def rates() -> np.ndarray:
    """Requests per second by tick, unknown ones filled with the last known."""
    folder = os.environ.get("SHAPER_HISTORY")
    if not folder or not (Path(folder) / "request_counts.parquet").is_file():
        pytest.skip("set SHAPER_HISTORY to a folder with request_counts.parquet")
    counts = pl.read_parquet(Path(folder) / "request_counts.parquet").filter(pl.col("count") > 0).sort("ts")
    second = counts["ts"].dt.epoch("s").to_numpy()
    tick = (second - second[0]) // 15
    total = np.bincount(tick, weights=counts["count"].to_numpy())
    known = np.bincount(tick)
    last = np.maximum.accumulate(np.where(known >= 8, np.arange(len(known)), 0))
    return np.asarray(total[last] / known[last])


def empirical_forecasts(rates: np.ndarray, fitted: int) -> ForecastSeries:
    """Last value plus the quantiles of its changes before `fitted`, by time within the half hour and by surge or not."""
    log = np.log(rates)
    calm = np.array([np.median(log[max(0, i - 240) : i + 1]) for i in range(len(log))])
    group = (np.arange(len(log)) % PERIOD) * 2 + (log - calm > np.log(1.8))
    values = np.empty((len(log), 1, len(HORIZONS), len(LEVELS)))
    for column, horizon in enumerate(HORIZONS):
        change = log[horizon:fitted] - log[: fitted - horizon]
        overall = np.quantile(change, LEVELS)
        for key in range(2 * PERIOD):
            mine = change[group[: len(change)] == key]
            values[group == key, 0, column] = np.quantile(mine, LEVELS) if len(mine) > 30 else overall
    values += log[:, None, None, None]
    issued = (np.arange(len(log)) + 1) * 15.0
    return ForecastSeries(issued, values, np.full(values.shape[:3], 0.1), 15.0, ("demand",), HORIZONS, LEVELS, 60.0)


@pytest.mark.history
@pytest.mark.integration
def test_on_recorded_demand_a_forecast_saves_money_at_a_delay_of_a_minute(rates: np.ndarray) -> None:
    of, day = venue(60.0), 12 * DAY
    slots = np.repeat(rates, 3)
    tuning = trace_of(slots[3 * (day - DAY // 2) : 3 * day], of, (day - DAY // 2) * 15.0)
    trace = trace_of(slots[3 * day : 3 * (day + DAY // 2)], of, day * 15.0)
    forecasts = empirical_forecasts(rates, day - DAY)
    found = {outcome.policy: outcome for outcome in run(Scenario(of, trace, tuning, forecasts))}
    assert found["forecast-led"].cost_usd < 0.95 * found["reactive"].cost_usd
    assert min(outcome.cost_usd for outcome in found.values()) == found["clairvoyant"].cost_usd
