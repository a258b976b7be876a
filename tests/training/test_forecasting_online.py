"""Forecasts over a history carry the memory that the graph would have had, and that memory begins at fixed times."""

import datetime as dt
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from data.contract import MODEL_FILE, Calibration, Online
from data.history import History
from data.online import NEXT_STATE, STATE, Layout
from tests.serving import made
from training import forecasting, online
from training.artefact import INPUT, OUTPUTS, Artefact, write
from training.stage import with_calibration

HOUR, TICK = dt.timedelta(hours=1), dt.timedelta(seconds=made.TICK_S)
RATES = Online((0.05,), (40,), recent_ticks=30, usual_ticks=300)
ONLINE = msgspec.structs.replace(made.contract(), calibration=Calibration("none", online=RATES))


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    folder = made.write_artefact(tmp_path_factory.mktemp("artefact"))
    offsets = np.zeros((len(made.HORIZONS), 1, len(made.LEVELS)), np.float32)
    write(folder, with_calibration((folder / MODEL_FILE).read_bytes(), ONLINE, offsets), ONLINE, "")
    return Artefact.open(folder)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Three hours of orders whose rate changes every minute."""
    folder = tmp_path_factory.mktemp("history")
    frame = made.counts(made.START, 3 * 3600)
    noise = np.random.default_rng(0).integers(0, 60, 180)
    minute = pl.Series(noise).gather(np.arange(len(frame)) // 120 % 180)
    made.write_table(folder, "request_counts", frame.with_columns(pl.col("count") + minute))
    return History.open(folder)


def test_history_is_forecast_as_the_graph_would_have_tick_by_tick(artefact: Artefact, history: History) -> None:
    issued = forecasting.issue(artefact, history)
    offline, state = [], Layout.of(ONLINE).blank()
    rows = forecasting.panel.build(history, ONLINE.panel, ONLINE.feature_names)
    for window in forecasting.panel.windows(forecasting.panel.pad(rows, ONLINE.context).matrix, ONLINE.context):
        asked = {INPUT: np.ascontiguousarray(window)[None], STATE: state}
        said, state = artefact.session.run([OUTPUTS[0], NEXT_STATE], asked)
        offline.append(said[0])
    np.testing.assert_allclose(issued.quantiles, np.stack(offline), atol=1e-6)
    assert np.abs(issued.quantiles - artefact.forecast(forecasting.panel.windows(
        forecasting.panel.pad(rows, ONLINE.context).matrix, ONLINE.context))[0]).max() > 0.05  # fmt: skip


def test_a_forecast_does_not_depend_on_the_period_asked_for(
    artefact: Artefact, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "STRETCH_TICKS", 100)  # 25 minutes
    at = made.START + 2.5 * HOUR
    month = forecasting.issue(artefact, history, at - HOUR, at + HOUR / 4)
    for later in (0, 1, 37):
        one = forecasting.issue(artefact, history.before(at + later * TICK), at + later * TICK, at + (later + 1) * TICK)
        place = month.ticks.tolist().index(int(one.ticks[0]))
        np.testing.assert_allclose(month.quantiles[place], one.quantiles[0], atol=1e-6)


def test_three_hours_of_history_are_enough(artefact: Artefact, history: History) -> None:
    last = forecasting.issue(artefact, history, made.START + 3 * HOUR)
    assert len(last.ticks) == 1
    assert np.isfinite(last.quantiles).all()


def test_an_artefact_without_a_memory_is_forecast_as_before(history: History, tmp_path: Path) -> None:
    plain = Artefact.open(made.write_artefact(tmp_path / "plain"))
    issued = forecasting.issue(plain, history, made.START + HOUR, made.START + 2 * HOUR)
    spread = issued.quantiles - issued.quantiles[..., 2:3]
    np.testing.assert_allclose(spread, np.broadcast_to(made.SPREAD, spread.shape), atol=1e-6)
