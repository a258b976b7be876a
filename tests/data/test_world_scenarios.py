"""Scenarios: each file says what it does, and does what it says."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import UsageError
from data.history import write_table
from data.schemas import TABLES
from data.world.constants import World
from data.world.episodes import Episode
from data.world.generate import START, generate
from data.world.noise import Chance, Clock
from data.world.scenario import applied, names, read
from data.world.script import Occasion, shape, write

DAYS = 1.0
CLOCK = Clock(int(START.timestamp()), 5, int(DAYS * 17_280))
Tables = dict[str, pl.DataFrame]


def occasions(name: str, seed: int = 1) -> tuple[Occasion, ...]:
    return write(applied(read(name)).episodes, CLOCK, Chance(seed)).occasions


def tables(name: str, seed: int = 1) -> Tables:
    return generate(DAYS, seed, world=applied(read(name)))


def per_second(tables: Tables) -> pl.DataFrame:
    sums = tables["request_counts"].group_by("ts").agg(pl.col("count").sum()).sort("ts")
    return sums.with_columns(at=pl.col("ts").dt.epoch("s") - CLOCK.start_s)


def between(frame: pl.DataFrame, first_s: float, last_s: float) -> pl.DataFrame:
    start = START + timedelta(seconds=first_s)
    return frame.filter((pl.col("ts") >= start) & (pl.col("ts") < START + timedelta(seconds=last_s)))


def eth(tables: Tables) -> pl.DataFrame:
    return tables["bars"].filter(pl.col("symbol") == "ETH-PERP")


def test_the_scenarios_that_were_promised_are_there() -> None:
    assert names() == (
        *("market", "brownout", "calm", "feed-outage", "flash-crash", "gas-war", "regime-shift"),
        *("systemic-liquidation", "volatility-without-surge"),
    )


def test_the_market_is_the_measured_world() -> None:
    assert applied(read("market")) == World()


@pytest.mark.parametrize("name", names())
def test_every_scenario_has_a_summary_and_gives_canonical_tables(name: str, tmp_path: Path) -> None:
    assert read(name).summary.endswith(".")
    for table, frame in generate(0.3, 4, world=applied(read(name))).items():
        write_table(tmp_path, table, frame)


@pytest.mark.parametrize("name", ["systemic-liquidation", "brownout"])
def test_scenarios_are_reproducible_and_more_days_only_append(name: str) -> None:
    world = applied(read(name))
    day, again, longer = generate(0.5, 9, world=world), generate(0.5, 9, world=world), generate(0.7, 9, world=world)
    for table, frame in day.items():
        assert frame.equals(again[table])
        assert frame.equals(longer[table].filter(pl.col("ts") < START + timedelta(days=0.5)))


def test_a_systemic_liquidation_multiplies_orders_within_seconds_for_twelve_minutes() -> None:
    for seed in (1, 2, 3):
        (one,) = occasions("systemic-liquidation", seed)
        orders = per_second(tables("systemic-liquidation", seed))
        calm = orders.filter(pl.col("at").is_between(one.start_s - 1800, one.start_s - 60))["count"].median()
        storm = orders.filter(pl.col("at").is_between(one.start_s + 15, one.start_s + 640))["count"] / calm
        assert 10 < storm.mean() < 50
        first = orders.filter((pl.col("at") >= one.start_s - 1) & (pl.col("count") > 10 * calm))["at"].min()
        assert first - one.start_s < 10
        over = orders.filter((pl.col("at") > one.start_s) & (pl.col("count") > 8 * calm)).height
        assert 600 < over < 900


def test_a_flash_crash_falls_by_a_twentieth_at_least_and_comes_back_in_part() -> None:
    (one,) = occasions("flash-crash")
    bars = eth(tables("flash-crash"))
    before = between(bars, one.start_s - 600, one.start_s - 300)["close"][0]
    low = between(bars, one.start_s - 300, one.start_s + 900)["low"].min()
    after = between(bars, one.start_s + 2100, one.start_s + 2400)["close"][0]
    assert low < 0.95 * before
    assert low < after < before


def test_a_gas_war_has_no_cause_in_the_market() -> None:
    found = tables("gas-war")
    calm = eth(tables("market"))
    assert eth(found)["high"].equals(calm["high"])
    fee = found["blocks"].with_columns(fee=pl.col("base_fee_wei") / 1e9)
    for one in occasions("gas-war"):
        before = between(fee, one.start_s - 1800, one.start_s)["fee"].mean()
        during = between(fee, one.start_s + 300, one.start_s + 900)["fee"].mean()
        assert during > 1.8 * before


def test_volatility_without_surge_leaves_fees_and_orders_alone() -> None:
    found = tables("volatility-without-surge")
    log_range = eth(found).with_columns(range=(pl.col("high") / pl.col("low")).log())
    fee = found["blocks"].with_columns(fee=pl.col("base_fee_wei") / 1e9)
    orders = per_second(found)
    for one in (one for one in occasions("volatility-without-surge") if one.start_s < 75_000):
        first, last = one.start_s + 300, one.start_s + 3900
        assert between(log_range, first, last)["range"].median() > 2.5 * log_range["range"].median()
        assert between(fee, first, last)["fee"].mean() < 1.5 * fee["fee"].median()
        assert between(orders, first, last)["count"].median() < 1.5 * orders["count"].median()


def test_a_brownout_takes_the_cheapest_chain() -> None:
    nodes = tables("brownout")["nodes"]
    cost = nodes.group_by("chain").agg(pl.col("fee_usd").mean()).sort("fee_usd")
    episode = applied(read("brownout")).episodes[0]
    assert cost["chain"][0] == episode.chain
    (one, *_) = occasions("brownout")
    hit = between(nodes, one.start_s + 180, one.start_s + 2400)
    usual = nodes.group_by("chain").agg(pl.col("capacity_per_s").median(), pl.col("latency_s").median()).sort("chain")
    then = hit.group_by("chain").agg(pl.col("capacity_per_s").median(), pl.col("latency_s").median()).sort("chain")
    for chain, share in zip(usual["chain"], then["capacity_per_s"] / usual["capacity_per_s"], strict=True):
        assert share < 0.4 if chain == episode.chain else share > 0.5
    assert hit.filter(pl.col("chain") == episode.chain)["up"].min() == 0


def test_feeds_fall_silent_in_the_midst_of_the_surge_and_the_own_count_goes_on() -> None:
    (one,) = occasions("feed-outage")
    found = tables("feed-outage")
    first, last = one.silence_s
    for table in ("bars", "blocks", "mempool", "nodes"):
        assert between(found[table], first, last).is_empty()
        assert not between(found[table], first - 900, first).is_empty()
    orders = per_second(found)
    assert between(orders, first, last).height == 600
    assert between(orders, first, last)["count"].mean() > 3 * orders["count"].median()


def test_a_regime_shift_stays() -> None:
    world = applied(read("regime-shift"))
    found = generate(5.0, 1, world=world)
    log_range = eth(found).with_columns(size=(pl.col("high") / pl.col("low")).log())
    (one,) = write(world.episodes, Clock(CLOCK.start_s, 5, 5 * 17_280), Chance(1)).occasions
    halves = between(log_range, 0, one.start_s), between(log_range, one.start_s + 3600, 432_000)
    assert halves[1]["size"].median() > 1.4 * halves[0]["size"].median()


def test_calm_is_calm() -> None:
    found, market = tables("calm"), tables("market")
    assert found["blocks"]["base_fee_wei"].max() < market["blocks"]["base_fee_wei"].max()
    orders = per_second(found)["count"]
    assert orders.quantile(0.999) < 4 * orders.median()


def test_a_shape_rises_holds_and_fades() -> None:
    one = Occasion(Episode(first_h=0.0, rise_s=10.0, hold_s=10.0, fade_s=20.0), 0.0, 1.0)
    assert shape(one, Clock(0, 5, 9)) == pytest.approx([0.5, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0])


def test_a_move_is_made_in_the_rise_and_rebounds_in_the_fade() -> None:
    episode = Episode(first_h=0.0, rise_s=10.0, hold_s=0.0, fade_s=20.0, move=-0.1, rebound=0.5)
    script = write((episode,), Clock(0, 5, 10), Chance(1))
    assert np.cumsum(script.move) == pytest.approx([-0.05, -0.1, -0.0875, -0.075, -0.0625] + [-0.05] * 5)


def test_episodes_come_again_within_their_jitter() -> None:
    episode = Episode(first_h=1.0, every_h=6.0, jitter_h=2.0)
    starts = [one.start_s / 3600 for one in write((episode,), CLOCK, Chance(1)).occasions]
    assert [int((start - 1) // 6) for start in starts] == [0, 1, 2, 3]
    assert all((start - 1) % 6 < 2 for start in starts)
    assert len({round(start % 6, 6) for start in starts}) == 4


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ("volatilty = 1.0", "unknown episodes.volatilty"),
        ("rise_s = 0", "rise_s above 0"),
        ("rebound = 2.0", "share rebound of 0 to 1"),
        ("every_h = 1.0\njitter_h = 2.0", "jitter_h below every_h"),
        ('move = "down"', "move"),
    ],
)
def test_a_scenario_of_ones_own_is_read_strictly(keys: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'summary = "Mine."\n[[world.episodes]]\nfirst_h = 1.0\n{keys}\n', "utf-8")
    with pytest.raises(UsageError, match=named):
        applied(read(str(path)))


def test_a_scenario_of_ones_own_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('summary = "Mine."\n[world.chain]\nslow = {deviation = 0.1}\n', "utf-8")
    world = applied(read(str(path)))
    assert world.chain.slow.deviation == 0.1
    assert world.chain.slow.memory_s == World().chain.slow.memory_s
    assert world.market == World().market


def test_an_unknown_scenario_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="expected one of market, brownout"):
        read("apocalypse")


def test_silent_tables_are_canonical() -> None:
    assert {table for name in names() for one in applied(read(name)).episodes for table in one.silent} <= set(TABLES)
    assert datetime.fromtimestamp(CLOCK.start_s, UTC) == START
    assert math.isinf(applied(read("regime-shift")).episodes[0].hold_s)
