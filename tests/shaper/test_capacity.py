import itertools
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaper.capacity import (
    newsvendor_level,
    newsvendor_units,
    reactive_units,
    shortage_cost_usd,
    tier_prices_usd,
    wanted_units,
)
from shaper.observed import Observed
from shaper.outlook import LEVELS, Work, chance_above
from shaper.venue import Venue
from tests.shaper.ventures import BULK, CRITICAL, MAKER, POOL, forecast, one_tier, venue


def calm(units: int = 100, demand_per_s: float = 100.0, at_s: float = 1000.0) -> Observed:
    return Observed(at_s, demand_per_s, (), units, units)


def test_one_tier_holds_the_critical_quantile_of_demand() -> None:
    of = replace(one_tier(0.0002), hedge_headroom=-1.0)
    level = newsvendor_level(shortage_cost_usd(of.tiers[0], of.lead_s), of.pool.capacity_cost_usd)
    assert level == pytest.approx(1 - 0.0004 / (0.0002 * 37.5), abs=1e-3)
    demand = forecast().quantile("demand", 67.5, level)
    assert demand is not None
    units = wanted_units(of, forecast(), calm(units=2)).units
    with_backlog = wanted_units(of, forecast(), calm(units=400)).units
    assert with_backlog == pytest.approx(np.exp(demand) / 5, abs=1.0)
    assert units > with_backlog


def test_a_unit_is_worth_its_cost_up_to_the_newsvendor_and_not_beyond_by_brute_force() -> None:
    of = venue()
    rng = np.random.Generator(np.random.PCG64(3))
    draws = np.exp(np.log(150) + 0.4 * rng.standard_normal(40_000))
    shares = np.cumsum([0.0, *(tier.demand_share for tier in of.by_priority)])
    prices = tier_prices_usd(of)

    def cost(units: int) -> float:
        short = [
            np.maximum(draws * b - np.maximum(units * 5.0, draws * a), 0).mean() for a, b in itertools.pairwise(shares)
        ]
        return units * 5.0 * of.pool.capacity_cost_usd + float(np.dot(prices, short))

    best = min(range(2, 400), key=cost)
    demand = tuple(float(np.exp(np.log(150) + 0.4 * NormalDist().inv_cdf(level))) for level in LEVELS)
    work = Work(67.5, demand, tuple(tuple(value * share for value in demand) for share in shares[1:]))
    assert newsvendor_units(of, work, prices) == pytest.approx(best, rel=0.03)
    assert cost(newsvendor_units(of, work, prices)) <= 1.01 * cost(best)


def test_no_unit_is_held_for_tiers_that_cost_less_than_capacity() -> None:
    cheap = replace(BULK, delay_cost_usd_per_s=0.0, reject_cost_usd=0.0, demand_share=1.0)
    assert newsvendor_units(Venue((cheap,), POOL), Work(67.5, (100.0,) * 14, ((100.0,) * 14,)), (0.0,)) == 2
    assert newsvendor_level(0.0, 1.0) == 0.0
    assert newsvendor_level(0.5, 1.0) == 0.0


def test_a_shortage_costs_the_waiting_and_beyond_the_deadline_the_rejection() -> None:
    assert shortage_cost_usd(replace(CRITICAL, deadline_s=100.0), 10.0) == pytest.approx(0.05 * 5)
    assert shortage_cost_usd(CRITICAL, 20.0) == pytest.approx(0.05 * 10 * 0.75 + 5.0 * 0.5)


def test_a_tier_served_earlier_is_priced_no_lower_than_a_later_one() -> None:
    tiers = (replace(BULK, priority=0), replace(CRITICAL, priority=1), replace(MAKER, priority=2))
    prices = tier_prices_usd(Venue(tiers, POOL))
    assert prices[0] == prices[1] > prices[2]


@given(st.floats(10, 1000), st.floats(0.01, 1.0), st.floats(1.0, 3.0))
def test_more_uncertainty_in_a_costly_venue_never_wants_fewer_units(median: float, spread: float, wider: float) -> None:
    seen = calm(400, median)
    narrow = wanted_units(venue(), forecast(median, spread), seen).units
    assert wanted_units(venue(), forecast(median, spread * wider), seen).units >= narrow


