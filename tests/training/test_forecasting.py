import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import DataError
from data.history import History
from serving import cli
from tests.serving import made
from training import forecasting
from training.artefact import Artefact

HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return Artefact.open(made.write_artefact(tmp_path_factory.mktemp("artefact")))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Orders whose rate changes every minute."""
    folder = tmp_path_factory.mktemp("history")
    frame = made.counts(made.START, 3 * 3600)
    minute = pl.col("ts").dt.epoch("s") // 60 % 7
    frame.with_columns(pl.col("count") + minute).pipe(lambda rows: made.write_table(folder, "request_counts", rows))
    return History.open(folder)


def test_a_forecast_at_t_is_the_same_from_tables_cut_at_t(artefact: Artefact, history: History) -> None:
    at = made.START + 2 * HOUR
    tick = dt.timedelta(seconds=made.TICK_S)
    whole = forecasting.issue(artefact, history, at, at + tick)
    cut = forecasting.issue(artefact, history.before(at), at, at + tick)
    assert whole.ticks.tolist() == cut.ticks.tolist() == [int(at.timestamp())]
    np.testing.assert_array_equal(whole.quantiles, cut.quantiles)
    np.testing.assert_array_equal(whole.spike, cut.spike)


def test_the_first_issue_of_a_period_sees_the_whole_window_before_it(artefact: Artefact, history: History) -> None:
    at, before = made.START + 2 * HOUR + dt.timedelta(seconds=15), made.START + HOUR  # just after a busier minute
    asked_late, asked_early = (forecasting.issue(artefact, history, since, at + HOUR / 60) for since in (at, before))
    assert asked_late.ticks[0] == int(at.timestamp())
    np.testing.assert_array_equal(asked_late.quantiles, asked_early.quantiles[-len(asked_late.ticks) :])


def test_every_tick_is_answered_once_its_target_was_seen(artefact: Artefact, history: History) -> None:
    issued = forecasting.issue(artefact, history)
    assert (np.diff(issued.ticks) == made.TICK_S).all()
    assert issued.answered[1:].all()


def test_the_files_hold_each_issue_horizon_and_level_once(artefact: Artefact, history: History, tmp_path: Path) -> None:
    issued = forecasting.issue(artefact, history, made.START + HOUR, made.START + HOUR + dt.timedelta(minutes=1))
    forecasting.write(issued, artefact.contract, tmp_path / "out")
    quantiles = pl.read_parquet(tmp_path / "out" / "quantiles.parquet")
    assert quantiles.columns == ["issued_at", "target", "horizon", *(f"q{level:g}" for level in made.LEVELS)]
    assert quantiles.select("issued_at", "target", "horizon").is_unique().all()
    assert quantiles.height == 4 * len(made.HORIZONS)
    spikes = pl.read_parquet(tmp_path / "out" / "spikes.parquet")
    assert spikes["issued_at"].dtype == pl.Datetime("ms", "UTC")
    assert spikes["probability"].to_list() == [0.125] * 4
    assert spikes["within_s"].unique().to_list() == [made.HORIZONS[-1] * made.TICK_S]


def test_a_period_without_ticks_is_an_error(artefact: Artefact, history: History) -> None:
    with pytest.raises(DataError, match="tick"):
        forecasting.issue(artefact, history, made.START + 9 * HOUR, made.START + 9 * HOUR)


def test_the_command_writes_both_files(artefact: Artefact, history: History, tmp_path: Path) -> None:
    words = ["forecast", "--model", str(artefact.folder), "--data", history.where, "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--since", "2024-01-01T01:00"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["quantiles.parquet", "spikes.parquet"]
