import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaper.observed import Observed
from shaper.outlook import outlook
from shaper.venue import DemandMap, Venue, VenueError
from tests.shaper.ventures import BULK, CRITICAL, LEVELS, MAKER, NODES, POOL, forecast, venue


def test_all_contradictions_are_named_at_once() -> None:
    with pytest.raises(VenueError) as caught:
        Venue((replace(CRITICAL, deadline_s=0.0), CRITICAL), replace(POOL, unit_rate_per_s=0.0), review_s=-1.0)
    message = str(caught.value)
    for part in (
        "unique tier names",
        "positive deadline_s",
        "sum to 1, found 0.2",
        "positive unit_rate_per_s",
        "positive review_s",
    ):
        assert part in message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tiers": ()}, "at least one tier"),
        (
            {"tiers": (replace(CRITICAL, floor_share=0.9), MAKER, replace(BULK, floor_share=0.2))},
            "at most 1, found 1.15",
        ),
        ({"tiers": (replace(CRITICAL, reject_cost_usd=-1.0), MAKER, BULK)}, "critical: expected costs of 0 or more"),
        ({"pool": replace(POOL, min_units=5, max_units=4)}, "min_units <= max_units"),
        ({"pool": replace(POOL, actuation_delay_s=math.nan)}, "delay, cooldown and cost"),
        ({"pool": replace(POOL, step_units=4, max_change_units=2)}, "step_units <= max_change_units"),
        ({"nodes": (NODES[0], NODES[0])}, "unique node names"),
        ({"nodes": (replace(NODES[0], capacity_per_s=0.0),)}, "node a: expected a positive capacity"),
        ({"nodes": NODES, "max_operator_share": 0.3}, "cannot be met by 3 operators"),
        ({"max_region_share": 0.0}, "max_region_share in"),
        ({"reactive_headroom": -2.0}, "headroom of -1 or more"),
        ({"persistence": 1.0}, "persistence in"),
        ({"shortage_s": 0.0}, "positive review_s, shortage_s"),
        ({"demand": DemandMap(coefficients=())}, "demand map with coefficients"),
    ],
)
def test_each_contradiction_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(VenueError, match=message):
        replace(venue(), **change)  # type: ignore[arg-type]


def test_tiers_of_one_class_are_served_by_what_their_waiting_costs() -> None:
    tiers = (replace(BULK, priority=0), replace(MAKER, priority=0), replace(CRITICAL, priority=0))
    assert [tier.name for tier in Venue(tiers, POOL).by_priority] == ["critical", "maker", "bulk"]
    later = (replace(tiers[0], priority=-1), *tiers[1:])
    assert [tier.name for tier in Venue(later, POOL).by_priority] == ["bulk", "critical", "maker"]


def test_units_cover_a_rate_within_range_and_step() -> None:
    assert POOL.units_for(50.0) == 10
    assert POOL.units_for(50.1) == 11
    assert POOL.units_for(0.0) == 2
    assert POOL.units_for(math.inf) == 400
    assert replace(POOL, step_units=4).units_for(50.1) == 14


def test_a_review_changes_no_more_than_the_limit_and_releases_nothing_while_cooling_down() -> None:
    pool = replace(POOL, max_change_units=3, cooldown_s=120.0)
    assert pool.reachable(10, 40) == 13
    assert pool.reachable(10, 2) == 7
    assert pool.reachable(10, 2, since_order_s=60.0) == 10
    assert pool.reachable(10, 2, since_order_s=120.0) == 7


@given(st.integers(0, 400), st.integers(-10, 1000), st.integers(1, 5), st.none() | st.integers(5, 50))
def test_what_is_reachable_is_in_range_and_within_the_limit(
    ordered: int, wanted: int, step: int, limit: int | None
) -> None:
    pool = replace(POOL, step_units=step, max_change_units=limit)
    units = pool.reachable(max(ordered, 2), wanted)
    assert 2 <= units <= 400
    assert limit is None or abs(units - max(ordered, 2)) <= limit


def test_the_demand_target_is_read_as_it_is() -> None:
    curve = DemandMap().curve(forecast(), 60.0, LEVELS)
    assert curve == tuple(math.exp(value) for value in forecast().quantiles[0][3])


def test_independent_targets_add_as_squares_about_the_median() -> None:
    two = replace(
        forecast(),
        targets=("volatility", "congestion"),
        levels=(0.25, 0.5, 0.75),
        quantiles=(((-3.0, 0.0, 3.0),) * 20, ((-4.0, 1.0, 4.0),) * 20),
        spike=((0.1,) * 20,) * 2,
    )
    curve = DemandMap(2.0, (("volatility", 1.0), ("congestion", 1.0))).curve(two, 60.0, (0.25, 0.5, 0.75))
    assert curve is not None
    assert [math.log(value) for value in curve] == pytest.approx([3 - math.sqrt(9 + 25), 3.0, 3 + math.sqrt(9 + 9)])


def test_a_falling_target_raises_demand_where_its_coefficient_is_negative() -> None:
    curve = DemandMap(0.0, (("demand", -1.0),)).curve(forecast(1.0, 1.0), 60.0, (0.25, 0.5, 0.75))
    assert curve is not None
    assert curve[0] < curve[1] < curve[2]
    assert curve[0] * curve[2] == pytest.approx(1.0)


def test_a_missing_target_or_a_lead_too_long_has_no_demand() -> None:
    assert DemandMap(0.0, (("volatility", 1.0),)).curve(forecast(), 60.0, LEVELS) is None
    assert DemandMap().curve(forecast(), 301.0, LEVELS) is None


def test_a_pool_whose_delay_varies_is_planned_at_a_quantile_of_it_and_reads_the_forecast_further_ahead() -> None:
    steady = venue(60.0)
    varying = replace(steady, pool=replace(steady.pool, delay_log_sd=0.3))
    assert steady.lead_s == 75.0
    assert varying.lead_s == pytest.approx(15 + 60 * math.exp(0.3 * 1.28155), rel=1e-4)
    assert outlook(varying, forecast(), Observed(1010.0, 100.0))[-1].lead_s > 80  # type: ignore[index]
    with pytest.raises(VenueError, match="delay_level"):
        replace(steady, pool=replace(steady.pool, delay_level=1.0))
