import math
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shaper.capacity import reactive_units, wanted_units
from shaper.plan import Observed, plan, planned_units
from tests.shaper.ventures import NODES, forecast, venue

SEEN = Observed(1010.0, 105.0, (("bulk", 12.0),), 25, 27)


def test_a_believed_forecast_leads_the_plan_and_names_itself() -> None:
    made = plan(venue(nodes=NODES), forecast(), SEEN)
    assert made.stage == "forecast-led"
    assert made.forecast is not None
    assert (made.forecast.origin, made.forecast.issued_at_s) == ("test", 1000.0)
    assert "read 75 s ahead" in made.reason
    assert made.valid_from_s == 1010.0
    assert made.valid_until_s == 1040.0


def test_a_plan_is_valid_no_longer_than_its_forecast() -> None:
    assert plan(venue(), forecast(), replace(SEEN, at_s=1050.0)).valid_until_s == 1060.0
    assert plan(venue(), None, replace(SEEN, at_s=1050.0)).valid_until_s == 1080.0


@pytest.mark.parametrize(
    ("given_forecast", "observed", "reason"),
    [
        (None, SEEN, "no forecast"),
        (forecast(), replace(SEEN, at_s=1070.0), "stale"),
        (forecast(1e6), SEEN, "absurd"),
        (replace(forecast(), tick_s=1.0), SEEN, "beyond the forecast"),
    ],
)
def test_without_a_believable_forecast_the_plan_is_the_reactive_one(
    given_forecast: object, observed: Observed, reason: str
) -> None:
    made = plan(venue(nodes=NODES), given_forecast, observed)  # type: ignore[arg-type]
    assert made.stage == "reactive"
    assert reason in made.reason
    assert (made.capacity, made.quotas, made.weights) == (
        made.without_forecast.capacity,
        made.without_forecast.quotas,
        made.without_forecast.weights,
    )
    assert made.capacity[0].units == reactive_units(venue(), observed.demand_per_s, 12.0)


def test_what_would_be_set_without_a_forecast_is_in_every_plan() -> None:
    made = plan(venue(), forecast(200.0, 0.1), replace(SEEN, demand_per_s=150.0))
    assert (
        made.capacity[0].units
        > made.without_forecast.capacity[0].units
        == plan(venue(), None, replace(SEEN, demand_per_s=150.0)).capacity[0].units
    )


def test_the_plan_sets_what_one_review_may_reach() -> None:
    limited = replace(venue(), pool=replace(venue().pool, max_change_units=3))
    setting = plan(limited, forecast(300.0), replace(SEEN, demand_per_s=300.0)).capacity[0]
    assert setting.units == 30
    assert "as many as one review may reach" in setting.reason


def test_the_replay_reads_the_same_units_as_the_plan() -> None:
    for median in (50.0, 100.0, 200.0):
        need = wanted_units(venue(), forecast(median), SEEN)
        assert plan(venue(), forecast(median), SEEN).capacity[0].units == planned_units(venue(), need, SEEN)


def test_every_setting_has_a_reason_with_its_numbers() -> None:
    made = plan(venue(nodes=NODES), forecast(), SEEN)
    reasons = [setting.reason for group in (made.capacity, made.quotas, made.weights) for setting in group]
    assert len(reasons) == 1 + 3 + 4
    assert all(any(letter.isdigit() for letter in reason) for reason in reasons)


def test_rates_and_weights_are_shares_of_what_there_is() -> None:
    made = plan(venue(nodes=NODES), forecast(), SEEN)
    assert math.isclose(sum(setting.rate_per_s for setting in made.quotas), 25 * 5.0)
    assert math.isclose(sum(setting.weight for setting in made.weights), 1.0)
    assert [setting.tier for setting in made.quotas] == ["critical", "maker", "bulk"]
    assert [setting.priority for setting in made.quotas] == [0, 1, 2]


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 1000), st.floats(0.01, 1), st.floats(0, 1000), st.floats(0, 50), st.integers(0, 100))
def test_equal_inputs_give_equal_plans_to_the_bit(
    median: float, spread: float, demand: float, queue: float, ready: int
) -> None:
    def made() -> str:
        observed = Observed(1010.0, demand, (("maker", queue),), ready, ready + 3, demand_age_s=5.0)
        return repr(plan(venue(nodes=NODES), forecast(median, spread), observed))

    assert made() == made()


def test_planning_loads_neither_numba_nor_frames() -> None:
    program = "import sys, shaper.plan; print([m for m in ('numba', 'polars', 'torch', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_replay_loads_numba_only_when_it_simulates() -> None:
    program = "import sys, shaper.replay.scenario; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
