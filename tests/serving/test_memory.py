"""The sidecar carries the memory of an online calibration from tick to tick, over short gaps, and says when it begins anew."""

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from data.contract import MODEL_FILE, Calibration, Online
from data.errors import DataError
from data.history import History
from data.online import Layout
from serving.demand import RecentOrders
from serving.inference import Forecaster
from serving.metrics import Metrics
from serving.pipeline import Pipeline
from tests.serving import made
from tests.serving.made import HORIZONS, LEVELS, PROVEN, START, venue
from training import forecasting
from training.artefact import Artefact, write
from training.stage import with_calibration

TICK = timedelta(seconds=made.TICK_S)
RATES = Online((0.05,), (40,), recent_ticks=30, usual_ticks=300)
ONLINE = msgspec.structs.replace(made.contract(), calibration=Calibration("none", online=RATES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = made.write_artefact(tmp_path_factory.mktemp("online") / "artefact")
    offsets = np.zeros((len(HORIZONS), 1, len(LEVELS)), np.float32)
    write(folder, with_calibration((folder / MODEL_FILE).read_bytes(), ONLINE, offsets), ONLINE, "")
    return folder


@pytest.fixture
def pipeline(folder: Path) -> Pipeline:
    return Pipeline(venue(), Forecaster.open(folder), Metrics.create(), RecentOrders(15.0), trust=PROVEN)


def orders(minutes: int = 60) -> pl.DataFrame:
    """Orders of one tier whose rate changes every minute."""
    rate = np.repeat(np.random.default_rng(0).integers(20, 90, minutes), 60)
    times = [START + timedelta(seconds=second) for second in range(len(rate))]
    frame = pl.DataFrame({"ts": times, "count": rate}, schema_overrides={"ts": pl.Datetime("ms", "UTC")})
    return frame.with_columns(pl.lit("maker").alias("tier"))


def follow(pipeline: Pipeline, rows: pl.DataFrame, ticks: list[datetime]) -> list[np.ndarray]:
    """Quantiles (horizon, level) issued at some ticks, with the rows that had come by then."""
    said, before = [], START
    for tick in ticks:
        update = pipeline.step(
            tick, {"request_counts": rows.filter(pl.col("ts").is_between(before, tick, closed="left"))}
        )
        before = tick
        assert update.forecast is not None, update.forecast_note
        said.append(np.array(update.forecast.quantiles)[0])
    return said


def ticks(first: int, last: int) -> list[datetime]:
    return [START + place * TICK for place in range(first, last + 1)]


def metric(pipeline: Pipeline, name: str, **labels: str) -> float | None:
    return pipeline.metrics.registry.get_sample_value(name, labels)


def test_live_forecasts_are_those_that_the_history_would_have_had(
    pipeline: Pipeline, folder: Path, tmp_path: Path
) -> None:
    rows = orders()
    made.write_table(tmp_path, "request_counts", rows)
    issued = forecasting.issue(Artefact.open(folder), History.open(tmp_path), START + TICK, START + 200 * TICK)
    live = follow(pipeline, rows, ticks(1, 199))
    np.testing.assert_allclose(np.stack(live), issued.quantiles[:, :, 0], atol=1e-5)
    narrow = made.SPREAD[-1] - made.SPREAD[0]
    assert np.ptp(live[-1][0]) > 1.1 * narrow, "bands have grown, for the rate changes more than the model says"


def test_rolling_coverage_is_shown_once_forecasts_have_come_true(pipeline: Pipeline) -> None:
    rows = orders()
    follow(pipeline, rows, ticks(1, 1))
    assert metric(pipeline, "shaper_coverage_ratio", target="demand") is None
    follow(pipeline, rows.filter(pl.col("ts") >= START + TICK), ticks(2, 60))
    shown = metric(pipeline, "shaper_coverage_ratio", target="demand")
    assert shown is not None
    assert 0.2 < shown < 1


def test_a_few_missing_ticks_are_bridged_as_if_they_had_been_asked(pipeline: Pipeline, folder: Path) -> None:
    rows = orders()
    whole = follow(pipeline, rows, ticks(1, 120))
    gappy = Pipeline(venue(), Forecaster.open(folder), Metrics.create(), RecentOrders(15.0), trust=PROVEN)
    bridged = follow(gappy, rows, [*ticks(1, 60), *ticks(66, 120)])
    np.testing.assert_allclose(bridged[-1], whole[-1], atol=1e-6)
    assert metric(gappy, "shaper_calibration_resets_total", reason="gap") is None


def test_a_gap_longer_than_any_forecast_reaches_begins_anew_and_says_why(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    follow(pipeline, orders(), [*ticks(1, 60), *ticks(60 + HORIZONS[-1] + 2, 60 + HORIZONS[-1] + 2)])
    assert metric(pipeline, "shaper_calibration_resets_total", reason="gap") == 1
    assert "21 ticks after 2024-01-01T00:15:00+00:00 are missing, and forecasts reach 20" in caplog.text
    state = pipeline.memory.state
    assert state is not None
    assert not Layout.of(ONLINE).parts(state)[0].any()


def test_ticks_that_cannot_be_forecast_count_as_unknown(pipeline: Pipeline) -> None:
    follow(pipeline, orders(15), ticks(1, 60))
    before = pipeline.memory.state
    for tick in ticks(61, 70):
        pipeline.step(tick, {})
    after = pipeline.memory.state
    assert before is not None
    assert after is not None
    layout = Layout.of(ONLINE)
    np.testing.assert_array_equal(layout.parts(after)[0], layout.parts(before)[0])
    assert pipeline.memory.tick == START + 70 * TICK


def test_an_answer_that_is_not_finite_is_not_remembered(folder: Path, tmp_path: Path) -> None:
    broken = made.write_artefact(tmp_path / "broken", offsets=np.full((len(HORIZONS), 1, 5), np.nan))
    offsets = np.zeros((len(HORIZONS), 1, len(LEVELS)), np.float32)
    write(broken, with_calibration((broken / MODEL_FILE).read_bytes(), ONLINE, offsets), ONLINE, "")
    pipeline = Pipeline(venue(), Forecaster.open(broken), Metrics.create(), RecentOrders(15.0), trust=PROVEN)
    assert pipeline.step(START + 10 * TICK, {"request_counts": orders(3)}).forecast is None
    assert metric(pipeline, "shaper_calibration_resets_total", reason="answer") == 1
    assert np.isfinite(pipeline.memory.state).all()  # type: ignore[arg-type]
    pipeline.seer.forecaster = Forecaster.open(folder)
    mended = [pipeline.step(START + tick * TICK, {}).forecast for tick in (11, 12, 13)]
    assert [forecast is not None for forecast in mended] == [False, False, True]


def test_a_model_without_a_memory_keeps_none(tmp_path: Path) -> None:
    plain = Forecaster.open(made.write_artefact(tmp_path / "plain"))
    pipeline = Pipeline(venue(), plain, Metrics.create(), RecentOrders(15.0), trust=PROVEN)
    follow(pipeline, orders(5), [*ticks(1, 4), *ticks(40, 40)][:4])
    assert pipeline.memory.state is None


def test_a_graph_without_the_memory_that_its_contract_promises_is_refused(tmp_path: Path) -> None:
    made.write_artefact(tmp_path / "false", described=ONLINE)
    with pytest.raises(DataError, match="export the model again"):
        Forecaster.open(tmp_path / "false")
