"""Weighted quantile loss."""

from dataclasses import replace

import numpy as np
import pytest

from training.metrics import Issued
from training.weighted import natural, weighted

LEVELS = (0.1, 0.5, 0.9)
DAYS = 8


def issued(shift: float) -> Issued:
    """Eight days of one issue time each; truth ln 2 at the first and ln 4 at the second horizon; quantiles off by a factor."""
    truth = np.log([[2.0, 4.0]] * DAYS)
    quantiles = np.repeat((truth + shift)[..., None], 3, axis=2)
    return Issued(np.arange(DAYS) * 86_400, truth[:, 0], truth, quantiles, quantiles)


def test_it_is_twice_the_pinball_loss_in_the_natural_unit_over_what_came() -> None:
    found = weighted([issued(np.log(1.5))], issued(0.0), LEVELS, "ln(gwei)", 1)
    assert found is not None
    # 6 gwei said where 4 came: an error of 2 costs 0.9, 0.5 and 0.1 of itself, so that twice the mean is 2
    assert found.loss == pytest.approx(2 / 4)
    assert found.gain == pytest.approx(-0.5)
    assert found.interval == pytest.approx((-0.5, -0.5))


def test_seeds_are_averaged_and_one_of_another_truth_is_not_compared() -> None:
    found = weighted([issued(np.log(1.5)), issued(0.0)], issued(np.log(1.5)), LEVELS, "ln(gwei)", 0)
    assert found is not None
    assert found.loss == pytest.approx(0.25)
    assert found.gain == pytest.approx(0.25)
    other = issued(0.0)
    assert weighted([issued(0.0)], replace(other, truth=other.truth + 1), LEVELS, "ln(gwei)", 0) is None
    assert weighted([issued(0.0)], replace(other, issued_s=other.issued_s + 1), LEVELS, "ln(gwei)", 0) is None


def test_a_unit_that_is_no_logarithm_stays() -> None:
    values = np.array([0.5, 2.0])
    assert natural("1", values) is values
    assert natural("ln(1/s)", values).tolist() == np.exp(values).tolist()
