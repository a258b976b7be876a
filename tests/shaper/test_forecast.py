import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaper.forecast import Forecast, ForecastError, at_level
from tests.shaper.ventures import LEVELS, forecast


def two_horizons() -> Forecast:
    curves = ((1.0, 2.0, 4.0), (3.0, 6.0, 8.0))
    return Forecast(100.0, 130.0, 10.0, "test", "d", ("demand",), (1, 3), (0.25, 0.5, 0.75), (curves,), ((0.2, 0.6),))


def test_a_horizon_stands_at_the_middle_of_its_tick() -> None:
    assert two_horizons().quantile("demand", 5.0, 0.5) == 2.0
    assert two_horizons().quantile("demand", 25.0, 0.5) == 6.0


def test_between_horizons_the_lead_is_linear() -> None:
    assert two_horizons().quantile("demand", 15.0, 0.5) == 4.0
    assert two_horizons().quantile("demand", 15.0, 0.25) == 2.0


def test_between_levels_the_level_is_linear() -> None:
    assert two_horizons().quantile("demand", 5.0, 0.625) == 3.0


def test_before_the_first_horizon_the_first_one_holds() -> None:
    assert two_horizons().quantile("demand", 0.0, 0.5) == 2.0


def test_no_lead_beyond_the_last_horizon_is_answered() -> None:
    assert two_horizons().quantile("demand", 30.0, 0.5) == 6.0
    assert two_horizons().quantile("demand", 30.1, 0.5) is None
    assert two_horizons().quantile("volatility", 5.0, 0.5) is None


def test_tails_are_exponential() -> None:
    levels, curve = (0.5, 0.75), (0.0, 1.0)
    assert at_level(levels, curve, 0.875) == pytest.approx(2.0)
    assert at_level(levels, curve, 0.9375) == pytest.approx(3.0)
    assert at_level((0.25, 0.5), (-1.0, 0.0), 0.125) == pytest.approx(-2.0)


def test_a_level_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ForecastError, match="level in"):
        two_horizons().quantile("demand", 5.0, 1.0)


def test_spike_probabilities_are_linear_between_ends_of_horizons() -> None:
    assert two_horizons().spike_by("demand", 10.0) == 0.2
    assert two_horizons().spike_by("demand", 20.0) == pytest.approx(0.4)
    assert two_horizons().spike_by("demand", 31.0) is None
    assert two_horizons().spike_by("congestion", 10.0) is None


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999), st.floats(0, 300))
def test_quantiles_do_not_fall_with_the_level(one: float, other: float, lead_s: float) -> None:
    low, high = (forecast().quantile("demand", lead_s, level) for level in sorted((one, other)))
    assert low is not None
    assert high is not None
    assert low <= high + 1e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valid_until_s": 1000.0}, "valid_until_s after"),
        ({"issued_at_s": math.nan}, "finite times"),
        ({"tick_s": 0.0}, "positive tick_s"),
        ({"targets": ()}, "targets with unique names"),
        ({"targets": ("demand", "other")}, "values for 2 targets"),
        ({"horizons": (2, 1)}, "ascending horizons"),
        ({"horizons": (0, 1)}, "ascending horizons from 1"),
        ({"levels": (0.5, 0.5)}, "ascending levels"),
        ({"levels": (0.0, 0.5)}, "levels in"),
        ({"horizons": (1, 2)}, "values at 2 horizons"),
        ({"quantiles": (((0.0,),) * 20,)}, "7 levels of demand"),
        ({"quantiles": (((math.nan,) * 7,) * 20,)}, "finite quantiles of demand"),
        ({"quantiles": ((tuple(range(7, 0, -1)),) * 20,)}, "do not fall"),
        ({"spike": ((1.5,) * 20,)}, "spike probabilities of demand"),
        ({"spike": ((math.nan,) * 20,)}, "spike probabilities of demand"),
    ],
)
def test_each_contradiction_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ForecastError, match=message) as caught:
        replace(forecast(), **change)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2


def test_known_levels_are_answered_as_they_are() -> None:
    given_forecast = forecast()
    assert tuple(given_forecast.quantile("demand", 60.0, level) for level in LEVELS) == given_forecast.quantiles[0][3]
