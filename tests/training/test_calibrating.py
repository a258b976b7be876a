"""Bands that hold as often as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.calibrating import RATES, band_offsets, chosen, speed

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def forecasts(truth: np.ndarray, quantiles: tuple[float, ...]) -> np.ndarray:
    return np.broadcast_to(np.array(quantiles, np.float32), (*truth.shape, len(quantiles))).copy()


@given(st.floats(-3, 3), st.floats(0.2, 5), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_calibrated_bands_hold_as_often_as_they_say_whatever_the_bias(bias: float, scale: float, seed: int) -> None:
    truth = np.random.default_rng(seed).normal(bias, scale, (400, 1, 1)).astype(np.float32)
    quantiles = forecasts(truth, (-2.0, -1.0, 0.0, 1.0, 2.0))
    moved = quantiles + band_offsets(quantiles, truth, LEVELS) * 4.0
    for low, high, share in ((0, 4, 0.9), (1, 3, 0.5)):
        inside = (truth >= moved[..., low] - 1e-5) & (truth <= moved[..., high] + 1e-5)
        assert share <= inside.mean() <= share + 0.02


def test_the_median_stays_and_both_sides_move_alike() -> None:
    truth = np.linspace(-1, 9, 101, dtype=np.float32)[:, None, None]
    found = band_offsets(forecasts(truth, (-2.0, -1.0, 0.0, 1.0, 2.0)), truth, LEVELS)[0, 0]
    assert found[2] == 0
    np.testing.assert_array_equal(found, -found[::-1])
    assert found[4] > 0


@pytest.mark.parametrize("known", [0, 49])
def test_too_few_truths_change_nothing(known: int) -> None:
    truth = np.full((100, 1, 1), np.nan, np.float32)
    truth[:known] = 9.0
    assert not band_offsets(forecasts(truth, (-2.0, -1.0, 0.0, 1.0, 2.0)), truth, LEVELS).any()


def test_levels_without_a_mirror_are_corrected_one_by_one() -> None:
    truth = np.linspace(0, 1, 100, dtype=np.float32)[:, None, None]
    found = band_offsets(forecasts(truth, (0.0, 1.0)), truth, (0.5, 0.9))[0, 0]
    assert found[0] == pytest.approx(0.5, abs=0.02)
    assert found[1] == pytest.approx(-0.1, abs=0.02)


def test_the_fastest_rate_that_costs_next_to_nothing_is_chosen() -> None:
    truth = np.zeros((100, 2))
    quantiles = np.zeros((100, len(RATES), 2, 3), np.float32)
    quantiles[:] = np.array([-1, 0, 1], np.float32) * np.array([1.001, 1.0, 1.002, 1.2])[:, None, None]
    assert chosen(quantiles, truth, (0.1, 0.5, 0.9)) == RATES[2]


def test_speed_is_the_density_of_outcomes_at_the_ends_of_the_band() -> None:
    truth = np.random.default_rng(0).uniform(0, 1, (20_000, 1))
    quantiles = np.broadcast_to(np.array([0.05, 0.95], np.float32), (20_000, 1, 2))
    assert speed(quantiles, truth) == pytest.approx(0.9, abs=0.03)  # density 1 a unit, and the band is 0.9 units wide
