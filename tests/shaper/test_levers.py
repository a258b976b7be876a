import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaper.erlang import erlang_b
from shaper.levers import Delay, Lever, LeverError, Setting, fitted_delay, move, reversals
from shaper.observed import Observed
from shaper.plan import plan
from tests.shaper.ventures import forecast, venue

LANES = Lever("lanes", "nonce-lanes", Delay(20.0, 0.5), 0.001, 2, 200, 2, 20, 60.0, 4, held_s=12.0)


def test_a_delay_is_read_at_its_quantile_and_a_lever_a_review_beyond_it() -> None:
    assert Delay(20.0).at(0.99) == 20.0
    assert Delay(20.0, 0.5).at(0.9) == pytest.approx(20 * math.exp(0.5 * 1.28155), rel=1e-4)
    assert LANES.lead_s(15.0) == pytest.approx(15 + 20 * math.exp(0.5 * 1.28155), rel=1e-4)


def test_a_delay_is_fitted_to_what_was_measured() -> None:
    drawn = 20 * np.exp(0.5 * np.random.Generator(np.random.PCG64(1)).standard_normal(20_000))
    fitted = fitted_delay(drawn.tolist())
    assert (fitted.median_s, fitted.log_sd) == (pytest.approx(20.0, rel=0.02), pytest.approx(0.5, rel=0.02))
    assert np.mean(drawn <= fitted.at(0.9)) == pytest.approx(0.9, abs=0.01)
    with pytest.raises(LeverError, match="positive delays"):
        fitted_delay([1.0, 0.0])


@given(st.floats(0.1, 12.0))
def test_a_warm_lever_has_the_fewest_units_that_keep_its_blocking(rate: float) -> None:
    units = LANES.units_for(rate)
    assert erlang_b(units, rate * 12.0) <= 0.01
    assert units == 2 or erlang_b(units - 2, rate * 12.0) > 0.01


@given(st.lists(st.integers(0, 300), min_size=2, max_size=80), st.floats(1.0, 30.0))
def test_a_slow_lever_never_flaps_and_keeps_its_range_step_and_rate(wanted: list[int], review_s: float) -> None:
    settings = [Setting("lanes", 10)]
    for i, units in enumerate(wanted):
        settings.append(move(LANES, settings[-1], units, i * review_s))
        assert 2 <= settings[-1].units <= 200
        assert settings[-1].units % 2 == 0
        assert abs(settings[-1].units - settings[-2].units) <= 20
    assert all(gap >= 60.0 for gap in reversals(settings))


def test_a_change_back_within_the_band_is_none() -> None:
    up = move(LANES, Setting("lanes", 10), 20, 0.0)
    assert up == Setting("lanes", 20, 0.0, 1)
    assert move(LANES, up, 17, 100.0) == up
    assert move(LANES, up, 14, 100.0).units == 14


def test_a_lever_that_contradicts_itself_is_refused() -> None:
    for fault in (
        {"least": 5, "most": 4},
        {"step": 3, "max_change": 2},
        {"held_s": 0.0},
        {"blocking": 1.0},
        {"band": -1},
    ):
        with pytest.raises(LeverError, match="expected"):
            Lever("x", "connections", **fault)


def test_a_plan_warms_lanes_for_the_demand_that_is_due_at_their_own_lead() -> None:
    slow = replace(LANES, max_change=None)
    of = replace(venue(), persistence=0.0, levers=(slow, replace(slow, name="replicas", kind="replicas")))
    seen = Observed(1010.0, 10.0, (), 25, 27)
    calm, surge = plan(of, forecast(10.0, 0.05), seen).warm, plan(of, forecast(14.0, 0.05), seen).warm
    assert [setting.lever for setting in calm] == ["lanes"]
    assert surge[0].units > calm[0].units == slow.units_for(10.0 * math.exp(0.05 * 1.28155))
    assert calm[0].lead_s == slow.lead_s(15.0)
    held = replace(seen, settings=(Setting("lanes", 190, 1000.0, 1),))
    assert plan(of, forecast(10.0, 0.05), held).warm[0].units == 190
    assert "by what is seen" in plan(of, None, seen).warm[0].reason
