import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.contract import Panel
from data.errors import DataError, UsageError
from data.features.registry import FAMILIES, columns_of, describe, evaluate, specs
from data.features.spec import rolling_mean, rolling_std
from data.history import History
from data.targets import TARGETS, describe_targets
from data.ticks import tick_columns, tick_table
from data.timeline import TICK
from tests.data.made import PANEL, START, at
from tests.data.made_tables import full_history

HOURLY = Panel(3600, "ethereum", PANEL.roles)  # 30 days are 720 ticks, so the longest look-back is quick to fill
HOURS = 900


def hourly(seed: int) -> pl.DataFrame:
    history = History.of(full_history(seed, HOURS, step_s=300, interval_s=900))
    return tick_table(history, HOURLY, START, at(HOURS * 3600))


@pytest.fixture(scope="module")
def ticks() -> pl.DataFrame:
    return hourly(1)


def everything(panel: Panel) -> list[str]:
    return [feature.name for feature in describe(list(FAMILIES), panel)]


def parkinson(high: float, low: float) -> float:
    return math.log(max(math.sqrt(math.log(high / low) ** 2 / (4 * math.log(2))), 1e-5))


def test_names_are_unique_and_every_column_is_a_tick_column() -> None:
    names = everything(PANEL)
    assert len(set(names)) == len(names)
    assert columns_of(specs(names, PANEL)) <= set(tick_columns(PANEL))


def test_a_family_is_described_once_and_in_the_order_asked() -> None:
    once = describe(["calendar", "demand"], PANEL)
    assert describe(["calendar", "demand", "calendar"], PANEL) == once
    assert once[0].name == "sin_of_hour"


def test_an_unknown_family_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="found tides"):
        describe(["tides"], PANEL)


def test_a_feature_that_no_family_has_is_named() -> None:
    with pytest.raises(DataError, match="found eth_magic"):
        specs(["eth_magic", "log_base_fee"], PANEL)


def test_an_unknown_target_is_a_usage_error_and_each_known_one_rests_on_features() -> None:
    with pytest.raises(UsageError, match="found weather"):
        describe_targets(["weather"], PANEL)
    with pytest.raises(UsageError, match="expected a role for volatility"):
        describe_targets(["volatility"], Panel(300, "ethereum", {}))
    names = set(everything(PANEL))
    for target in describe_targets(TARGETS, PANEL):
        assert {target.value, target.anchor, target.threshold, target.calm} - {None} <= names


def test_without_eth_the_first_role_is_the_market() -> None:
    panel = Panel(300, "ethereum", {"sol": ("SOL-PERP",), "btc": ("BTC-PERP",)})
    assert describe_targets(["volatility"], panel)[0].value == "btc_log_volatility"


@pytest.mark.parametrize("tick_s", [15, 300, 3600])
def test_durations_hold_at_any_tick(tick_s: int) -> None:
    panel = Panel(tick_s, "ethereum", PANEL.roles)
    reach = {spec.name: spec.lookback * tick_s for spec in specs(everything(panel), panel)}
    assert reach["eth_volatility_threshold"] == 30 * 86400
    assert reach["congestion_threshold"] == 6 * 3600
    assert reach["demand_threshold"] == 3600
    assert reach["log_demand_day_ago_gap"] == 86400 + tick_s


def test_volatility_is_the_log_of_parkinsons_and_never_below_its_floor(ticks: pl.DataFrame) -> None:
    flat = ticks.with_columns(
        pl.when(pl.int_range(pl.len()) == 5).then("eth_low").otherwise("eth_high").alias("eth_high")
    )
    found = evaluate(flat, ["eth_log_volatility"], HOURLY)["eth_log_volatility"]
    assert found[5] == math.log(1e-5)
    row = ticks.row(7, named=True)
    assert found[7] == pytest.approx(parkinson(row["eth_high"], row["eth_low"]), abs=1e-12)


def test_a_rolling_mean_skips_the_unknown_and_wants_a_quarter() -> None:
    frame = pl.DataFrame({"x": [1.0, None, None, None, None, None, 3.0, 5.0]})
    assert frame.select(rolling_mean(pl.col("x"), 8)).to_series().to_list()[-2:] == [2.0, 3.0]
    assert frame.select(rolling_mean(pl.col("x"), 4)).to_series().to_list()[3:6] == [1.0, None, None]


def test_a_rolling_deviation_is_that_of_the_population() -> None:
    frame = pl.DataFrame({"x": [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]})
    assert frame.select(rolling_std(pl.col("x"), 8)).to_series()[-1] == pytest.approx(2.0, abs=1e-9)


