import math
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.contract import Panel
from data.errors import DataError
from data.history import History
from data.ticks import extent, tick_columns, tick_table
from data.ticks_blocks import next_base_fee_wei
from data.ticks_orders import by_second
from data.timeline import KNOWN_AT, TICK, LookAheadError, ceil_tick, floor_tick, grid, join_as_of, require_known
from tests.data.made import GWEI, PANEL, START, at, bars, blocks, counts, random_history, times


def table(frames: dict[str, pl.DataFrame], until_s: int, panel: Panel = PANEL, since_s: int = 300) -> pl.DataFrame:
    return tick_table(History.of(frames), panel, at(since_s), at(until_s + 1))


def test_the_grid_holds_labels_from_since_to_before_until() -> None:
    assert grid(at(1), at(900), 300)[TICK].to_list() == [at(300), at(600)]
    assert floor_tick(at(299.9), 300) == START
    assert ceil_tick(at(0.1), 300) == at(300)


def test_a_row_that_nobody_knew_raises_look_ahead() -> None:
    rows = pl.DataFrame({TICK: [at(300)], "ts": [at(299)], KNOWN_AT: [at(301)]})
    with pytest.raises(LookAheadError, match="known at"):
        require_known(rows)
    with pytest.raises(LookAheadError):
        require_known(rows.with_columns(pl.lit(at(300)).alias("ts"), pl.lit(at(300)).alias(KNOWN_AT)))


def test_an_as_of_join_takes_the_last_row_known_and_not_too_old() -> None:
    rows = pl.DataFrame({"ts": times([0, 300]), "value": [1, 2]}).with_columns(
        (pl.col("ts") + pl.duration(seconds=10)).alias(KNOWN_AT)
    )
    ticks = grid(at(0), at(601), 100)
    found = join_as_of(ticks, rows, pl.lit(250)).collect()["value"].to_list()
    assert found == [None, 1, 1, None, 2, 2, None]


def test_a_block_at_the_end_of_a_tick_belongs_to_the_next() -> None:
    frame = blocks(2, step_s=300)  # at 0 s and at 300 s
    assert table({"blocks": frame}, 600)["block_count"].to_list() == [1.0, 1.0]


def test_bars_of_a_minute_are_joined() -> None:
    minute = bars(10, 60)
    one = table({"bars": minute}, 600).row(0, named=True)
    first = minute.head(5)
    assert one["eth_open"] == first["open"][0]
    assert one["eth_close"] == first["close"][4]
    assert one["eth_high"] == first["high"].max()
    assert one["eth_low"] == first["low"].min()
    assert one["eth_volume"] == pytest.approx(sum(first["volume"]), abs=1e-4)


def test_a_tick_that_bars_do_not_cover_is_unknown() -> None:
    minute = bars(10, 60).filter(pl.int_range(10) != 7)
    assert table({"bars": minute}, 600)["eth_close"].is_null().to_list() == [False, True]


def test_a_bar_longer_than_the_tick_holds_until_the_next_would_close() -> None:
    panel = Panel(60, "ethereum", PANEL.roles)
    closes = tick_table(History.of({"bars": bars(1)}), panel, at(240), at(661))["eth_close"]
    assert closes.is_not_null().to_list() == [False, True, True, True, True, True, False, False]


def test_the_second_symbol_plays_a_role_where_the_first_is_unknown() -> None:
    perp, spot = bars(3).filter(pl.int_range(3) != 1), bars(3, symbol="ETH-SPOT")
    closes = table({"bars": pl.concat([perp, spot])}, 900)["eth_close"].to_list()
    assert closes == [perp["close"][0], spot["close"][1], perp["close"][1]]


def test_a_role_without_a_symbol_has_unknown_columns() -> None:
    found = table({"bars": bars(2)}, 600)
    assert found["btc_close"].null_count() == 2
    assert found.columns == [TICK, *tick_columns(PANEL)]


