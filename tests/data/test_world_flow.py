"""Single orders: as many as were counted, each in its second, described as its tier is."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from data.errors import UsageError
from data.history import History
from data.world.constants import Tickets, World
from data.world.flow import single, write_orders
from data.world.generate import generate
from data.world.noise import Chance


@pytest.fixture(scope="module")
def counts() -> pl.DataFrame:
    return generate(1 / 24, 3)["request_counts"]


@pytest.fixture(scope="module")
def orders(counts: pl.DataFrame) -> pl.DataFrame:
    return single(Tickets(), counts, Chance(3).stream("orders"))


def test_orders_are_those_that_were_counted(counts: pl.DataFrame, orders: pl.DataFrame) -> None:
    again = orders.group_by(pl.col("ts").dt.truncate("1s").dt.cast_time_unit("ms"), "tier").agg(pl.len().alias("count"))
    again = again.select("ts", pl.col("count").cast(pl.Int64), "tier").sort("ts", "tier")
    assert again.equals(counts)


def test_orders_are_canonical_and_in_order(orders: pl.DataFrame) -> None:
    assert History.of({"orders": orders}).scan("orders").collect().equals(orders)
    assert orders["ts"].is_sorted()


def test_each_tier_is_described_as_it_is(orders: pl.DataFrame) -> None:
    for ticket in Tickets().kinds:
        own = orders.filter(pl.col("tier") == ticket.tier)
        assert own["value_usd"].median() == pytest.approx(ticket.value_usd, rel=0.15)
        assert own["deadline_s"].median() == pytest.approx(ticket.deadline_s, rel=0.05)
        assert own["work"].mean() == pytest.approx(ticket.work, rel=0.05)
        assert own["delta_usd"].null_count() == (own.height if ticket.delta_usd == 0 else 0)


def test_hedges_lose_on_either_side(orders: pl.DataFrame) -> None:
    hedges = orders.filter(pl.col("tier") == "hedge")
    assert 0.45 < (hedges["delta_usd"] > 0).mean() < 0.55
    assert hedges["gamma_usd"].min() > 0


def test_orders_are_written_by_day_and_read_back(tmp_path: Path) -> None:
    tables = generate(0.02, 3, start=datetime(2024, 1, 1, 23, 45, tzinfo=UTC))
    rows = write_orders(tmp_path, tables["request_counts"], World(), 3, lambda _share, _what: None)
    assert sorted(path.name for path in (tmp_path / "orders").iterdir()) == ["2024-01-01.parquet", "2024-01-02.parquet"]
    read = History.open(tmp_path).scan("orders").collect()
    assert read.height == rows == tables["request_counts"]["count"].sum()


def test_a_tier_without_a_ticket_is_refused(counts: pl.DataFrame) -> None:
    with pytest.raises(UsageError, match="a kind for the tier whale"):
        single(Tickets(), counts.with_columns(tier=pl.lit("whale")), Chance(1).stream("orders"))
