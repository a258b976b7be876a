import math
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from shaper.capacity import reactive_units, wanted_units
from shaper.observed import Observed
from shaper.plan import plan
from shaper.replay.course import Circumstances, price, simulate
from shaper.replay.policies import ForecastLed, Reactive, ReactiveSettings
from shaper.replay.trace import ForecastSeries, Trace
from shaper.steering import missed_surge_usd, missing_unit_usd, steer
from shaper.trust import Costs, TrustRules
from shaper.venue import Venue
from tests.shaper.ventures import HORIZONS, LEVELS, forecast, trace_of, venue

SEEN = Observed(1010.0, 105.0, (("bulk", 12.0),), 25, 27)
REACTIVE = ReactiveSettings(headroom=1.0, drain_s=60.0, stabilisation_s=120.0)
OF = replace(venue(), reactive_headroom=1.0, reactive_drain_s=60.0, shortage_s=1500.0, persistence=0.0)
GIVEN = Circumstances(OF, 15.0, 5.0, 0.0, 0, 24, 60.0)


class Steered:
    """The plan's units on a leash."""

    def __init__(self, forecasts: ForecastSeries, rules: TrustRules) -> None:
        self.forecasts, self.steering = forecasts, rules

    def units(self, observed: Observed) -> int:
        current = self.forecasts.current(observed.at_s - 5.0)
        self.steering = steer(OF, current, observed, self.steering)  # type: ignore[assignment]
        return wanted_units(OF, current, observed, self.steering.leash).units  # type: ignore[attr-defined]


def surging(seed: int) -> np.ndarray:
    """Two hours of 60 orders/s in ticks of 15 s, with two surges of five minutes to ten times as many."""
    random = np.random.Generator(np.random.PCG64(seed))
    rates = 60 * np.exp(0.1 * random.standard_normal(480))
    for at in (160 + int(random.integers(80)), 320 + int(random.integers(80))):
        rates[at : at + 20] *= 10
    return rates


def told(log_rates: np.ndarray) -> ForecastSeries:
    """Forecasts that are sure of `log_rates` (ticks, horizons)."""
    z = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
    issued, curves = (np.arange(len(log_rates)) + 1) * 15.0, log_rates[:, :, None] + 0.03 * z
    return ForecastSeries(
        issued, curves[:, None], np.full((len(issued), 1, 20), 0.1), 15.0, ("demand",), HORIZONS, LEVELS, 60.0
    )


def truth(rates: np.ndarray) -> np.ndarray:
    after = np.minimum(np.arange(len(rates))[:, None] + np.array(HORIZONS), len(rates) - 1)
    return np.log(rates[after])


def shuffled(rates: np.ndarray) -> np.ndarray:
    return truth(rates)[np.random.Generator(np.random.PCG64(0)).permutation(len(rates))]


LIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "always calm": lambda rates: np.full((len(rates), 20), math.log(60.0)),
    "always a surge": lambda rates: np.full((len(rates), 20), math.log(600.0)),
    "calm for surge, surge for calm": lambda rates: 2 * math.log(190.0) - truth(rates),
    "of other moments": shuffled,
}


def cost(policy: object, trace: Trace) -> float:
    return price(GIVEN, trace, simulate(GIVEN, trace, policy)).total  # type: ignore[arg-type]


@pytest.mark.parametrize("lie", LIES)
def test_no_forecast_costs_more_than_the_ratio_above_the_reactive_rule(lie: str) -> None:
    rates = surging(1)
    trace = trace_of(np.repeat(rates, 3), OF)
    steered = cost(Steered(told(LIES[lie](rates)), TrustRules()), trace)
    assert steered <= 1.15 * cost(Reactive(OF, REACTIVE), trace)


def test_without_a_leash_the_same_lie_costs_more() -> None:
    rates = surging(1)
    trace, lie = trace_of(np.repeat(rates, 3), OF), told(shuffled(rates))
    assert cost(ForecastLed(OF, REACTIVE, lie, 5.0), trace) > 1.05 * cost(Steered(lie, TrustRules()), trace)


def test_a_forecast_that_knows_keeps_most_of_what_it_saves() -> None:
    rates = surging(1)
    trace, known = trace_of(np.repeat(rates, 3), OF), told(truth(rates))
    reactive, free = cost(Reactive(OF, REACTIVE), trace), cost(ForecastLed(OF, REACTIVE, known, 5.0), trace)
    steered = cost(Steered(known, TrustRules()), trace)
    assert reactive - steered > 0.8 * (reactive - free)


def test_at_first_the_leash_lets_no_forecast_take_units_away_or_add_any() -> None:
    leash = steer(OF, forecast(), SEEN).leash
    assert (leash.least_units, leash.most_units) == (leash.baseline_units,) * 2
    assert leash.baseline_units == reactive_units(OF, 105.0, 12.0)
    assert wanted_units(OF, forecast(1000.0), SEEN, leash).units == leash.baseline_units


