"""The feature report: what is needed and what moves first, on rows in which that is known beforehand."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError
from data.history import write_table
from data.panel import Rows
from data.targets import describe_targets
from data.world.generate import outline
from training.commands import features as command
from training.featuring import Studied, Study, ratio, results
from training.foreseeing import MARKET, Foreseen, Judged, fits, precisions, probabilities
from training.importance import importances
from training.leading import AFTER, BEFORE, CONTROLS, Events, beyond, events, leads, run
from training.pages.features import page
from training.report.page import write_page

DAYS, DAY = 120, 288
EARLY = 6  # ticks by which the feature `early` moves before an onset


@pytest.fixture(scope="module")
def onsets() -> np.ndarray:
    """One on most days, at a time of day that is not always the same."""
    return np.array([day * DAY + 60 + 5 * (day % 3) for day in range(2, DAYS - 2) if day % 3])


@pytest.fixture(scope="module")
def rows(onsets: np.ndarray) -> Rows:
    """Rows of a volatility that crosses its threshold for three ticks at each onset, and of features that tell or do not."""
    count, draws = DAYS * DAY, np.random.default_rng(1)
    over = np.isin(np.arange(count), (onsets[:, None] + np.arange(3)).ravel())
    warned = np.isin(np.arange(count), (onsets[:, None] - np.arange(1, EARLY + 1)).ravel())
    columns = {
        "eth_log_volatility": np.where(over, 2.0, 0.0),
        "eth_volatility_threshold": np.ones(count),
        "early": 5.0 * warned + draws.standard_normal(count),
        "falling": -5.0 * warned + draws.standard_normal(count),
        "noise": draws.standard_normal(count),
        "late": 5.0 * over + draws.standard_normal(count),
    }
    start = int(dt.datetime(2024, 1, 1, tzinfo=dt.UTC).timestamp())
    return Rows(start + 300 * np.arange(count), np.stack(list(columns.values()), 1).astype(np.float32), tuple(columns))


@pytest.fixture(scope="module")
def around(rows: Rows) -> Events:
    return events(rows, describe_targets(("volatility",), MARKET)[0], 300)


def test_onsets_follow_a_quiet_hour_and_have_quiet_controls_at_the_same_time_of_day(
    rows: Rows, around: Events, onsets: np.ndarray
) -> None:
    assert around.onset.tolist() == onsets.tolist()
    assert around.controls.shape == (len(onsets), CONTROLS)
    away = around.controls - around.onset[:, None]
    assert (away % DAY == 0).all()
    assert (np.abs(away) <= 14 * DAY).all()
    over = rows.column("eth_log_volatility") > 1
    assert not any(over[row - BEFORE : row + AFTER + 1].any() for row in around.controls.ravel())


def test_the_lead_is_how_long_before_the_onset_a_feature_differs_up_or_down(rows: Rows, around: Events) -> None:
    found = {one.feature: one for one in leads(rows, around)}
    assert found["early"].ticks == EARLY
    assert found["early"].interval[0] == EARLY
    assert found["falling"].ticks == EARLY
    assert found["early"].last > 0.95
    assert found["falling"].last < 0.05
    assert found["noise"].ticks == found["late"].ticks == 0
    assert found["late"].auc[1, BEFORE] > 0.95
    assert "eth_volatility_threshold" not in found  # it never differs: there is nothing to standardise by


def test_an_onset_is_compared_with_its_own_controls_and_ties_count_half() -> None:
    onset = np.array([[1.0, np.nan], [3.0, 0.0]])
    control = np.array([[[0.0, 1.0], [2.0, 1.0]], [[3.0, np.nan], [1.0, -1.0]]])
    np.testing.assert_array_equal(beyond(onset, control), [[0.5, np.nan], [0.75, 1.0]])


def test_a_lead_has_no_break() -> None:
    share = np.full(BEFORE + 1 + AFTER, 0.5)
    assert run(share) == 0
    share[BEFORE - 3 : BEFORE] = 0.7
    share[0] = 0.9
    assert run(share) == 3
    share[:BEFORE] = 0.7
    assert run(share) == BEFORE


@pytest.fixture(scope="module")
def judged() -> Judged:
    draws = np.random.default_rng(2)
    matrix, days = draws.standard_normal((6000, 3)).astype(np.float32), np.repeat(np.arange(30), 200)
    positive = matrix[:, 1] > 1.5
    fitted = tuple(fits(matrix, positive, days, 3))
    return Judged("made", ("noise", "early", "late"), matrix, positive, days, probabilities(matrix, fitted), fitted)


def test_the_feature_that_tells_is_the_one_that_cannot_be_spared(judged: Judged) -> None:
    first, *others = importances(judged, lambda _done, _of: None)
    assert first.feature == "early"
    assert first.interval is not None
    assert first.interval[0] > 0.5
    assert all(abs(one.drop) < 0.05 for one in others)


def test_the_precision_of_days_drawn_once_each_is_the_average_precision(judged: Judged) -> None:
    once = np.ones((1, len(judged.positive)))
    assert precisions(judged.positive, judged.probability, once)[0] == pytest.approx(judged.foreseen.pr_auc)
    low, high = judged.foreseen.interval
    assert low <= judged.foreseen.pr_auc <= high


def test_the_page_shows_importance_paths_and_leads_and_the_worlds_beside_history(
    rows: Rows, around: Events, judged: Judged, tmp_path: Path
) -> None:
    one = Studied("volatility", judged.foreseen, importances(judged, lambda *_: None), leads(rows, around), 24)
    score, half = (
        Foreseen("volatility", 0.1, (0.08, 0.12), 0.04, 900),
        Foreseen("volatility", 0.05, (0.04, 0.06), 0.04, 900),
    )
    day = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    made = Study("history", day, day, 300, (one,), (("history", (score,)), ("world, seed 1", (half,))))
    assert ratio(made, "volatility") == pytest.approx(0.5)
    html = write_page(page(made), tmp_path / "report.html").read_text("utf-8")
    assert html.count("<figure") == 3
    assert "30 min" in html
    assert "0.50" in html
    assert json.loads(json.dumps(results(made)))["targets"]["volatility"]["leads"][0]["lead_min"] == 30.0


def test_too_short_a_history_is_one_message_and_nothing_is_written(tmp_path: Path) -> None:
    for name, frame in outline(4.0, 1).items():
        write_table(tmp_path / "world", name, frame)
    words = ["--data", str(tmp_path / "world"), "--out", str(tmp_path / "out"), "--families", "calendar"]
    with pytest.raises(
        DataError, match="onsets of volatility: expected at least 20 issue times before one, and 15 days; found"
    ):
        command.main(words)
    assert not (tmp_path / "out").exists()
