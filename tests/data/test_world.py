"""The simulated world: what it promises about its tables, whatever the seed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import UsageError
from data.history import History, write_table
from data.world.chain import next_base_fee
from data.world.generate import START, generate

Tables = dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def day() -> Tables:
    return generate(1.0, seed=5)


def test_equal_seeds_give_equal_tables_to_the_bit(day: Tables) -> None:
    again = generate(1.0, seed=5)
    assert all(again[name].equals(frame) for name, frame in day.items())


def test_other_seeds_give_other_tables(day: Tables) -> None:
    other = generate(1.0, seed=6)
    assert not any(other[name].equals(frame) for name, frame in day.items())


@pytest.mark.parametrize("name", ["bars", "blocks", "funding", "request_counts"])
def test_a_longer_world_begins_with_the_shorter_one(day: Tables, name: str) -> None:
    end = START + timedelta(days=1)
    longer = generate(1.5, seed=5)[name].filter(pl.col("ts") < end)
    assert longer.equals(day[name])


def test_every_table_is_canonical(day: Tables, tmp_path: Path) -> None:
    for name, frame in day.items():
        write_table(tmp_path, name, frame)
    history = History.open(tmp_path)
    assert history.tables == set(day)
    for name, frame in day.items():
        assert history.scan(name).select(frame.columns).collect().equals(frame)


def test_a_world_lasts_for_whole_bars_from_its_start() -> None:
    start = datetime(2023, 3, 5, 7, 55, tzinfo=UTC)
    tables = generate(1 / 24 + 0.001, seed=1, start=start)
    eth = tables["bars"].filter(pl.col("symbol") == "ETH-PERP")["ts"].to_list()
    assert eth == [start + timedelta(minutes=5 * bar) for bar in range(12)]
    assert tables["blocks"]["ts"][0] == start
    assert tables["funding"]["ts"].unique().to_list() == [datetime(2023, 3, 5, 8, tzinfo=UTC)]
    seconds = tables["request_counts"]["ts"].unique()
    assert (seconds.min(), seconds.max()) == (start, start + timedelta(seconds=3599))


def test_bars_join_without_a_gap(day: Tables) -> None:
    for symbol in ("ETH-PERP", "BTC-PERP"):
        bars = day["bars"].filter(pl.col("symbol") == symbol)
        assert bars["open"][1:].to_list() == bars["close"][:-1].to_list()


def test_base_fees_follow_the_recurrence_to_the_wei(day: Tables) -> None:
    blocks = day["blocks"]
    fees, used = blocks["base_fee_wei"].to_list(), blocks["gas_used"].to_list()
    assert fees[1:] == [next_base_fee(fee, gas, 30_000_000) for fee, gas in zip(fees[:-1], used[:-1], strict=True)]
    assert max(used) == 30_000_000


@pytest.mark.parametrize(
    ("gas_used", "after"),
    [(30_000_000, 112_500_000_000), (15_000_000, 100_000_000_000), (0, 87_500_000_000), (22_500_000, 106_250_000_000)],
)
def test_the_base_fee_moves_by_an_eighth_at_most(gas_used: int, after: int) -> None:
    assert next_base_fee(100_000_000_000, gas_used, 30_000_000) == after


@given(st.integers(1, 10**15), st.integers(0, 30_000_000))
def test_more_gas_never_lowers_the_next_base_fee(fee: int, gas: int) -> None:
    assert next_base_fee(fee, gas, 30_000_000) <= next_base_fee(fee, min(gas + 1000, 30_000_000), 30_000_000)


def test_a_tiny_base_fee_still_rises_by_one_wei() -> None:
    assert next_base_fee(7, 15_000_001, 30_000_000) == 8


def test_blocks_come_every_twelve_seconds_but_for_missed_slots(day: Tables) -> None:
    seconds = day["blocks"]["ts"].dt.epoch("s").to_numpy()
    gaps = np.diff(seconds)
    assert set((gaps % 12).tolist()) == {0}
    assert 0.97 < len(seconds) / 7200 < 1.0


def test_rows_of_request_counts_are_never_zero_and_name_all_tiers(day: Tables) -> None:
    counts = day["request_counts"]
    assert counts["count"].min() == 1
    assert counts["tier"].unique().sort().to_list() == ["bulk", "critical", "hedge", "maker", "taker"]


def test_progress_only_goes_forward_and_ends_at_one() -> None:
    shares: list[float] = []
    generate(0.1, seed=1, progress=lambda share, _what: shares.append(share))
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("days", [0.0, -1.0, 0.001, 1000.0, float("nan"), float("inf")])
def test_an_impossible_length_is_a_usage_error(days: float) -> None:
    with pytest.raises(UsageError, match="expected 5 minutes to 366 days"):
        generate(days, seed=1)


def test_a_negative_seed_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="seed: expected 0 or above; found -1"):
        generate(1.0, seed=-1)


@pytest.mark.parametrize("start", [datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 1, tzinfo=UTC)])  # noqa: DTZ001
def test_a_naive_start_or_one_off_the_grid_is_a_usage_error(start: datetime) -> None:
    with pytest.raises(UsageError, match="expected an aware time on the 5-minute grid"):
        generate(1.0, seed=1, start=start)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**40))
def test_any_seed_gives_prices_and_fees_within_reason(seed: int) -> None:
    tables = generate(0.25, seed=seed)
    bars = tables["bars"]
    assert bars.select((pl.col("high") / pl.col("low")).max()).item() < 1.6
    assert bars["volume"].min() > 0
    fees = tables["blocks"]["base_fee_wei"] / 1e9
    assert 0.5 < fees.min() < fees.max() < 5000