def test_the_base_fee_of_a_tick_is_the_mean_log_over_its_blocks() -> None:
    frame = blocks(50)
    found = table({"blocks": frame}, 600)
    fees = [math.log(wei / 1e9) for wei in frame["base_fee_wei"]]
    assert found["log_base_fee"][0] is None  # the table starts in it, so a block may be missing
    assert found["log_base_fee"][1] == pytest.approx(math.fsum(fees[25:50]) / 25, abs=1e-10)
    assert found["log_base_fee_last"][1] == pytest.approx(fees[49], abs=1e-12)
    used = frame["gas_used"].slice(25)
    assert found["utilisation"][1] == pytest.approx(used.sum() / (25 * 30_000_000), abs=1e-12)
    assert found["full_share"][1] == sum(gas >= 28_500_000 for gas in used) / 25
    assert found["block_count"].to_list() == [25.0, 25.0]


def test_a_hole_makes_the_tick_after_it_unknown_and_not_the_one_before() -> None:
    frame = blocks(75).filter(pl.int_range(75) != 50)  # the first block of the third tick
    found = table({"blocks": frame}, 900)
    assert found["log_base_fee"].is_null().to_list() == [True, False, True]
    assert found["log_next_base_fee"].null_count() == 0  # the last block of a tick is known whatever came before


def test_a_halt_of_the_chain_counts_as_a_hole() -> None:
    early = blocks(50)
    late = blocks(25, first_s=1500).with_columns(pl.col("number") + 50)
    found = table({"blocks": pl.concat([early, late])}, 1800)["log_base_fee"]
    assert found.is_null().to_list() == [True, False, True, True, True, True]


def test_a_tick_between_two_blocks_takes_the_last_one_while_it_is_young() -> None:
    panel = Panel(5, "ethereum", {})
    frame = blocks(2)  # at 0 s and 12 s
    found = tick_table(History.of({"blocks": frame}), panel, at(5), at(81))
    fee = math.log(frame["base_fee_wei"][1] / 1e9)
    assert found["log_base_fee_last"][3] == pytest.approx(fee)
    assert found["block_count"].to_list()[:4] == [1.0, 0.0, 1.0, 0.0]
    assert found.filter(pl.col("log_base_fee_last").is_null())[TICK][0] == at(75)  # 63 s after the block


@pytest.mark.parametrize(
    ("fee", "used", "limit", "following"),
    [
        (100 * GWEI, 15_000_000, 30_000_000, 100 * GWEI),
        (100 * GWEI, 30_000_000, 30_000_000, 112_500_000_000),
        (100 * GWEI, 0, 30_000_000, 87_500_000_000),
        (7, 15_000_001, 30_000_000, 8),  # at least 1 wei upwards
        (7, 0, 30_000_000, 7),  # 7 // 8 = 0 downwards
        (1_000_000 * GWEI, 30_000_000, 30_000_000, 1_125_000 * GWEI),  # past 63 bits on the way
    ],
)
def test_the_next_base_fee_is_that_of_eip_1559(fee: int, used: int, limit: int, following: int) -> None:
    assert next_base_fee_wei(np.array([fee]), np.array([used]), np.array([limit])).tolist() == [following]


