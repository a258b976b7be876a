import math

import pytest

from shaper.decision import Inputs, Override, OverrideError, check, decided
from shaper.observed import Observed
from shaper.plan import plan
from tests.serving.made import venue

OF = venue()
SEEN = Observed(1000.0, 100.0, (("taker", 4.0),), 9, 9)


def pinned(*pins: Override) -> Inputs:
    check(OF, pins)
    return Inputs(None, SEEN, None, pins)


def test_without_pins_it_is_the_plan() -> None:
    assert decided(OF, Inputs(None, SEEN)) == plan(OF, None, SEEN)


def test_a_pinned_pool_has_the_units_and_the_reason_of_the_operator() -> None:
    made = decided(OF, pinned(Override("capacity", "matching", 5000.0, "load test", 40)))
    assert (made.capacity[0].units, made.capacity[0].rate_per_s) == (40, 480.0)
    assert made.capacity[0].reason == "pinned by the operator: load test"


def test_a_drained_node_gives_its_share_to_the_others_in_proportion() -> None:
    made = decided(OF, pinned(Override("weight", "fra-1", 5000.0, "maintenance", 0.0)))
    assert [setting.weight for setting in made.weights] == [0.0, 1.0]


def test_a_pinned_quota_leaves_the_sum_at_one() -> None:
    made = decided(OF, pinned(Override("quota", "taker", 5000.0, "abuse", 0.05)))
    assert {setting.tier: setting.share for setting in made.quotas} == {"maker": 0.95, "taker": 0.05}
    assert sum(setting.rate_per_s for setting in made.quotas) == pytest.approx(9 * 12)


def test_a_pinned_stage_holds_everything_or_lets_no_forecast_lead() -> None:
    made = decided(OF, pinned(Override("stage", "static", 5000.0, "incident")))
    assert (made.stage, made.capacity[0].units) == ("static", 9)
    assert made.reason == "pinned by the operator: incident"
    assert decided(OF, pinned(Override("stage", "reactive", 5000.0, "doubt"))).stage == "reactive"


def test_a_plan_holds_no_longer_than_a_pin_in_it() -> None:
    assert decided(OF, pinned(Override("stage", "static", 1010.0, "incident"))).valid_until_s == 1010.0


@pytest.mark.parametrize(
    ("pins", "named"),
    [
        ([Override("capacity", "other", 1.0, "", 4)], "expected one of ['matching']"),
        ([Override("capacity", "matching", 1.0, "", 61)], "2 to 60 units in steps of 1"),
        ([Override("capacity", "matching", 1.0, "", 4.5)], "2 to 60 units in steps of 1"),
        ([Override("stage", "forecast-led", 1.0, "")], "expected one of ['reactive', 'static']"),
        ([Override("weight", "fra-1", math.inf, "", 0.1)], "finite numbers"),
        ([Override("weight", "fra-1", 1.0, "", -0.1)], "shares of 0 or more"),
        ([Override("quota", "maker", 1.0, "", 0.7), Override("quota", "taker", 1.0, "", 0.7)], "leave the sum"),
        ([Override("weight", "fra-1", 1.0, "", 0.1), Override("weight", "nrt-1", 1.0, "", 0.1)], "leave the sum"),
    ],
)
def test_a_pin_that_cannot_be_is_refused(pins: list[Override], named: str) -> None:
    with pytest.raises(OverrideError) as caught:
        check(OF, pins)
    assert named in str(caught.value)
