"""How the reactive rule takes demand that rises."""

from dataclasses import replace

import pytest

from shaper.observed import Observed
from shaper.tide import USUAL_S, Tide, moved, reactive_demand
from tests.shaper.ventures import venue

OF = replace(venue(), review_s=5.0)


def risen(*demands: float) -> list[Tide]:
    """The tide after reviews at 5 s each."""
    tides, tide = [], Tide()
    for step, demand in enumerate(demands):
        tide = moved(OF, tide, Observed(5.0 * step, demand, demand_age_s=10.0), 10.0)
        tides.append(tide)
    return tides


def test_a_sudden_rise_is_met_as_a_surge_until_demand_has_stood_still() -> None:
    crests = [tide.crest_per_s for tide in risen(100, 100, 140, 140, 140, 140, 140, 140, 140)]
    assert crests[:2] == [0.0, 0.0]
    assert crests[2:7] == [pytest.approx(1000.0, rel=0.01)] * 5
    assert crests[7:] == [0.0, 0.0]


def test_a_rise_beyond_the_usual_surge_is_extrapolated() -> None:
    assert risen(100, 800, 4000)[-1].crest_per_s == pytest.approx(20_000.0)


def test_noise_of_counting_is_no_rise() -> None:
    assert risen(4, 6, 4, 7)[-1].crest_per_s == 0.0
    assert risen(100, 125)[-1].crest_per_s == 0.0


def test_the_usual_demand_follows_slowly_and_as_a_geometric_mean() -> None:
    before = Tide(100.0, 100.0, 0.0)
    after = moved(OF, before, Observed(USUAL_S, 400.0), 10.0)
    assert after.usual_per_s == pytest.approx(100 * 4 ** (1 - 1 / 2.718281828), rel=1e-6)
    assert moved(OF, before, Observed(5.0, 0.0), 10.0).usual_per_s == 100.0


def test_the_reactive_rule_goes_by_what_is_held_or_the_crest() -> None:
    seen = Observed(0.0, 100.0, held_per_s=120.0)
    assert reactive_demand(Tide(), seen) == 120.0
    assert reactive_demand(Tide(crest_per_s=500.0), seen) == 500.0