def test_the_clock_is_utc_and_counts_down_to_funding() -> None:
    frame = pl.DataFrame({TICK: [at(0), at(6 * 3600), at(8 * 3600 - 60), at(8 * 3600)]})
    found = evaluate(frame, ["sin_of_day", "cos_of_day", "to_funding_s"], PANEL)
    assert found["sin_of_day"].to_list()[:2] == pytest.approx([0.0, 1.0], abs=1e-12)
    assert found["cos_of_day"].to_list()[:2] == pytest.approx([1.0, 0.0], abs=1e-12)
    assert found["to_funding_s"].to_list() == [28800.0, 7200.0, 60.0, 28800.0]


def test_surge_levels_are_twice_and_one_and_a_half_times_the_median_fee(ticks: pl.DataFrame) -> None:
    found = evaluate(ticks, ["congestion_threshold", "congestion_calm", "congestion_gap", "log_base_fee"], HOURLY)
    row = 200
    fees = [math.exp(v) for v in ticks["log_base_fee"].slice(row - 5, 6).drop_nulls()]
    assert math.exp(found["congestion_threshold"][row]) == pytest.approx(2 * np.median(fees))
    assert math.exp(found["congestion_calm"][row]) == pytest.approx(1.5 * np.median(fees))


def test_the_jump_level_is_the_quantile_of_thirty_days(ticks: pl.DataFrame) -> None:
    names = ["eth_log_volatility", "eth_volatility_threshold"]
    found = evaluate(ticks, names, HOURLY)
    month = found["eth_log_volatility"].slice(800 - 719, 720).drop_nulls().to_numpy()
    assert found["eth_volatility_threshold"][800] == pytest.approx(np.quantile(month, 0.995), abs=1e-12)
    known = found["eth_log_volatility"].is_not_null().cum_sum()
    assert found["eth_volatility_threshold"].is_null().to_list() == (known < 72).to_list()  # 3 days of hours


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000), end=st.integers(760, HOURS - 1))
def test_each_feature_has_the_same_bits_over_the_tail_that_it_declares(seed: int, end: int) -> None:
    ticks = hourly(seed).head(end)
    whole = evaluate(ticks, everything(HOURLY), HOURLY)
    for spec in specs(everything(HOURLY), HOURLY):
        tail = evaluate(ticks.tail(spec.lookback), [spec.name], HOURLY)
        assert tail[spec.name][-1] == whole[spec.name][-1], spec.name


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 10_000), end=st.integers(310, 478))
def test_at_five_minutes_each_feature_of_a_day_or_less_has_the_same_bits_over_its_tail(seed: int, end: int) -> None:
    ticks = tick_table(History.of(full_history(seed, 40)), PANEL, START, at(end * 300))
    short = [spec for spec in specs(everything(PANEL), PANEL) if spec.lookback <= 300]
    whole = evaluate(ticks, [spec.name for spec in short], PANEL)
    unknown = [spec.name for spec in short if whole[spec.name].null_count() == end]
    assert unknown == ["log_next_block_fee", "log_next_block_fee_gap_day"]  # the one column that is never there
    for spec in short:
        tail = evaluate(ticks.tail(spec.lookback), [spec.name], PANEL)
        assert tail[spec.name][-1] == whole[spec.name][-1], spec.name


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000), place=st.integers(10, HOURS - 2))
def test_no_feature_sees_the_ticks_after_its_own(seed: int, place: int) -> None:
    ticks = hourly(seed)
    whole = evaluate(ticks, everything(HOURLY), HOURLY).head(place)
    assert evaluate(ticks.head(place), everything(HOURLY), HOURLY).equals(whole)


def test_the_rhythm_of_the_hour_announces_what_recurs_at_the_same_minute() -> None:
    panel = Panel(15, "ethereum", {})
    place = pl.int_range(0, 26 * 240, eager=True) % 240
    rate = pl.select(
        pl.when(place == 120).then(20.0).otherwise(10.0)
    ).to_series()  # twice the orders 30 min into each hour
    ticks = pl.DataFrame({TICK: [at(15 * step) for step in range(len(rate))], "order_rate": rate})
    found = evaluate(ticks, ["log_demand_hourly_0", "log_demand_hourly_60"], panel)
    now = 25 * 240 + 120
    above = math.log(2) - math.log(2) / 240
    assert found["log_demand_hourly_60"][now - 4] == pytest.approx(above, abs=1e-6)
    assert found["log_demand_hourly_60"][now] == pytest.approx(-math.log(2) / 240, abs=1e-6)
    assert found["log_demand_hourly_0"][now] == pytest.approx(above, abs=1e-6)
