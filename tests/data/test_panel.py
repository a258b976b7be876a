import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.contract import Panel
from data.errors import DataError
from data.history import History
from data.panel import Rows, build, following, label, pad, windows
from tests.data.made import PANEL, START, at, bars, blocks, contract, counts, random_history

NAMES = ("eth_log_volatility", "log_base_fee", "log_base_fee_mean_12", "to_funding_s")


@pytest.fixture(scope="module")
def history() -> History:
    return History.of(random_history(5, hours=12))


def test_rows_are_a_contiguous_grid_of_float32_in_the_order_of_names(history: History) -> None:
    rows = build(history, PANEL, NAMES)
    assert rows.matrix.shape == (144, 4)
    assert rows.matrix.dtype == np.float32
    assert rows.matrix.flags.c_contiguous
    assert rows.names == NAMES
    assert rows.ticks[0] == START.timestamp() + 300
    assert set(np.diff(rows.ticks)) == {300}


def test_since_and_until_choose_ticks_and_rows_before_since_still_count(history: History) -> None:
    whole = build(history, PANEL, NAMES)
    part = build(history, PANEL, NAMES, at(3600), at(7200))
    assert part.ticks.tolist() == [int(START.timestamp()) + 3600 + 300 * i for i in range(12)]
    np.testing.assert_array_equal(part.matrix, whole.matrix[11:23])


def test_a_table_that_no_feature_reads_is_not_read() -> None:
    bad = bars(30).with_columns(high=pl.lit(None, pl.Float64))
    frames = {"blocks": blocks(100), "bars": bad}
    assert build(History.of(frames), PANEL, ["log_base_fee"]).matrix.shape == (3, 1)
    with pytest.raises(DataError, match="a value in every row in high"):
        build(History.of(frames), PANEL, ["eth_log_volatility"])


def test_a_range_without_a_tick_is_refused(history: History) -> None:
    with pytest.raises(DataError, match="expected at least one tick"):
        build(history, PANEL, NAMES, at(7200), at(7200))


def test_history_that_feeds_no_feature_is_refused() -> None:
    with pytest.raises(DataError, match="expected a table that feeds the features"):
        build(History.of({"request_counts": counts(600)}), PANEL, ["log_base_fee"])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), tick=st.integers(60, 140), tick_s=st.sampled_from([60, 300]))
def test_no_feature_at_t_changes_when_rows_at_or_after_t_do(seed: int, tick: int, tick_s: int) -> None:
    made = contract(
        ["volatility", "congestion", "demand", "calendar"], ["congestion"], Panel(tick_s, "ethereum", PANEL.roles)
    )
    names, end = made.feature_names, at(tick * tick_s)
    history, other = random_history(seed, hours=12), random_history(seed + 1, hours=12)
    changed = {
        name: pl.concat([History.of({name: frame}).before(end).scan(name).collect(), later(other[name], name, end)])
        for name, frame in history.items()
    }
    whole = build(History.of(history), made.panel, names, START, end + (at(tick_s) - START))
    again = build(History.of(ordered(changed)), made.panel, names, START, end + (at(tick_s) - START))
    np.testing.assert_array_equal(whole.matrix, again.matrix)


def later(frame: pl.DataFrame, name: str, end: object) -> pl.DataFrame:
    rows = History.of({name: frame}).scan(name).collect()
    known = rows.filter(pl.col("ts") >= end)
    return known.with_columns(pl.col("number") + 10_000) if name == "blocks" else known


def ordered(frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    return {name: frame.sort("symbol" if name == "bars" else "ts", "ts") for name, frame in frames.items()}


def test_windows_are_views_that_end_with_their_row() -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(6, 2)
    view = windows(matrix, 3)
    assert view.shape == (4, 3, 2)
    np.testing.assert_array_equal(view[1], matrix[1:4])
    assert np.shares_memory(view, matrix)
    assert not view.flags.writeable


def test_padding_gives_the_first_tick_a_window() -> None:
    rows = Rows(np.array([600, 900]), np.ones((2, 1), np.float32), ("x",))
    padded = pad(rows, 4)
    assert padded.ticks.tolist() == [-300, 0, 300, 600, 900]
    assert len(windows(padded.matrix, 4)) == 2
    assert np.isnan(padded.matrix[:3]).all()


def test_following_are_the_values_to_come() -> None:
    found = following(np.array([1, 2, 3], np.float32), 2)
    np.testing.assert_array_equal(found, np.array([[2, 3], [3, np.nan], [np.nan, np.nan]], np.float32))


def labelled(values: list[float], threshold: float = 2.0, calm: float = 1.5) -> tuple[Rows, object]:
    made = contract(["congestion"], ["congestion"])
    matrix = np.zeros((len(values), len(made.features)), np.float32)
    columns = {"log_base_fee": values, "congestion_threshold": threshold, "congestion_calm": calm}
    for name, column in columns.items():
        matrix[:, made.feature_names.index(name)] = column
    ticks = np.arange(len(values)) * 300
    return Rows(ticks, matrix, made.feature_names), label(Rows(ticks, matrix, made.feature_names), made)


def test_a_spike_is_crossed_from_the_first_tick_above_on_and_stays_so() -> None:
    _, labels = labelled([1.0, 1.0, 3.0, 1.0, 1.0, 1.0])
    np.testing.assert_array_equal(
        labels.crossed[:, :, 0], [[0, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    )
    assert labels.known[:3].all()
    assert labels.known[3, :, 0].tolist() == [True, True, False]
    assert labels.at_risk[:, 0].tolist() == [True, True, False, True, True, True]
    np.testing.assert_array_equal(labels.ahead[1, :, 0], [3.0, 1.0, 1.0])
    np.testing.assert_array_equal(labels.value[:, 0], [1.0, 1.0, 3.0, 1.0, 1.0, 1.0])


def test_an_unknown_tick_makes_the_labels_that_pass_it_unknown() -> None:
    _, labels = labelled([1.0, 1.0, np.nan, 1.0, 1.0, 1.0])
    assert labels.known[0, :, 0].tolist() == [True, False, False]
    assert np.isnan(labels.ahead[0, 1, 0])
    assert not labels.at_risk[2, 0]


def test_an_unknown_threshold_leaves_the_spike_unknown_and_the_value_known() -> None:
    _, labels = labelled([1.0, 1.0, 1.0, 1.0], threshold=np.nan, calm=np.nan)
    assert not labels.known.any()
    assert np.isfinite(labels.ahead[0]).all()
    assert not labels.at_risk.any()
