from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shaper.fluid import pass_span
from shaper.observed import Observed
from shaper.replay.pipeline import Pipeline
from shaper.shadow import Shadow, pass_time, seen_by, set_units, shadow_of
from tests.shaper.ventures import POOL, one_tier, venue


def test_a_span_without_shortage_leaves_no_queue_and_loses_nobody() -> None:
    tiers = venue().by_priority
    assert pass_span(tiers, (0.0, 0.0, 0.0), 50.0, 50.0, 15.0) == ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


@given(st.tuples(*[st.floats(0, 500)] * 3), st.floats(0, 300), st.floats(0, 300), st.floats(0.1, 60))
def test_orders_are_served_or_wait_or_are_lost(
    queues: tuple[float, ...], rate: float, capacity: float, span: float
) -> None:
    after, lost = pass_span(venue().by_priority, queues, rate, capacity, span)
    served = sum(queues) + rate * span - sum(after) - sum(lost)
    assert min(after) >= 0
    assert min(lost) >= 0
    assert served <= capacity * span + 1e-6


def test_a_minute_of_shortage_costs_what_the_fluid_says() -> None:
    of = one_tier(0.01)
    shadow, cost = pass_time(of, Shadow(10, (), (0.0,)), 0.0, 60.0, 60.0)
    assert shadow.queues == (pytest.approx(600.0),)
    assert cost == pytest.approx(10 * 0.002 * 60 + 0.01 * 300 * 60)


def test_units_serve_from_their_arrival_on() -> None:
    of = one_tier(0.01)
    shadow, cost = pass_time(of, Shadow(10, ((30.0, 5),), (0.0,)), 0.0, 60.0, 60.0)
    assert shadow == Shadow(15, (), (0.0,))
    assert cost == pytest.approx(15 * 0.002 * 60 + 0.01 * (150 * 30 + 150 * 30))


@settings(max_examples=60)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(1, 3), st.sampled_from([0.0, 45.0]))
def test_a_shadow_changes_its_units_as_the_simulated_pool_does(wanted: list[int], step: int, cooldown: float) -> None:
    pool = replace(POOL, step_units=step, max_change_units=10, cooldown_s=cooldown)
    of, pipeline, shadow = replace(venue(), pool=pool), Pipeline(pool, 5.0, 20), Shadow(20, (), (0.0,) * 3)
    for review, units in enumerate(wanted):
        pipeline.land(review * 3)
        if review:
            shadow, _ = pass_time(of, shadow, review * 15.0 - 15.0, review * 15.0, 0.0)
        assert (shadow.ready, shadow.ordered) == (pipeline.ready, pipeline.ordered)
        pipeline.set(review * 3, units)
        shadow = set_units(pool, shadow, units, review * 15.0)
        assert shadow.ordered == pipeline.ordered


def test_a_shadow_begins_as_measured_and_is_seen_as_it_is() -> None:
    of = venue()
    observed = Observed(100.0, 50.0, (("maker", 7.0),), 10, 14, ((110.0, 3),), 20.0)
    shadow = shadow_of(of, observed)
    assert shadow == Shadow(10, ((110.0, 3), (130.0, 1)), (0.0, 7.0, 0.0), 80.0)
    seen = seen_by(of, replace(shadow, ready=12), observed)
    assert (seen.ready_units, seen.ordered_units, seen.queued_orders, seen.since_order_s) == (12, 16, 7.0, 20.0)
    assert np.isclose(seen.demand_per_s, 50.0)
