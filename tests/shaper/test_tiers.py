from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaper.tiers import PARTS, largest_remainder, share_capacity
from shaper.venue import Venue
from tests.shaper.ventures import BULK, CRITICAL, MAKER, POOL, venue


def parts(
    capacity: float, demand: float, queued: dict[str, float] | None = None, of: Venue | None = None
) -> dict[str, int]:
    return {share.tier.name: share.parts for share in share_capacity(of or venue(), capacity, demand, queued or {})}


@given(
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.dictionaries(st.sampled_from(["critical", "maker", "bulk"]), st.floats(0, 1e6)),
)
def test_shares_sum_exactly_and_no_tier_is_below_its_floor(
    capacity: float, demand: float, queued: dict[str, float]
) -> None:
    found = parts(capacity, demand, queued)
    assert sum(found.values()) == PARTS
    assert all(found[tier.name] >= tier.floor_share * PARTS - 1 for tier in venue().tiers)


def test_enough_capacity_gives_every_tier_its_need_and_headroom_by_demand() -> None:
    assert parts(200.0, 100.0) == {"critical": 1450, "maker": 5700, "bulk": 2850}


def test_under_shortage_the_most_urgent_tiers_are_filled_first() -> None:
    assert parts(100.0, 150.0) == {"critical": 1500, "maker": 8000, "bulk": 500}


def test_a_queue_is_need_of_its_tier() -> None:
    assert parts(100.0, 100.0, {"critical": 150.0}) == {"critical": 2000, "maker": 6000, "bulk": 2000}


def test_without_demand_shares_are_floors_and_headroom() -> None:
    assert parts(100.0, 0.0) == {"critical": 1800, "maker": 5300, "bulk": 2900}


def test_floors_that_take_all_leave_nothing_to_urgency() -> None:
    tiers = (replace(CRITICAL, floor_share=0.2), replace(MAKER, floor_share=0.3), replace(BULK, floor_share=0.5))
    assert parts(1.0, 100.0, of=Venue(tiers, POOL)) == {"critical": 2000, "maker": 3000, "bulk": 5000}


@given(
    st.lists(st.floats(0, 1e9, allow_subnormal=False), min_size=1, max_size=12).filter(lambda w: sum(w) > 0),
    st.integers(0, 10_000),
)
def test_the_largest_remainder_is_exact_and_near_proportion(weights: list[float], total: int) -> None:
    found = largest_remainder(weights, total)
    assert sum(found) == total
    assert all(
        abs(n * sum(weights) - w * total) <= (1 + 1e-6) * sum(weights) for n, w in zip(found, weights, strict=True)
    )


def test_ties_go_to_the_first() -> None:
    assert largest_remainder([1.0, 1.0, 1.0], 10) == [4, 3, 3]


@pytest.mark.parametrize("weights", [[], [0.0], [-1.0, 2.0]])
def test_weights_without_a_proportion_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights of 0 or more"):
        largest_remainder(weights, 10)
