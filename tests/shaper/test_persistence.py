import math
from statistics import NormalDist

import pytest

from shaper.persistence import LEAST_CHANGES, Axes, Past, band, passage, persisted

AXES = Axes(1000.0, 15.0, (1, 4), (0.05, 0.5, 0.95))
WALK = tuple(float(n % 2) for n in range(12))  # every change is 1


def test_the_last_value_goes_on_within_the_band_of_a_random_walk() -> None:
    steady = tuple(0.5 * n for n in range(40))  # every change is 0.5, and the window is far wider than two ticks
    made = persisted((Past("demand", steady),), AXES)
    assert made is not None
    first, fourth = made.quantiles[0]
    z = NormalDist().inv_cdf(0.95)
    assert first == pytest.approx((19.5 - 0.5 * z, 19.5, 19.5 + 0.5 * z))
    assert fourth == pytest.approx((19.5 - z, 19.5, 19.5 + z))
    assert (made.origin, made.valid_until_s, made.spike) == ("baseline", 1060.0, ((0.0, 0.0),))


def test_the_band_is_no_wider_than_two_values_of_the_window_are_apart() -> None:
    found = band(WALK, (1, 100))
    assert found is not None
    assert found[1] == (1.0, 1.0)  # a variance of 1 a tick, and twice a quarter over the window


def test_too_few_known_changes_say_nothing() -> None:
    known = tuple(float(n) for n in range(LEAST_CHANGES))
    assert persisted((Past("demand", known),), AXES) is None
    assert persisted((Past("demand", (*known, 9.0)),), AXES) is not None
    assert persisted((Past("demand", (*known, 9.0)), Past("other", (math.nan,) * 20)), AXES) is None


def test_a_spike_is_the_walks_first_passage() -> None:
    assert passage(1.0, 0.5, 1.0) == 1.0
    assert passage(0.0, 0.0, 1.0) == 0.0
    assert passage(0.0, 1.0, 1.0) == pytest.approx(2 * (1 - NormalDist().cdf(1.0)))
    assert passage(0.0, 1.0, None) == passage(0.0, 1.0, math.nan) == 0.0


def test_a_gap_in_the_window_is_passed_over() -> None:
    gap = (*(float(n) for n in range(10)), math.nan)
    found = band(gap, (1,))
    assert found is not None
    assert found[0] == 9.0
