import math
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.schemas import TABLES
from serving.demand import ORDER_TABLES, RecentOrders, counted, mapped
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


@settings(deadline=None)
@given(
    names=st.sampled_from(ORDER_TABLES),
    rows=st.lists(st.tuples(st.integers(0, 90), st.sampled_from([None, "maker"])), min_size=1),
)
def test_orders_are_known_when_their_table_says(names: str, rows: list[tuple[int, str | None]]) -> None:
    ts = [START + timedelta(seconds=second) for second, _ in rows]
    columns = {"ts": ts, "tier": [tier for _, tier in rows], "count": [2] * len(rows), "work": [1.0] * len(rows)}
    dtypes = TABLES[names].dtypes
    frame = pl.DataFrame({name: pl.Series(columns[name], dtype=dtype) for name, dtype in dtypes.items()})
    found = counted(names, frame, 30.0)
    newest = max(second for second, _ in rows)
    kept = frame.filter(pl.col("ts") >= START + timedelta(seconds=newest - 30))
    assert {known for known, _ in found.values()} == {
        at.timestamp() for at in kept.select(TABLES[names].known_at).to_series()
    }
    assert sum(orders for _, orders in found.values()) == kept.height * (2 if names == "request_counts" else 1)
