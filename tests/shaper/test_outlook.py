import math
from dataclasses import replace

import pytest

from shaper.forecast import ForecastError
from shaper.observed import Observed, ObservedError
from shaper.outlook import LEVELS, chance_above, demand_curve, distrust, median, news, outlook
from tests.shaper.ventures import forecast, venue

MIDDLE = LEVELS.index(0.5)


def seen(demand_per_s: float, at_s: float = 1060.0) -> Observed:
    return Observed(at_s, demand_per_s, (), 20, 20)


@pytest.mark.parametrize(
    ("at_s", "demand", "reason"),
    [
        (1030.0, 100.0, None),
        (1061.0, 100.0, "stale for 1 s"),
        (999.0, 100.0, "in the future"),
        (1030.0, 900.0, "absurd"),
        (1030.0, 10.0, "absurd"),
    ],
)
def test_a_forecast_that_cannot_be_believed_is_told_why(at_s: float, demand: float, reason: str | None) -> None:
    found = distrust(venue(), forecast(), seen(demand, at_s))
    assert found is None if reason is None else reason in str(found)


def test_a_measurement_older_than_the_forecast_says_nothing_against_it() -> None:
    surge = forecast(1000.0)
    assert distrust(venue(), surge, Observed(1005.0, 100.0, demand_age_s=10.0)) is None
    assert "absurd" in str(distrust(venue(), surge, Observed(1015.0, 100.0, demand_age_s=10.0)))


def test_a_forecast_too_short_for_the_delay_is_not_believed() -> None:
    assert "beyond" in str(distrust(venue(delay_s=260.0), forecast(), seen(100.0, 1030.0)))
    assert distrust(venue(delay_s=250.0), forecast(), seen(100.0, 1030.0)) is None
    assert distrust(venue(), None, seen(100.0)) == "no forecast"


def test_a_forecast_without_the_target_of_demand_is_not_believed() -> None:
    other = replace(forecast(), targets=("volatility",))
    assert distrust(venue(), other, seen(100.0)) == "forecast says nothing of demand"


def test_demand_measured_before_the_issue_is_no_news() -> None:
    assert news(venue(), forecast(), Observed(1010.0, 200.0, demand_age_s=12.0)) is None


def test_a_measurement_at_the_median_narrows_the_band_and_keeps_the_median() -> None:
    of, told = venue(), news(venue(), forecast(), seen(100.0))
    plain, narrowed = demand_curve(of, forecast(), 60.0, 60.0, None), demand_curve(of, forecast(), 60.0, 60.0, told)
    assert plain is not None
    assert narrowed is not None
    assert narrowed[MIDDLE] == pytest.approx(plain[MIDDLE])
    assert narrowed[-1] < plain[-1]
    assert narrowed[0] > plain[0]


def test_a_high_measurement_within_the_band_raises_what_is_expected_less_with_the_lead() -> None:
    told = news(venue(), forecast(), seen(130.0))
    near, far = (demand_curve(venue(), forecast(), 60.0, lead_s, told) for lead_s in (15.0, 200.0))
    assert near is not None
    assert far is not None
    assert near[MIDDLE] > far[MIDDLE] > 100.0
    assert told is not None
    assert told.excess == 1


def test_what_exceeds_the_band_multiplies_the_forecast_and_fades() -> None:
    edge = 100 * math.exp(0.2 * 1.6448536269514722)
    careless = replace(venue(), persistence=0.0)
    told = news(careless, forecast(), seen(2 * edge))
    assert told is not None
    assert told.excess == pytest.approx(2.0)
    curve = demand_curve(careless, forecast(), 60.0, 150.0, told)
    assert curve is not None
    assert curve[MIDDLE] == pytest.approx(100 * 2 ** math.exp(-0.5))


def test_along_high_levels_a_shortage_queues_up_until_units_arrive() -> None:
    prospects = outlook(venue(), forecast(), Observed(1000.0, 100.0, (), 20, 20))
    assert prospects is not None
    assert [prospect.lead_s for prospect in prospects] == [7.5, 22.5, 37.5, 52.5, 67.5]
    last = prospects[-1]
    assert sum(last.queues[MIDDLE - 1]) == 0
    high = last.queues[LEVELS.index(0.9)]
    assert high[0] == high[1] == 0  # served first
    assert high[2] == pytest.approx(60 * (last.demand[LEVELS.index(0.9)] - 100.0))


def test_pending_units_shorten_the_queue_from_their_arrival_on() -> None:
    alone = outlook(venue(), forecast(), Observed(1000.0, 100.0, (), 20, 20))
    helped = outlook(venue(), forecast(), Observed(1000.0, 100.0, (), 20, 60, ((1015.0, 40),)))
    assert alone is not None
    assert helped is not None
    assert sum(helped[-1].queues[-1]) < sum(alone[-1].queues[-1])


def test_units_of_unknown_arrival_come_half_a_delay_from_now() -> None:
    observed = Observed(1000.0, 100.0, (), 20, 30, ((1010.0, 4),))
    assert [observed.ready_after(60.0, lead_s) for lead_s in (0, 10, 29, 30)] == [20, 24, 24, 30]


def test_a_rate_that_is_no_number_is_refused() -> None:
    with pytest.raises(ForecastError, match="expected a rate in orders/s, found nan"):
        chance_above(tuple(float(i) for i in range(14)), math.nan)


def test_the_median_of_a_curve_is_its_middle_level() -> None:
    assert median(tuple(float(i) for i in range(14))) == MIDDLE


@pytest.mark.parametrize(
    "wrong",
    [
        {"at_s": math.nan},
        {"demand_per_s": -1.0},
        {"queued": (("bulk", -1.0),)},
        {"ready_units": 5, "ordered_units": 4},
        {"pending": ((1.0, 0),)},
        {"demand_age_s": -1.0},
    ],
)
def test_an_impossible_measurement_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ObservedError, match=r"expected .* found") as caught:
        Observed(**{"at_s": 0.0, "demand_per_s": 1.0, **wrong})  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
