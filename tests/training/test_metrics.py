"""Quantile scores, against cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import metrics

LEVELS = (0.25, 0.5, 0.75)


def issued(truth: list[list[float]], quantiles: list[float], days: int = 1) -> metrics.Issued:
    """The same forecast at each issue time, value 0, persistence without spread as reference."""
    n, horizons = len(truth), len(truth[0])
    return metrics.Issued(
        issued_s=np.arange(n, dtype=np.int64) * (86_400 * days // n + 1),
        value=np.zeros(n),
        truth=np.array(truth),
        quantiles=np.broadcast_to(quantiles, (n, horizons, len(quantiles))).astype(np.float64),
        reference=np.zeros((n, horizons, len(quantiles))),
    )


def test_pinball_charges_the_level_above_and_its_complement_below() -> None:
    loss = metrics.pinball(np.array([[1.0]]), np.array([[[0.0, 3.0]]]), (0.1, 0.9))
    np.testing.assert_allclose(loss, [[[0.1, 0.2]]])


def test_residual_quantiles_leave_unknown_pairs_out() -> None:
    value = np.array([0.0, 1.0, np.nan, 2.0])
    truth = np.array([[1.0, np.nan], [3.0, np.nan], [9.0, 9.0], [5.0, np.nan]])
    found = metrics.residual_quantiles(value, truth, (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(found[0], [1.0, 2.0, 3.0])
    assert np.isnan(found[1]).all()


def test_a_forecast_like_the_reference_has_no_skill() -> None:
    score = metrics.score_quantiles(issued([[1.0, 2.0], [3.0, -1.0]], [0.0, 0.0, 0.0]), LEVELS)
    assert score is not None
    assert score.skill == 0.0
    assert score.skill_by_horizon == (0.0, 0.0)
    assert score.loss == score.reference_loss == pytest.approx(0.5 * (1 + 2 + 3 + 1) / 4)


def test_a_perfect_forecast_has_full_skill_no_width_and_full_coverage() -> None:
    score = metrics.score_quantiles(issued([[2.0, 2.0]] * 3, [2.0, 2.0, 2.0]), LEVELS)
    assert score is not None
    assert (score.skill, score.coverage, score.width, score.interval_score) == (1.0, 1.0, 0.0, 0.0)


def test_coverage_width_and_interval_score_follow_their_definitions() -> None:
    score = metrics.score_quantiles(issued([[0.5], [3.0]], [0.0, 1.0, 2.0]), LEVELS)
    assert score is not None
    assert score.coverage == 0.5
    assert score.width == 2.0
    assert score.interval_score == pytest.approx((2.0 + 2.0 + 4.0 * 1.0) / 2)
    assert score.reached == (0.0, 0.5, 0.5)


def test_quantiles_out_of_order_are_counted() -> None:
    score = metrics.score_quantiles(issued([[0.5], [3.0]], [0.0, 2.0, 1.0]), LEVELS)
    assert score is not None
    assert score.crossing == 1.0


def test_issue_times_with_anything_unknown_are_left_out() -> None:
    score = metrics.score_quantiles(issued([[1.0, 2.0], [np.nan, 2.0]], [0.0, 1.0, 2.0]), LEVELS)
    assert score is not None
    assert score.issues == 1
    assert metrics.score_quantiles(issued([[np.nan]], [0.0, 1.0, 2.0]), LEVELS) is None


def test_an_interval_needs_five_days_and_holds_the_mean_of_equal_days() -> None:
    four = np.array([[1.0, 2.0]] * 4)
    assert metrics.day_interval(four, metrics.skill) is None
    assert metrics.day_interval(np.array([[1.0, 2.0]] * 5), metrics.skill) == (0.5, 0.5)


def test_the_gain_over_another_forecast_is_in_units_of_the_reference_loss() -> None:
    assert metrics.skill_gain(np.array([1.0, 3.0, 4.0])) == 0.5


def test_days_are_summed_by_utc_date() -> None:
    sums = metrics.day_sums(np.array([0, 86_399, 86_400]), np.array([1.0, 2.0, 4.0]))
    np.testing.assert_array_equal(sums, [[3.0], [4.0]])


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=20),
    st.floats(0.05, 0.95),
    st.floats(-5, 5),
)
def test_no_constant_has_less_pinball_loss_than_the_empirical_quantile(
    truths: list[float], level: float, other: float
) -> None:
    truth = np.array(truths)
    best = np.quantile(truth, level, method="inverted_cdf")

    def loss(x: float) -> float:
        return float(metrics.pinball(truth, np.full((len(truth), 1), x), (level,)).sum())

    assert loss(float(best)) <= loss(other) + 1e-9
