from dataclasses import replace

import numpy as np
import pytest

from shaper.observed import Observed
from shaper.replay.course import price, simulate
from shaper.replay.outcome import Outcome, quantile_slots
from shaper.replay.policies import ForecastLed, Reactive, ReactiveSettings, Static
from shaper.replay.scenario import POLICIES, Scenario, circumstances, run
from shaper.replay.trace import ForecastSeries, ReplayError, Trace
from shaper.replay.tuning import cost_on, tune_forecast_led, tune_reactive, tune_static
from shaper.venue import Venue
from tests.shaper.ventures import AutoregressiveDemand, trace_of, venue

TICKS = 240  # an hour of 15 s to tune on, another to report


def scenario(delay_s: float, forecasts: str = "forecasts", seed: int = 1) -> Scenario:
    demand, of = AutoregressiveDemand(2 * TICKS, seed, sd=0.2), venue(delay_s)
    series: ForecastSeries = getattr(demand, forecasts)()
    return Scenario(of, demand.trace(of, TICKS, 2 * TICKS), demand.trace(of, 0, TICKS), series)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {outcome.policy: outcome for outcome in run(scenario(60.0))}


def test_a_good_forecast_costs_less_than_the_tuned_reactive_rule_when_units_take_a_minute(
    outcomes: dict[str, Outcome],
) -> None:
    assert outcomes["forecast-led"].cost_usd < 0.95 * outcomes["reactive"].cost_usd


def test_the_clairvoyant_costs_least_and_has_no_regret(outcomes: dict[str, Outcome]) -> None:
    assert tuple(outcomes) == POLICIES
    assert outcomes["clairvoyant"].regret == 0
    assert all(outcome.cost_usd >= outcomes["clairvoyant"].cost_usd for outcome in outcomes.values())
    assert all(
        outcome.regret == pytest.approx(outcome.cost_usd / outcomes["clairvoyant"].cost_usd - 1)
        for outcome in outcomes.values()
    )


def test_costs_by_cause_and_tier_add_up(outcomes: dict[str, Outcome]) -> None:
    for outcome in outcomes.values():
        causes = dict(outcome.by_cause)
        assert sum(causes.values()) == pytest.approx(outcome.cost_usd)
        assert sum(usd for _, usd in outcome.by_tier) == pytest.approx(causes["delay"] + causes["rejection"])
        assert [name for name, _ in outcome.by_tier] == ["critical", "maker", "bulk"]


def test_the_top_tier_is_on_time_and_its_waits_are_told(outcomes: dict[str, Outcome]) -> None:
    led = outcomes["forecast-led"]
    assert dict(led.service.on_time)["critical"] > 0.999
    assert led.service.wait_p50_s == 0.0
    assert outcomes["clairvoyant"].service.wait_p99_s is None
    assert led.fallback_share == 0.0
    assert "hedge" in led.settings
    assert "headroom" in outcomes["reactive"].settings


def test_series_hold_one_value_per_slot(outcomes: dict[str, Outcome]) -> None:
    for outcome in outcomes.values():
        series = outcome.series
        assert {
            len(values) for values in (series.demand_per_s, series.ready_per_s, series.ordered_per_s, series.queued)
        } == {TICKS * 3}
        assert (series.ordered_per_s >= series.ready_per_s - 1e-6).all()


def test_one_who_knows_the_future_through_forecasts_comes_near_the_clairvoyant() -> None:
    known = {outcome.policy: outcome for outcome in run(scenario(60.0, "perfect"), ("forecast-led", "clairvoyant"))}
    assert known["forecast-led"].regret is not None
    assert known["forecast-led"].regret < 0.35


def test_a_longer_delay_costs_the_reactive_rule_more_than_the_forecast_led_one() -> None:
    costs = {}
    for delay_s in (0.0, 120.0):
        found = {outcome.policy: outcome.cost_usd for outcome in run(scenario(delay_s), ("reactive", "forecast-led"))}
        costs[delay_s] = found
    assert costs[120.0]["reactive"] - costs[0.0]["reactive"] > 1.2 * (
        costs[120.0]["forecast-led"] - costs[0.0]["forecast-led"]
    )
    assert costs[0.0]["forecast-led"] < 1.08 * costs[0.0]["reactive"]


