from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.contract import Contract, Panel
from data.errors import DataError
from data.features.registry import FAMILIES
from data.history import History
from data.live import LivePanel
from data.panel import build
from tests.data.made import PANEL, START, at, bars, blocks, contract, counts
from tests.data.made_tables import full_history

LONG = ("eth_volatility_threshold", "eth_volatility_gap")


def small(tick_s: int = 300, context: int = 4) -> Contract:
    return contract(tuple(FAMILIES), ["congestion"], Panel(tick_s, "ethereum", PANEL.roles), context, LONG)


def expected(frames: dict[str, pl.DataFrame], made: Contract, end: datetime) -> np.ndarray:
    tick = timedelta(seconds=made.panel.tick_s)
    history = History.of(frames)
    return build(history, made.panel, made.feature_names, end - (made.context - 1) * tick, end + tick).matrix


def filled(made: Contract, frames: dict[str, pl.DataFrame]) -> LivePanel:
    live = LivePanel(made)
    for name, frame in frames.items():
        live.append(name, frame)
    return live


def test_a_window_has_the_bits_of_the_panel_and_its_shape() -> None:
    made, frames = small(), full_history(2, 30)
    window = filled(made, frames).window(at(30 * 3600))
    assert window.shape == (4, len(made.features))
    assert window.dtype == np.float32
    np.testing.assert_array_equal(window, expected(frames, made, at(30 * 3600)))


def test_the_longest_look_back_has_the_bits_of_the_panel() -> None:
    made = contract(tuple(FAMILIES), ["volatility"], Panel(3600, "ethereum", PANEL.roles), context=3)
    frames = full_history(4, 760, step_s=300, interval_s=900)
    live = filled(made, frames)
    np.testing.assert_array_equal(live.window(at(760 * 3600)), expected(frames, made, at(760 * 3600)))


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000), tick_s=st.sampled_from([60, 300]), pieces=st.integers(2, 5))
def test_late_repeated_and_shuffled_rows_end_in_the_bits_of_the_panel(seed: int, tick_s: int, pieces: int) -> None:
    random = np.random.default_rng(seed)
    frames, made = full_history(seed, 8), small(tick_s)
    live, end, parts = LivePanel(made), at(8 * 3600), []
    for name in frames:
        shuffled = frames[name].with_columns(piece=pl.Series(random.integers(0, pieces, frames[name].height)))
        parts += [
            (name, shuffled.filter(pl.col("piece") == p).drop("piece").sample(fraction=1, shuffle=True, seed=seed))
            for p in range(pieces)
        ]
    for i in random.permutation(len(parts)):
        live.append(*parts[i])
        if random.random() < 0.3:
            live.window(at(8 * 3600))
        live.append(parts[i][0], parts[i][1].head(3))
    np.testing.assert_array_equal(live.window(end), expected(frames, made, end))


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000), step=st.sampled_from([100, 300, 750]))
def test_windows_asked_one_after_the_other_have_the_bits_of_the_panel(seed: int, step: int) -> None:
    frames, made = full_history(seed, 8), small()
    live, now = LivePanel(made), at(6 * 3600)
    history = History.of(frames)
    for name in frames:
        live.append(name, history.before(now).scan(name).collect())
    for _ in range(6):
        since, now = now, now + timedelta(seconds=step)
        for name in frames:
            new = history.before(now).scan(name).filter(pl.col("ts") >= since - timedelta(seconds=300)).collect()
            live.append(name, new)
        end = at((now - START).total_seconds() // 300 * 300)
        known = {name: history.before(now).scan(name).collect() for name in frames}
        np.testing.assert_array_equal(live.window(now), expected(known, made, end))


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000), late_s=st.sampled_from([20, 400, 1000]))
def test_rows_that_always_come_late_end_in_the_bits_of_the_panel(seed: int, late_s: int) -> None:
    frames, made = full_history(seed, 8), small(context=12)
    live, now, history = LivePanel(made), 6 * 3600, History.of(frames)
    for name in frames:
        live.append(name, history.before(at(now - late_s)).scan(name).collect())
    live.window(at(now))
    for _ in range(5):
        now += 300
        new = pl.col("ts").is_between(at(now - late_s - 600), at(now - late_s), closed="left")
        for name in frames:
            live.append(name, history.before(at(now - late_s)).scan(name).filter(new).collect())
        known = {name: history.before(at(now - late_s)).scan(name).collect() for name in frames}
        np.testing.assert_array_equal(live.window(at(now)), expected(known, made, at(now)))


def test_a_window_of_an_earlier_time_does_not_see_later_rows() -> None:
    made, frames = small(), full_history(3, 8)
    live = filled(made, frames)
    np.testing.assert_array_equal(live.window(at(5 * 3600)), expected(frames, made, at(5 * 3600)))
    np.testing.assert_array_equal(live.window(at(6 * 3600)), expected(frames, made, at(6 * 3600)))


