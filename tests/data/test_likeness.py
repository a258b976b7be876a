"""Calibration to a history: what is read off is exact, what is inferred comes near."""

import math
from dataclasses import replace

import numpy as np
import pytest

from data.errors import DataError
from data.history import History
from data.world.constants import Chain, Market, Orders, OrderTier, World
from data.world.facts import measure
from data.world.generate import generate
from data.world.likeness import directly, like, missing, nudged, ratio, sample
from data.world.profiles import season


def quiet(_share: float, _what: str) -> None:
    """Nobody watches."""


def another() -> World:
    """A world far from the measured one: another market, a fast chain with large blocks, few orders."""
    tiers = tuple(replace(tier, rate_per_s=tier.rate_per_s / 4) for tier in Orders().tiers)
    return World(
        market=replace(Market(), start_usd=(50.0, 900.0), log_volatility=-5.5, btc_ratio=0.5),
        chain=replace(Chain(), gas_limit=36_000_000, slot_s=24, log_fee=1.0, first_number=7),
        orders=replace(Orders(), tiers=tiers),
    )


@pytest.fixture(scope="module")
def history() -> History:
    return History.of(generate(8.0, 5, world=another()))


def test_what_can_be_read_off_is_read_off(history: History) -> None:
    world = directly(World(), history)
    assert world.market.start_usd == (50.0, 900.0)
    assert (world.chain.gas_limit, world.chain.slot_s, world.chain.first_number) == (36_000_000, 24, 7)
    assert world.chain.missed == pytest.approx(Chain().missed, abs=0.005)
    assert world.market.volume_slope == pytest.approx(Market().volume_slope, abs=0.1)
    rates = {tier.name: tier.rate_per_s for tier in world.orders.tiers}
    assert rates["maker"] == pytest.approx(24.0 / 4, rel=0.4)


def test_a_calibrated_world_shows_the_facts_of_the_history(history: History) -> None:
    world = like(history, quiet)
    wanted, found = measure(history), measure(sample(world))
    for name, most in (("log_volatility", 0.15), ("correlation", 0.05), ("log_fee_sd", 0.15)):
        assert abs(missing(name, wanted, found)) < most
    for name, most in (("base_fee", 1.15), ("orders_per_s", 1.15), ("utilisation_sd", 1.1)):
        assert 1 / most < ratio(name, wanted, found, 1.0) < most


def test_calibration_is_reproducible(history: History) -> None:
    wanted, found = measure(history), measure(history)
    assert nudged(World(), wanted, found) == World()
    assert directly(World(), history) == directly(World(), history)


def test_what_a_history_cannot_tell_stays(history: History) -> None:
    only = History.of({"blocks": history.scan("blocks").collect()})
    world = like(only, quiet, rounds=1)
    assert (world.market, world.orders) == (Market(), Orders())
    assert world.chain.gas_limit == 36_000_000


def test_a_history_without_any_of_the_tables_is_an_error(history: History) -> None:
    with pytest.raises(DataError, match="expected a table bars, blocks or request_counts; found funding"):
        like(History.of({"funding": history.scan("funding").collect()}), quiet)


def test_a_season_is_the_mean_of_each_hour_less_the_mean_of_all() -> None:
    hours = np.arange(4 * 24, dtype=np.int64)
    found = season(hours * 3600, np.where(hours % 24 == 5, 24.0, 0.0), 24, 3600, 3)
    assert found[5] == 23.0
    assert math.isclose(sum(found), 0.0, abs_tol=1e-9)
    assert season(hours[:48] * 3600, np.ones(48), 24, 3600, 3) == ()


def test_tiers_of_other_names_leave_the_rates_to_be_inferred() -> None:
    world = replace(World(), orders=replace(Orders(), tiers=(OrderTier("all", 5.0, 0, 0, 0, 0, 0),)))
    history = History.of({"request_counts": generate(0.1, 1, world=world)["request_counts"]})
    assert directly(World(), history).orders == Orders()
