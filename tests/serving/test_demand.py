import math
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.demand import RecentOrders, mapped
from shaper.venue import DemandMap
from tests.serving.made import START, counts

START_S = START.timestamp()


def test_orders_are_counted_over_the_window() -> None:
    orders = RecentOrders(15.0)
    orders.take({"request_counts": counts(START, 60, per_s=48)})
    assert orders.rate(START_S + 60) == (48.0, START_S + 52.5)


def test_a_second_counts_once_it_is_over() -> None:
    orders = RecentOrders(10.0)
    orders.take({"request_counts": pl.concat([counts(START, 30, 20), counts(START + timedelta(seconds=30), 10, 40)])})
    assert orders.rate(START_S + 30) == (20.0, START_S + 25)
    assert orders.rate(START_S + 35) == (30.0, START_S + 30)


def test_rows_that_come_late_do_not_look_like_calm() -> None:
    orders = RecentOrders(15.0)
    orders.take({"request_counts": counts(START, 58, per_s=48)})
    assert orders.rate(START_S + 60) == (48.0, START_S + 50.5)


def test_a_window_without_rows_tells_nothing() -> None:
    orders = RecentOrders(15.0)
    assert orders.rate(START_S) is None
    orders.take({"request_counts": counts(START, 60)})
    assert orders.rate(START_S + 75) is None
    assert orders.rate(START_S + 74) is not None
    assert orders.rate(START_S + 75, max_age_s=60.0) == (48.0, START_S + 52.5)


@settings(deadline=None)
@given(st.integers(1, 59), st.permutations([0, 1, 2]))
def test_repeated_and_disordered_batches_count_once(cut: int, order: list[int]) -> None:
    whole = counts(START, 60)
    batches = [whole.head(2 * cut), whole.slice(2 * cut), whole]
    orders = RecentOrders(15.0)
    for index in order:
        orders.take({"request_counts": batches[index]})
    assert orders.rate(START_S + 60) == (48.0, START_S + 52.5)


def test_single_arrivals_are_counted_too() -> None:
    times = [START + timedelta(milliseconds=100 * i) for i in range(300)]
    arrivals = pl.DataFrame(
        {"ts": times, "tier": [None] * 300, "work": [1.0] * 300},
        schema={"ts": pl.Datetime("us", "UTC"), "tier": pl.String, "work": pl.Float64},
    )
    orders = RecentOrders(10.0)
    orders.take({"arrivals": arrivals})
    assert orders.rate(START_S + 30) == (pytest.approx(10.0, rel=0.02), pytest.approx(START_S + 25, abs=0.2))


def test_what_is_held_is_bounded() -> None:
    orders = RecentOrders(15.0)
    for minute in range(20):
        orders.take({"request_counts": counts(START + timedelta(minutes=minute), 60)})
    assert len(orders.counts["request_counts"]) <= 2 * 31


def test_targets_imply_demand_through_the_map() -> None:
    demand = DemandMap(1.0, (("volatility", 0.5), ("congestion", -2.0)))
    assert mapped(demand, {"volatility": 2.0, "congestion": 0.5}) == math.exp(1.0)
    assert mapped(demand, {"volatility": 2.0, "congestion": math.nan}) is None
    assert mapped(demand, {"volatility": 2.0}) is None
