"""The book of leveraged positions: who is liquidated, when, and what that does to the price."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from data.world.book import holdings, positions, trade
from data.world.constants import Book, Market
from data.world.desk import LONG, NEVER, SHORT, Desk, Holdings, Impact, run
from data.world.generate import generate
from data.world.market import Path
from data.world.noise import Chance, Clock

CLOCK = Clock(0, 5, 400)
QUICK = Book(depth_usd=1e6, spread_s=1e-3, lasting=1.0, spill=0.0)


def held(*rows: tuple[int, int, int, float, float]) -> Holdings:
    """Positions from (entered, leaves, side, notional, ln limit)."""
    entered, leaves, side, usd, limit = (np.array(column) for column in zip(*rows, strict=True))
    return Holdings(entered, leaves, side, usd.astype(float), np.zeros(len(rows)), limit.astype(float))


def nobody() -> Holdings:
    return held((0, 1, LONG, 1.0, -math.inf))


def falling(low: float, count: int = 10) -> np.ndarray:
    return np.linspace(0.0, low, count)


def test_a_long_is_liquidated_at_the_first_step_whose_price_is_at_its_limit() -> None:
    desk = Desk(falling(-0.09), held((0, 99, LONG, 100.0, -0.05)))
    sold = [desk.advance(step, 0.0) for step in range(10)]
    assert desk.forced.tolist() == [5]
    assert sold == [0.0] * 5 + [100.0] + [0.0] * 4


def test_a_short_is_bought_back_when_the_price_rises_to_its_limit() -> None:
    desk = Desk(-falling(-0.09), held((0, 99, SHORT, 100.0, 0.03)))
    assert [desk.advance(step, 0.0) for step in range(4)] == [0.0, 0.0, 0.0, -100.0]


def test_whoever_has_left_is_not_liquidated() -> None:
    desk = Desk(falling(-0.09), held((0, 4, LONG, 100.0, -0.05)))
    assert sum(desk.advance(step, 0.0) for step in range(10)) == 0.0
    assert desk.forced.tolist() == [NEVER]


def test_an_order_moves_the_price_from_the_next_step_in_proportion_to_its_size() -> None:
    impact = Impact(QUICK, 5)
    assert impact.step(20_000.0) == pytest.approx(-0.02)
    assert impact.step(-10_000.0) == pytest.approx(-0.01)


def test_what_does_not_last_recovers() -> None:
    impact = Impact(replace(QUICK, lasting=0.25, recovery_s=10.0), 5)
    shifts = [impact.step(usd) for usd in (20_000.0, *[0.0] * 200)]
    assert shifts[0] == pytest.approx(-0.02)
    assert shifts[1] == pytest.approx(-0.005 - 0.015 * math.exp(-0.5))
    assert shifts[-1] == pytest.approx(-0.005)


def test_one_liquidation_begets_the_next_only_through_its_impact() -> None:
    own = held((0, 99, LONG, 30_000.0, -0.02), (0, 99, LONG, 30_000.0, -0.04), (0, 99, LONG, 30_000.0, -0.2))
    path = np.concatenate([falling(-0.021, 3), np.full(7, -0.021)])
    for depth, expected in ((1e6, [2, 3, NEVER]), (1e9, [2, NEVER, NEVER])):
        desks = (Desk(path, own), Desk(np.zeros(10), nobody()))
        run(replace(QUICK, depth_usd=depth), desks, 5)
        assert desks[0].forced.tolist() == expected


def test_the_other_symbol_feels_a_share() -> None:
    own = held((0, 99, LONG, 30_000.0, -0.02))
    shifts = run(replace(QUICK, spill=0.4), (Desk(falling(-0.1), own), Desk(np.zeros(10), nobody())), 5)
    assert (shifts[0][-1], shifts[1][-1]) == pytest.approx((-0.03, -0.012))


def flat() -> Path:
    zeros = np.zeros(CLOCK.count)
    return Path(zeros, zeros, zeros, zeros)


def test_without_depth_the_path_is_left_as_it_is() -> None:
    path = flat()
    assert trade(Book(), Market(), path, CLOCK, Chance(1))[0] is path


def test_limits_lie_on_the_losing_side_at_the_margin_that_the_leverage_leaves() -> None:
    book = Book(leverages=(10.0,), leverage_shares=(1.0,))
    found = holdings(book, 0, np.zeros(CLOCK.count), CLOCK, Chance(1))
    room = np.exp(found.limit - found.entry) - 1
    assert room == pytest.approx(np.where(found.side == LONG, -0.095, 0.095))


def test_nobody_is_written_down_after_their_liquidation() -> None:
    tables = generate(2.0, seed=3)
    forced, book = tables["liquidations"], tables["positions"]
    assert forced.height > 10
    assert book["ts"].dt.minute().unique().to_list() == [0]
    prices = tables["bars"].select("symbol", ts=pl.col("ts") + pl.duration(minutes=5), price="close")
    late = book.join(prices, on=["symbol", "ts"]).with_columns(
        is_past=pl.when(pl.col("side") == "long")
        .then(pl.col("price") < 0.999 * pl.col("liquidation_price"))
        .otherwise(pl.col("price") > 1.001 * pl.col("liquidation_price"))
    )
    assert late.height > 10_000
    assert late["is_past"].sum() == 0


def test_the_book_is_written_down_with_those_who_are_in_it() -> None:
    own = held((0, 100, LONG, 10.0, -9.0), (5, 10_000, SHORT, 10.0, 9.0))
    desks = Desk(np.zeros(2000), own), Desk(np.zeros(2000), nobody())
    clock = Clock(0, 5, 2000)
    run(Book(), desks, 5)
    found = positions(replace(Book(), snapshot_s=300), (desks[0].ledger, desks[1].ledger), clock)
    eth = found.filter(pl.col("symbol") == "ETH-PERP")
    minutes = {
        account: own["ts"].dt.epoch("s").to_list()
        for (account,), own in eth.partition_by("account", as_dict=True).items()
    }
    assert minutes["0000000"] == [300]  # entered at 0 s, left at 500 s
    assert minutes["0000001"] == list(range(300, 10_000, 300))


def test_impacts_deepen_a_crash() -> None:
    from data.world.scenario import applied, merged, read

    shallow = read("flash-crash")
    deep = replace(shallow, world=merged(shallow.world, {"book": {"depth_usd": math.inf}}))
    low = []
    for scenario in (shallow, deep):
        bars = generate(1.0, 2, world=applied(scenario))["bars"]
        low.append(bars.filter(pl.col("symbol") == "ETH-PERP")["low"].min())
    assert low[0] < 0.995 * low[1]
