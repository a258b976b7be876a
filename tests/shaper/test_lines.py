"""How long lines are: what can still be served while waiting is worth it, and a bridge over chance."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaper.lines import line_orders, most_waiting, worth_s
from shaper.observed import Observed
from shaper.plan import plan
from shaper.venue import Pool, Tier, Venue
from tests.shaper.ventures import BULK, CRITICAL, venue

ONE = Tier("all", 0, 0.01, 0.2, 60.0, 0.0, 1.0)  # worth 20 s of waiting
FIXED = Venue((ONE,), Pool("fixed", 1.0, 10, 10, 15.0, 0.002), review_s=5.0)


def bridge(rate_per_s: float, asked_per_s: float = 0.0) -> float:
    even, excess = math.sqrt(2 * rate_per_s * 20.0), math.log(max(asked_per_s / rate_per_s, 1.0))
    return 2 * math.log(1 + even * excess / 2) / excess if excess else even


def test_an_order_is_worth_waiting_for_until_that_costs_its_rejection_or_its_deadline_comes() -> None:
    assert worth_s(ONE) == pytest.approx(20.0)
    assert worth_s(CRITICAL) == 10.0
    assert worth_s(replace(BULK, delay_cost_usd_per_s=0.0)) == 120.0


def test_where_capacity_is_fixed_and_full_a_line_only_bridges_chance() -> None:
    assert line_orders(FIXED, Observed(0.0, 30.0, (("all", 50.0),), 10, 10)) == pytest.approx((bridge(10.0, 30.0),))


@pytest.mark.parametrize("load", [1.1, 1.5, 2.0, 4.0])
def test_a_bridge_is_nearly_the_line_that_costs_least_by_the_law_of_m_m_1_n(load: float) -> None:
    def cost(n: int) -> float:  # of waiting and of the time that nothing is served, in seconds of waiting
        chances = [load**k for k in range(n + 1)]
        return (sum(k * chance for k, chance in enumerate(chances)) + 10.0 * 20.0 * chances[0]) / sum(chances)

    shown = line_orders(FIXED, Observed(0.0, 10.0 * load, (), 10, 10))[0]
    best = min(range(1, 80), key=cost)
    assert cost(round(shown)) < 1.1 * cost(best)
    assert shown < bridge(10.0)


def test_free_capacity_works_a_line_off_while_its_orders_are_worth_it() -> None:
    assert line_orders(FIXED, Observed(0.0, 6.0, (), 10, 10)) == pytest.approx((4.0 * 20 + bridge(6.0),))


def test_units_on_their_way_and_those_that_can_be_ordered_lengthen_lines_from_their_arrival_on() -> None:
    growing = replace(FIXED, pool=replace(FIXED.pool, max_units=100), reactive_headroom=0.0, reactive_drain_s=1e9)
    at_once = line_orders(growing, Observed(0.0, 20.0, (), 10, 40, ((0.0, 30),)))
    later = line_orders(growing, Observed(0.0, 20.0, (), 10, 40, ((15.0, 30),)))
    assert at_once == pytest.approx((20.0 * 20 + bridge(20.0),))
    assert later == pytest.approx((20.0 * 5 + bridge(10.0, 20.0),))
    drained = replace(
        growing, reactive_drain_s=10.0
    )  # 200 orders in 10 s: 20 more units than demand wants, from 20 s on
    assert line_orders(replace(drained, review_s=1.0), Observed(0.0, 20.0, (("all", 200.0),), 10, 10)) == pytest.approx(
        (20.0 * 4 + bridge(10.0, 20.0),)
    )


def test_a_tier_that_more_urgent_ones_starve_keeps_the_line_of_its_floor() -> None:
    first, last = replace(ONE, name="first", demand_share=0.5), replace(ONE, name="last", priority=1, demand_share=0.5)
    of = replace(FIXED, tiers=(first, replace(last, floor_share=0.2)))
    assert line_orders(of, Observed(0.0, 40.0, (), 10, 10)) == pytest.approx((bridge(10.0, 20.0), bridge(2.0, 20.0)))


def test_a_plan_says_how_many_orders_of_a_tier_may_wait_in_whole_orders_and_at_least_one() -> None:
    seen = Observed(0.0, 30.0, (("all", 50.0),), 10, 10)
    assert [setting.most_waiting for setting in plan(FIXED, None, seen).quotas] == [int(bridge(10.0, 30.0))] == [4]
    assert most_waiting(FIXED, Observed(0.0, 30.0, (), 0, 0)) == (1,)


@given(st.floats(0, 500), st.integers(0, 100), st.integers(0, 100), st.floats(0, 1000))
def test_lines_are_finite_and_grow_with_ready_units(demand_per_s: float, ready: int, more: int, queued: float) -> None:
    def of(units: int) -> tuple[float, ...]:
        return line_orders(venue(), Observed(0.0, demand_per_s, (("bulk", queued),), units, units))

    for few, many in zip(of(ready), of(ready + more), strict=True):
        assert 0 <= few <= many + 1e-6 < math.inf