def test_counts_of_unknown_tiers_beside_known_ones_follow_each_other() -> None:
    made, seconds = contract(["demand", "order_mix"], ["demand"]), counts(7200)
    tiers = [seconds.with_columns(tier=pl.lit(tier, pl.String)) for tier in (None, "maker", "taker")]
    frame = pl.concat(tiers).sort("ts", "tier")
    live = filled(made, {"request_counts": frame.head(21_000)})
    for place in range(21_000, frame.height, 100):
        live.append("request_counts", frame.slice(place, 100))
    assert live.rows == {"request_counts": frame.height}
    np.testing.assert_array_equal(live.window(at(7200)), expected({"request_counts": frame}, made, at(7200)))


def test_a_block_at_another_time_replaces_the_old_one() -> None:
    made, frame = small(), blocks(600)
    live = filled(made, {"blocks": frame})
    live.window(at(7200))
    moved = frame.slice(590, 1).with_columns(
        pl.col("ts") + pl.duration(seconds=5), gas_used=pl.lit(29_999_999, pl.Int64)
    )
    live.append("blocks", moved)
    assert live.rows == {"blocks": 600}
    replaced = pl.concat([frame.head(590), moved.select(frame.columns), frame.tail(9)])
    np.testing.assert_array_equal(live.window(at(7200)), expected({"blocks": replaced}, made, at(7200)))


def test_a_block_that_breaks_the_order_of_the_others_changes_nothing() -> None:
    live = filled(small(), {"blocks": blocks(600)})
    before = live.window(at(7200))
    with pytest.raises(DataError, match="times that do not go back"):
        live.append("blocks", blocks(600).slice(300, 1).with_columns(pl.col("ts") + pl.duration(seconds=600)))
    assert live.rows == {"blocks": 600}
    np.testing.assert_array_equal(live.window(at(7200)), before)


@pytest.mark.parametrize(
    ("table", "frame", "match"),
    [
        ("tides", bars(1), "expected one of the tables"),
        ("bars", bars(2).drop("low"), "found no column low"),
        ("bars", bars(2).with_columns(low=pl.lit(None, pl.Float64)), "a value in every row in low; found row 0"),
        ("bars", bars(2).with_columns(pl.col("ts").dt.replace_time_zone(None)), "a naive one"),
    ],
)
def test_a_bad_frame_gives_one_message_and_changes_nothing(table: str, frame: pl.DataFrame, match: str) -> None:
    live = filled(small(), {"bars": bars(10)})
    with pytest.raises(DataError, match=match):
        live.append(table, frame)
    assert live.rows == {"bars": 10}
    assert live.newest == at(3000)


def test_newest_is_the_latest_time_at_which_a_row_was_known() -> None:
    live = LivePanel(small())
    assert live.newest is None
    live.append("bars", bars(2))
    assert live.newest == at(600)
    live.append("blocks", blocks(10))
    assert live.newest == at(600)
    live.append("request_counts", counts(900))
    assert live.newest == at(900)


def test_rows_that_feed_nothing_are_dropped() -> None:
    live = LivePanel(contract(["congestion"], ["congestion"]))
    live.append("bars", bars(5))
    live.append("blocks", blocks(5).with_columns(chain=pl.lit("other")))
    live.append("blocks", blocks(5))
    assert live.rows == {"blocks": 5}


def test_rows_older_than_any_later_window_needs_are_dropped() -> None:
    made = contract(["congestion"], ["congestion"], without=("log_base_fee_mean_288",))
    live = filled(made, {"blocks": blocks(20_000)})
    live.window(at(20_000 * 12))
    assert 6 * 3600 / 12 < live.rows["blocks"] < 11 * 3600 / 12  # 6 h of look-back and 3 h for the ticks themselves
    held = live.rows
    live.append("blocks", blocks(20_000).head(10))
    assert live.rows == held
    with pytest.raises(DataError, match="in the order of time"):
        live.window(at(1000 * 12))


def test_a_window_before_any_row_is_unknown_but_for_the_clock() -> None:
    made = small()
    window = LivePanel(made).window(at(3600))
    known = [name for name, column in zip(made.feature_names, window.T, strict=True) if np.isfinite(column).any()]
    assert known == [
        f.name
        for f in contract(["calendar", "congestion"], ["congestion"]).features
        if f.name[:3] in {"sin", "cos", "to_"}
    ]


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(DataError, match="time zone"):
        LivePanel(small()).window(datetime(2024, 1, 1))  # noqa: DTZ001


def test_counts_take_over_from_arrivals_that_came_first() -> None:
    made = contract(["demand"], ["demand"])
    arrivals = pl.DataFrame({"ts": counts(7200)["ts"].cast(pl.Datetime("us", "UTC")), "work": 1.0})
    live = filled(made, {"arrivals": arrivals})
    live.window(at(7200))
    live.append("request_counts", counts(7200))
    frames = {"arrivals": arrivals, "request_counts": counts(7200)}
    np.testing.assert_array_equal(live.window(at(7200)), expected(frames, made, at(7200)))