def test_the_chance_above_a_rate_is_linear_between_known_levels() -> None:
    curve = tuple(float(i) for i in range(14))
    assert chance_above(curve, -1.0) == 1.0
    assert chance_above(curve, 5.0) == pytest.approx(0.5)
    assert chance_above(curve, 5.5) == pytest.approx(0.45)
    assert chance_above(curve, 13.0) == 0.0


def test_a_standing_queue_wants_more_units_than_none() -> None:
    queue = Observed(1000.0, 100.0, (("bulk", 500.0),), 20, 20)
    assert wanted_units(venue(), forecast(), queue).units > wanted_units(venue(), forecast(), calm(20)).units


def test_a_queue_that_expires_before_units_arrive_wants_none_for_itself() -> None:
    of = one_tier(0.01)
    short = replace(of, tiers=(replace(of.tiers[0], deadline_s=5.0, reject_cost_usd=1.0),))
    queue = Observed(1000.0, 100.0, (("all", 1e6),), 20, 20)
    assert wanted_units(short, forecast(), queue).units < 60 < wanted_units(of, forecast(), queue).units


def test_units_that_an_earlier_lead_needs_are_kept() -> None:
    falling = replace(forecast(), quantiles=(tuple((5.0 - h / 10,) * 7 for h in range(20)),))
    need = wanted_units(venue(), falling, Observed(1000.0, 100.0, (), 40, 40))
    assert need.units == 30  # e^5 / 5, of the next 15 s
    assert need.held_for_s == 7.5
    assert wanted_units(venue(), falling, Observed(1000.0, 100.0, (), 25, 25)).units == 25


def test_no_plan_holds_less_than_the_demand_of_this_moment_with_the_hedge() -> None:
    hedged = replace(venue(), hedge_headroom=0.5)
    seen = Observed(1000.0, 110.0, (), 22, 22)
    assert wanted_units(hedged, forecast(100.0, 0.001), seen).units == 33
    assert wanted_units(venue(), forecast(100.0, 0.001), seen).units == 22


def test_demand_well_above_the_band_is_met_by_the_reactive_units_at_least() -> None:
    bold = replace(venue(), reactive_headroom=2.0)
    need = wanted_units(bold, forecast(100.0, 0.001), Observed(1000.0, 140.0, (), 22, 22))
    assert (need.units, need.fallback) == (84, None)
    assert need.outside == pytest.approx(1.4, rel=0.01)
    assert wanted_units(bold, forecast(100.0, 0.001), Observed(1000.0, 120.0, (), 22, 22)).units == 24


def test_a_pool_that_changes_slowly_starts_early() -> None:
    step = tuple((4.0 if h <= 10 else 6.0,) * 7 for h in range(1, 21))
    coming = replace(forecast(), quantiles=(step,))
    slow = replace(venue(), pool=replace(POOL, max_change_units=10))
    seen = Observed(1000.0, 54.0, (), 12, 12)
    assert wanted_units(venue(), coming, seen).units == 11
    assert wanted_units(slow, coming, seen).units == 81 - 6 * 10  # e^6 / 5 units are due in 157.5 s, six reviews later


def test_without_a_forecast_demand_with_headroom_and_the_queue_are_covered() -> None:
    of = replace(venue(), reactive_headroom=0.5, reactive_drain_s=10.0)
    assert reactive_units(of, 100.0, 0.0) == 30
    assert reactive_units(of, 100.0, 100.0) == 32


def test_staffing_by_regime_adds_what_randomness_of_arrivals_needs_and_only_where_the_forecast_is_sure() -> None:
    auto = replace(venue(), staffing="auto")
    sure, unsure = forecast(100.0, 0.02), forecast(100.0, 0.5)
    seen = Observed(1010.0, 100.0, (), 25, 25)
    assert wanted_units(auto, sure, seen).units > wanted_units(venue(), sure, seen).units
    assert wanted_units(auto, unsure, seen) == wanted_units(venue(), unsure, seen)