def test_a_forecast_that_knows_nothing_costs_little_more_than_the_reactive_rule() -> None:
    given_scenario = scenario(60.0)
    assert given_scenario.forecasts is not None
    ignorant = np.full_like(given_scenario.forecasts.quantiles, np.log(30.0)) + np.linspace(-0.1, 0.1, 7)
    blind = replace(given_scenario, forecasts=series_of(given_scenario.forecasts, ignorant))
    found = {outcome.policy: outcome.cost_usd for outcome in run(blind, ("reactive", "forecast-led"))}
    assert found["forecast-led"] < 1.15 * found["reactive"]


def test_without_a_usable_forecast_every_review_falls_back() -> None:
    given_scenario = scenario(60.0)
    assert given_scenario.forecasts is not None
    nothing = series_of(given_scenario.forecasts, np.full_like(given_scenario.forecasts.quantiles, np.nan))
    (outcome,) = run(replace(given_scenario, forecasts=nothing), ("forecast-led",))
    assert outcome.fallback_share == 1.0
    assert outcome.regret is None


def series_of(series: ForecastSeries, quantiles: np.ndarray) -> ForecastSeries:
    return ForecastSeries(
        series.issued_at_s,
        quantiles,
        series.spike,
        series.tick_s,
        series.targets,
        series.horizons,
        series.levels,
        series.valid_s,
    )


def test_the_replay_is_the_same_every_time() -> None:
    first, second = (run(replace(scenario(60.0), noise=0.5, seed=4), ("reactive", "forecast-led")) for _ in range(2))
    assert [outcome.cost_usd for outcome in first] == [outcome.cost_usd for outcome in second]
    assert (first[1].series.ready_per_s == second[1].series.ready_per_s).all()


def test_the_tuned_constant_is_the_cheapest_constant() -> None:
    given_scenario = scenario(60.0)
    cost = cost_on(circumstances(given_scenario, given_scenario.tuning), given_scenario.tuning)
    found = tune_static(given_scenario.venue, cost)
    assert cost(found) <= min(cost(Static(units)) for units in range(2, 60)) + 1e-9


def test_tuning_leaves_the_reactive_rule_no_worse_than_any_single_change() -> None:
    given_scenario = scenario(60.0)
    cost = cost_on(circumstances(given_scenario, given_scenario.tuning), given_scenario.tuning)
    found = tune_reactive(given_scenario.venue, cost)
    best = cost(Reactive(given_scenario.venue, found))
    for changed in (
        ReactiveSettings(),
        replace(found, headroom=found.headroom + 0.3),
        replace(found, smoothing_s=300.0),
    ):
        assert best <= cost(Reactive(given_scenario.venue, changed)) + 1e-9


def test_forecasts_that_do_not_cover_the_tuning_window_leave_the_plan_untuned() -> None:
    given_scenario = scenario(60.0)
    assert given_scenario.forecasts is not None
    late = given_scenario.forecasts
    cut = replace_from(late, TICKS)
    given_circumstances = circumstances(given_scenario, given_scenario.tuning)
    settings = ReactiveSettings(headroom=0.4, drain_s=30.0)
    tuned = tune_forecast_led(given_circumstances, settings, cut, given_scenario.tuning)
    assert tuned == replace(given_scenario.venue, reactive_headroom=0.4, reactive_drain_s=30.0)


def replace_from(series: ForecastSeries, first: int) -> ForecastSeries:
    axes = (series.targets, series.horizons, series.levels)
    return ForecastSeries(series.issued_at_s[first:], series.quantiles[first:], series.spike[first:], 15.0, *axes, 60.0)


def test_a_forecast_is_current_from_its_issue_and_not_before() -> None:
    series = AutoregressiveDemand(10, 1).forecasts()
    assert series.current(14.9) is None
    first, again, second = series.current(15.0), series.current(29.9), series.current(30.0)
    assert first is not None
    assert second is not None
    assert first == again
    assert (first.issued_at_s, first.valid_until_s, second.issued_at_s) == (15.0, 75.0, 30.0)