def test_an_allowance_pays_for_units_until_they_can_be_released() -> None:
    leash = steer(OF, forecast(), SEEN, TrustRules(allowance_usd=3.0)).leash
    assert leash.most_units - leash.baseline_units == int(3.0 / (0.002 * 15.0))


def test_one_unit_less_is_priced_by_the_last_tier_that_a_surge_leaves_served() -> None:
    orders = 5.0 * 75.0
    assert missing_unit_usd(OF, 1000.0, 30) == pytest.approx(orders * (0.05 + 0.005 * 10))
    assert missing_unit_usd(OF, 2000.0, 30) == pytest.approx(orders * (5.0 + 0.05 * 10))
    assert missing_unit_usd(OF, 100.0, 30) == 0.0


def test_a_missed_surge_is_what_a_review_of_it_loses() -> None:
    of: Venue = replace(OF, reactive_headroom=0.0)
    lost = missed_surge_usd(of, replace(SEEN, demand_per_s=100.0), TrustRules(stress=2.0))
    assert lost == pytest.approx(15.0 * 100 * (0.4 * (0.05 + 0.05) + 0.6 * (0.01 + 0.06)))


def test_a_demand_that_nobody_measures_any_more_holds_every_setting() -> None:
    before = steer(OF, forecast(), SEEN)
    stale = replace(SEEN, at_s=1025.0, demand_age_s=300.0)
    after = steer(OF, forecast(), stale, before)
    made = plan(OF, forecast(), stale, after.leash)
    assert made.stage == "static"
    assert made.reason == "held: demand was measured 300 s ago"
    assert made.capacity[0].units == 27
    assert made.capacity[0].reason == "27 units: held"


def test_after_a_long_silence_the_shadows_start_anew_and_the_books_stay() -> None:
    before = steer(OF, forecast(), SEEN)
    known = replace(before, trust=replace(before.trust, spent=Costs(1.0, 2.0, 3.0)))
    after = steer(OF, None, replace(SEEN, at_s=9000.0, ready_units=30, ordered_units=30), known)
    assert after.trust.spent == Costs(1.0, 2.0, 3.0)
    assert after.own.ready == 30


def test_a_plan_on_a_leash_names_its_stage_and_its_limits() -> None:
    opened = steer(OF, forecast(), SEEN)
    unproven = plan(OF, forecast(), SEEN, opened.leash)
    assert unproven.stage == "reactive"
    assert unproven.reason == "by what is seen alone: no claim of the forecasts has come true yet"
    proven = replace(opened, record=replace(opened.record, held=1), at_s=1009.0)
    leash = steer(OF, forecast(), SEEN, proven).leash
    made = plan(OF, forecast(), SEEN, leash)
    assert made.stage == leash.stage == "forecast-led"
    assert "trusted with weight 1.00 within" in made.reason
    reactive = plan(OF, forecast(), SEEN, replace(leash, stage="reactive", weight=0.0))
    assert (reactive.stage, reactive.capacity) == ("reactive", reactive.without_forecast.capacity)


def test_where_nobody_would_announce_a_surge_the_reactive_rule_is_insured_and_the_plan_sets_it() -> None:
    rules = TrustRules(insured=4.0)
    told, silent = steer(OF, forecast(), SEEN, rules), steer(OF, None, SEEN, rules)
    assert told.leash.baseline_units == reactive_units(OF, 105.0, 12.0)
    insured = OF.pool.units_for(5 * 105.0)
    assert silent.leash.baseline_units == insured
    made = plan(OF, None, SEEN, silent.leash)
    assert made.capacity[0].units == OF.pool.reachable(SEEN.ordered_units, insured)
    assert made.capacity[0].reason.endswith("queued, headroom 100%, and more against a surge")
    lied_to = replace(told, record=replace(told.record, missed=1), at_s=1009.0)
    assert steer(OF, forecast(), SEEN, lied_to).leash.baseline_units == insured
    proven = replace(told, record=replace(told.record, missed=1, held=1), at_s=1009.0)
    assert steer(OF, forecast(), SEEN, proven).leash.baseline_units == told.leash.baseline_units


def test_units_that_the_reactive_rule_holds_for_demand_of_before_are_free_to_go() -> None:
    after = replace(SEEN, queued=(), ready_units=200, ordered_units=200, held_per_s=500.0)
    rise = reactive_units(OF, 1.5 * 105.0, 0.0)
    leash = steer(OF, forecast(), after).leash
    assert (leash.baseline_units, leash.least_units) == (reactive_units(OF, 500.0, 0.0), rise)
    still = steer(OF, forecast(500.0), replace(after, demand_per_s=500.0)).leash
    assert (still.baseline_units, still.least_units) == (reactive_units(OF, 500.0, 0.0),) * 2