@given(fee=st.integers(1, 2**58), limit=st.integers(1, 2**50), share=st.floats(0, 2))
def test_the_next_base_fee_is_exact_at_any_size(fee: int, limit: int, share: float) -> None:
    used, target = int(share * limit), max(limit // 2, 1)
    move = fee * abs(used - target) // target // 8
    following = fee + max(move, 1) if used > target else fee - move if used < target else fee
    assert next_base_fee_wei(np.array([fee]), np.array([used]), np.array([limit])).tolist() == [following]


def test_orders_per_second_are_summed_over_tiers() -> None:
    one = counts(600)
    tiers = pl.concat([one.with_columns(tier=pl.lit(name)) for name in ("maker", "taker")])
    found = table({"request_counts": tiers}, 600)["order_rate"].to_list()
    assert found == [2 * one["count"].head(300).sum() / 300, 2 * one["count"].tail(300).sum() / 300]


def test_arrivals_serve_where_there_are_no_counts() -> None:
    frame = pl.DataFrame({"ts": times([0.5, 0.6, 299.9, 300.0], "us"), "work": [1.0] * 4})
    assert table({"arrivals": frame}, 600)["order_rate"].to_list() == [3 / 300, 1 / 300]


def test_silence_of_a_busy_stream_is_an_outage_and_of_a_quiet_one_is_calm() -> None:
    silent = (pl.int_range(1800) >= 700) & (pl.int_range(1800) < 1500)
    for rate, expected in ((60.0, [False, False, True, True, True, False]), (5.0, [False] * 6)):
        frame = counts(1800, rate).with_columns(pl.when(silent).then(0).otherwise(pl.col("count")).alias("count"))
        left_out = frame.filter(~silent)
        for form in (frame, left_out):
            found = table({"request_counts": form}, 1800)["order_rate"]
            assert found.is_null().to_list() == expected, (rate, form.height)


def test_a_tick_half_of_which_is_known_is_known_by_its_known_half() -> None:
    frame = counts(600, 60.0).with_columns(pl.when(pl.int_range(600) >= 450).then(0).otherwise("count").alias("count"))
    found = table({"request_counts": frame}, 600)["order_rate"]
    assert found[1] == frame["count"].slice(300, 150).sum() / 150
    shorter = frame.with_columns(pl.when(pl.int_range(600) >= 449).then(0).otherwise("count").alias("count"))
    assert table({"request_counts": shorter}, 600)["order_rate"][1] is None


def test_a_column_that_no_role_has_is_refused() -> None:
    with pytest.raises(DataError, match="sol_close"):
        tick_table(History.of({"bars": bars(1)}), PANEL, at(0), at(300), ["sol_close"])


def test_the_extent_ends_with_the_last_tick_whose_end_was_reached() -> None:
    history = History.of({"bars": bars(3), "blocks": blocks(99)})  # bars until 900 s, blocks until 1176 s
    assert extent(history, PANEL, ["eth_close", "log_base_fee"]) == (at(300), at(1200))
    assert extent(history, PANEL, ["eth_close"]) == (at(300), at(1200))


def test_an_extent_without_a_table_is_refused() -> None:
    with pytest.raises(DataError, match="expected a table that feeds the features"):
        extent(History.of({"bars": bars(3)}), PANEL, ["log_base_fee"])


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), tick_s=st.sampled_from([15, 60, 300, 900]), start=st.integers(0, 6 * 3600))
def test_a_tail_has_the_bits_of_the_whole(seed: int, tick_s: int, start: int) -> None:
    panel = Panel(tick_s, "ethereum", PANEL.roles)
    history = History.of(random_history(seed, hours=8))
    whole = tick_table(history, panel, START, at(8 * 3600))
    tail = tick_table(history, panel, at(start), at(8 * 3600))
    assert tail.equals(whole.tail(tail.height))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), tick_s=st.sampled_from([15, 60, 300, 900]), ticks=st.integers(1, 20))
@example(seed=8, tick_s=15, ticks=1)  # one ulp: polars divides a column of one row by a constant differently
def test_no_tick_depends_on_rows_at_or_after_its_end(seed: int, tick_s: int, ticks: int) -> None:
    panel = Panel(tick_s, "ethereum", PANEL.roles)
    history, end = History.of(random_history(seed, hours=8)), at(3600 + ticks * tick_s)
    last = end + timedelta(seconds=tick_s)
    whole = tick_table(history, panel, START, at(8 * 3600)).filter(pl.col(TICK) <= end)
    cut = tick_table(history.before(end), panel, START, last).filter(pl.col(TICK) <= end)
    assert cut.equals(whole)


def test_the_order_and_chunks_of_rows_do_not_change_a_bit() -> None:
    from data.history import Memory

    frames = {name: History.of(random_history(3, 4)).scan(name).collect() for name in ("bars", "blocks")}
    whole = tick_table(Memory(frames), PANEL, START, at(4 * 3600))
    split = {name: pl.concat([f.head(7), f.slice(7, 100), f.slice(107)], rechunk=False) for name, f in frames.items()}
    assert tick_table(Memory(split), PANEL, START, at(4 * 3600)).equals(whole)
    assert np.isfinite(whole["log_base_fee"].drop_nulls().to_numpy()).all()


@given(gap=st.integers(1, 200), told_from=st.integers(0, 4000), tail=st.integers(1, 30))
@settings(deadline=None, max_examples=20)
def test_whether_the_collector_was_down_is_told_alike_from_any_second_on(gap: int, told_from: int, tail: int) -> None:
    second = np.concatenate([np.repeat(np.arange(3800), 25), 3800 + gap + np.arange(tail)])
    _, whole = by_second(second, None, 4100)
    _, found = by_second(second, None, 4100, told_from)
    np.testing.assert_array_equal(found[told_from:], whole[told_from:])
    assert np.isnan(whole[3800 : 3800 + gap]).all()
