"""Tick columns beyond prices, base fees and order rates, on numbers that can be checked by hand."""

import math
from itertools import pairwise

import polars as pl
import pytest

from data.contract import Panel
from data.features.registry import evaluate
from data.history import History
from data.ticks import tick_table
from data.timeline import TICK
from tests.data.made import PANEL, at, bars, blocks, times
from tests.data.made_tables import funding, mempool, open_interest

FULL, EMPTY = 30_000_000, 0


def table(frames: dict[str, pl.DataFrame], until_s: int, panel: Panel = PANEL) -> pl.DataFrame:
    return tick_table(History.of(frames), panel, at(300), at(until_s + 1))


def test_a_run_of_full_blocks_goes_on_across_ticks_and_ends_with_an_empty_one() -> None:
    used = [EMPTY] + [FULL] * 5 + [EMPTY] + [FULL] * 20
    frame = blocks(27, step_s=30).with_columns(gas_used=pl.Series(used))
    found = table({"blocks": frame}, 900)
    assert found["full_run_most"].to_list() == [5.0, 13.0, 16.0]  # 16 is the longest that is counted
    assert found["full_run"].to_list() == [3.0, 13.0, 16.0]


def test_a_pause_of_over_a_minute_breaks_a_run() -> None:
    frame = blocks(4, step_s=61).with_columns(gas_used=pl.lit(FULL, pl.Int64))
    assert table({"blocks": frame}, 300)["full_run"].to_list() == [1.0]


def test_the_path_of_the_base_fee_within_a_tick_is_told_by_its_extremes_its_spread_and_its_last_five_blocks() -> None:
    fees = [math.e, math.e, math.e**3, math.e**3, math.e**3, math.e**3, math.e**2]
    wei = [round(fee * 1e9) for fee in fees]
    frame = blocks(7, step_s=12).with_columns(base_fee_wei=pl.Series(wei), gas_used=pl.Series([EMPTY] * 3 + [FULL] * 4))
    found = table({"blocks": frame}, 300).row(0, named=True)
    assert found["base_fee_most"] == pytest.approx(3, abs=1e-8)
    assert found["base_fee_least"] == pytest.approx(1, abs=1e-8)
    assert found["base_fee_late"] == pytest.approx((4 * 3 + 2) / 5, abs=1e-8)
    assert found["base_fee_spread"] == pytest.approx(math.sqrt((2 * 1 + 4 * 9 + 4) / 7 - (16 / 7) ** 2), abs=1e-7)
    assert found["utilisation_late"] == pytest.approx(0.8)


def test_bids_are_mean_logs_and_unknown_ones_do_not_count() -> None:
    frame = blocks(3, step_s=12).with_columns(builder_bid_gwei=pl.Series([math.e, None, math.e**3]))
    found = table({"blocks": frame}, 300).row(0, named=True)
    assert found["log_bid"] == pytest.approx(2.0, abs=1e-9)
    assert found["log_bid_most"] == pytest.approx(3.0, abs=1e-12)
    assert found["tip_p50"] is None
    assert found["block_interval_mean_s"] == pytest.approx(12.0, abs=1e-9)


def test_a_sample_holds_until_it_is_too_old_and_one_at_the_end_of_a_tick_is_not_part_of_it() -> None:
    frame = mempool(2, 300).with_columns(times([0, 300]), pending_count=pl.Series([7, 9]))
    found = table({"mempool": frame}, 1500)
    assert found["mempool_pending_count"].to_list() == [7.0, 9.0, 9.0, None, None]


def test_the_hours_to_funding_follow_the_interval_of_the_last_two_payments() -> None:
    frame = funding(16, every_h=4).head(3).with_columns(times([0, 4 * 3600, 8 * 3600]))
    ticks = table({"funding": frame}, 10 * 3600)
    found = evaluate(ticks, ["eth_hours_to_funding", "eth_funding_bp"], PANEL)
    row = found.filter(pl.col(TICK) == at(9 * 3600)).row(0, named=True)
    assert row["eth_hours_to_funding"] == pytest.approx(3.0)
    assert row["eth_funding_bp"] == frame["rate"][2] * 1e4