def test_an_issue_with_a_hole_is_passed_over() -> None:
    series = AutoregressiveDemand(10, 1).forecasts()
    holed = series.quantiles.copy()
    holed[1, 0, 3, 2] = np.nan
    current = series_of(series, holed).current(31.0)
    assert current is not None
    assert current.issued_at_s == 15.0


def test_the_forecast_led_policy_waits_for_the_forecast_as_long_as_for_the_measurement() -> None:
    series = AutoregressiveDemand(10, 1).forecasts()
    policy = ForecastLed(venue(), ReactiveSettings(), series, lag_s=5.0)
    policy.units(Observed(19.0, 60.0, (), 12, 12))
    assert policy.fallbacks == 1
    policy.units(Observed(20.0, 60.0, (), 12, 12))
    assert (policy.reviews, policy.fallbacks) == (2, 1)


def test_the_reactive_rule_scales_down_only_after_its_stabilisation() -> None:
    policy = Reactive(venue(), ReactiveSettings(0.0, 15.0, 60.0, 45.0))
    wanted = [
        policy.units(Observed(15.0 * i, demand, (), 12, 12)) for i, demand in enumerate((50.0, 100.0, 50.0, 50.0, 50.0))
    ]
    assert wanted == [10, 20, 20, 20, 10]


def test_quantiles_of_waits_are_the_fewest_slots_that_suffice() -> None:
    assert quantile_slots(np.array([98.0, 1.0, 1.0]), 0.5) == 0
    assert quantile_slots(np.array([98.0, 1.0, 1.0]), 0.99) == 1
    assert quantile_slots(np.zeros(3), 0.99) == 0


def other_venue() -> Venue:
    return replace(venue(), tiers=(replace(venue().tiers[0], demand_share=1.0),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tuning": trace_of(np.ones(30), venue(), 7200.0)}, "tuning to end by 3600"),
        ({"tuning": trace_of(np.ones(30), venue(), slot_s=15.0)}, "one slot_s and 3 tiers"),
        ({"venue": other_venue()}, "one slot_s and 1 tiers"),
    ],
)
def test_a_scenario_that_contradicts_itself_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ReplayError, match=message) as caught:
        replace(scenario(60.0), **change)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2


def test_unknown_policies_and_missing_forecasts_are_refused() -> None:
    with pytest.raises(ReplayError, match="found magic"):
        run(scenario(60.0), ("magic",))
    with pytest.raises(ReplayError, match="forecasts for the policy"):
        run(replace(scenario(60.0), forecasts=None), ("forecast-led",))


def test_progress_ends_at_one() -> None:
    told: list[float] = []
    run(scenario(60.0), ("static", "clairvoyant"), lambda share, _: told.append(share))
    assert told[-1] == 1.0
    assert all(0 <= share <= 1 for share in told)


def test_forecasts_out_of_shape_or_order_are_refused() -> None:
    series = AutoregressiveDemand(10, 1).forecasts()
    with pytest.raises(ReplayError, match="expected quantiles"):
        series_of(series, series.quantiles[:5])
    with pytest.raises(ReplayError, match="ascending order"):
        replace_issues(series, series.issued_at_s[::-1].copy())


def replace_issues(series: ForecastSeries, issued: np.ndarray) -> ForecastSeries:
    return ForecastSeries(
        issued, series.quantiles, series.spike, 15.0, series.targets, series.horizons, series.levels, 60.0
    )


def test_the_same_policy_is_priced_the_same_alone_as_in_a_replay(outcomes: dict[str, Outcome]) -> None:
    given_scenario = scenario(60.0)
    constant = int(outcomes["static"].settings.split()[0])
    given_circumstances = circumstances(given_scenario, given_scenario.trace)
    trace: Trace = given_scenario.trace
    books = price(given_circumstances, trace, simulate(given_circumstances, trace, Static(constant)))
    assert books.total == outcomes["static"].cost_usd
