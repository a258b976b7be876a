from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shaper.replay.clairvoyant import optimum
from shaper.replay.course import Circumstances, price, simulate
from shaper.replay.policies import Reactive, ReactiveSettings, Static
from shaper.venue import Venue
from tests.shaper.ventures import one_tier, trace_of, venue


def cost(of: Venue, rates: np.ndarray, units: int) -> float:
    given_circumstances = Circumstances(of, 15.0, 5.0, 0.0, 0, units, float(rates[0]))
    trace = trace_of(rates, of)
    return price(given_circumstances, trace, simulate(given_circumstances, trace, Static(units))).total


def test_constant_demand_is_met_by_just_enough_units() -> None:
    best = optimum(venue(), trace_of(np.full(60, 100.0), venue()))
    assert best.price.total == pytest.approx(20 * 300 * 0.002)
    assert best.ready.tolist() == pytest.approx([20.0] * 60)
    assert best.given_up.sum() == pytest.approx(0.0)


def test_units_for_a_surge_are_paid_from_a_delay_before_it() -> None:
    rates = np.full(60, 50.0)
    rates[30:33] = 100.0
    of = one_tier(1.0)
    of = replace(of, tiers=(replace(of.tiers[0], reject_cost_usd=100.0),))
    best = optimum(of, trace_of(rates, of))
    assert best.price.total == pytest.approx((10 * 300 + 10 * (60 + 15)) * 0.002)
    assert best.ordered.tolist() == pytest.approx([10.0] * 18 + [20.0] * 15 + [10.0] * 27)


def test_a_surge_that_costs_less_to_reject_than_to_serve_is_rejected() -> None:
    free = replace(one_tier(1e-9), pool=replace(venue().pool, min_units=0))
    best = optimum(free, trace_of(np.full(12, 50.0), free))
    assert best.price.total == pytest.approx(0.0, abs=1e-4)


def test_a_pool_that_changes_slowly_costs_no_less() -> None:
    rates = np.full(90, 20.0)
    rates[45:60] = 200.0
    slow = replace(venue(), pool=replace(venue().pool, max_change_units=2))
    assert (
        optimum(slow, trace_of(rates, slow)).price.total > optimum(venue(), trace_of(rates, venue())).price.total * 1.05
    )


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 15.0, 40.0, 60.0]),
    st.integers(2, 60),
    st.sampled_from([None, 5]),
    st.sampled_from([150.0, 3600.0]),
)
def test_no_policy_costs_less_than_the_clairvoyant(
    seed: int, delay_s: float, units: int, change: int | None, chunk_s: float
) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    rates = np.exp(np.log(60) + np.cumsum(rng.normal(0, 0.15, 90)))
    base = venue(delay_s)
    of = replace(base, pool=replace(base.pool, max_change_units=change))
    bound = optimum(of, trace_of(rates, of), chunk_s).price.total
    assert bound <= cost(of, rates, units) + 1e-6
    given_circumstances = Circumstances(of, 15.0, 5.0, 0.5, seed, units, float(rates[0]))
    reactive = simulate(given_circumstances, trace_of(rates, of), Reactive(of, ReactiveSettings(0.2, 15.0, 60.0, 60.0)))
    assert bound <= price(given_circumstances, trace_of(rates, of), reactive).total + 1e-6


def test_shorter_chunks_only_lower_the_bound() -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    trace = trace_of(np.exp(np.log(60) + 0.5 * np.sin(np.arange(240) / 20) + rng.normal(0, 0.2, 240)), venue())
    assert optimum(venue(), trace, 300.0).price.total <= optimum(venue(), trace, 1200.0).price.total + 1e-6