def test_the_second_symbol_of_a_role_stands_in_for_the_first() -> None:
    other = open_interest(3, "ETH-SPOT").with_columns(times([0, 300, 600]), contracts=pl.lit(5.0))
    first = open_interest(1, "ETH-PERP").with_columns(contracts=pl.lit(3.0))
    found = table({"open_interest": pl.concat([first, other])}, 4500)["eth_open_interest"]
    assert found.to_list() == [3.0] * 11 + [5.0] * 2 + [None, None]


def test_tiers_share_the_orders_whose_tier_is_known() -> None:
    rows = {"ts": times([0, 0, 1, 2]), "count": [3, 5, 1, 10], "tier": ["critical", "taker", "other", None]}
    found = table({"request_counts": pl.DataFrame(rows)}, 300).row(0, named=True)
    assert found["order_share_critical"] == 3 / 9
    assert found["order_share_bulk"] == 0.0


def test_the_dispersion_of_counts_is_variance_over_mean() -> None:
    rows = pl.DataFrame({"ts": times(range(300)), "count": [1, 3] * 150})
    ticks = table({"request_counts": rows}, 300)
    found = evaluate(ticks, ["order_dispersion_1", "order_peak_ratio"], PANEL).row(0, named=True)
    assert found["order_dispersion_1"] == pytest.approx(math.log(1 / 2))
    assert found["order_peak_ratio"] == pytest.approx(math.log(4 / 3))


def test_notional_near_its_liquidation_is_summed_by_side_from_the_last_book() -> None:
    market = bars(1).with_columns(open=100.0, high=100.0, low=100.0, close=100.0)
    book = pl.DataFrame(
        {
            "symbol": ["ETH-PERP"] * 5,
            "ts": times([0, 60, 60, 60, 60]),
            "account": ["old", "a", "b", "c", "d"],
            "side": ["long", "long", "long", "short", "short"],
            "size": [99.0, 1.0, 2.0, 3.0, 4.0],
            "entry_price": [100.0] * 5,
            "liquidation_price": [99.5, 99.0, 94.0, 104.0, 150.0],
        }
    )
    found = table({"bars": market, "positions": book}, 300).row(0, named=True)
    assert [found[f"eth_long_{part}"] for part in ("notional", "within_1", "within_2", "within_10")] == [
        300,
        100,
        100,
        300,
    ]
    assert [found[f"eth_short_{part}"] for part in ("notional", "within_2", "within_5", "within_10")] == [
        700,
        0,
        300,
        300,
    ]
    assert table({"positions": book}, 300)["eth_long_notional"].to_list() == [None]  # there is no price to measure from


def test_realised_measures_are_those_of_their_papers() -> None:
    closes = [100.0, 101.0, 100.0, 103.0]
    frame = bars(4).with_columns(close=pl.Series(closes), open=100.0, high=104.0, low=99.0)
    names = ["eth_log_realised_3", "eth_log_rise_12", "eth_log_fall_12", "eth_fall_share_12", "eth_log_garman_klass_1",
             "eth_jump_share_12"]  # fmt: skip
    found = evaluate(table({"bars": frame}, 1200), names, PANEL).row(3, named=True)
    r = [100 * math.log(b / a) for a, b in pairwise(closes)]
    square = [x * x for x in r]
    assert found["eth_log_realised_3"] == pytest.approx(math.log(sum(square) / 3) / 2, abs=1e-9)
    assert found["eth_log_rise_12"] == pytest.approx(math.log((square[0] + square[2]) / 3) / 2, abs=1e-9)
    assert found["eth_fall_share_12"] == pytest.approx(square[1] / sum(square), abs=1e-9)
    width, body = 100 * math.log(104 / 99), 100 * math.log(1.03)
    assert found["eth_log_garman_klass_1"] == pytest.approx(
        math.log(width**2 / 2 - (2 * math.log(2) - 1) * body**2) / 2, abs=1e-9
    )
    bipower = math.pi / 2 * (abs(r[0] * r[1]) + abs(r[1] * r[2])) / 2
    assert found["eth_jump_share_12"] is None or found["eth_jump_share_12"] == pytest.approx(
        max(0.0, 1 - bipower / (sum(square) / 3)), abs=1e-9
    )
