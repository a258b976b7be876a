"""Tests of differences: what equal, better, unrelated and several forecasts give."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.hindsights import LEVELS, issued
from training.significance import diebold_mariano, difference, holm, pair

BOTH = (LEVELS, LEVELS)


def test_equal_forecasts_do_not_differ() -> None:
    paired = pair(issued(), issued(), BOTH)
    assert paired is not None
    found = difference(paired)
    assert (found.gain, found.interval, found.statistic, found.better, found.worse) == (
        0.0,
        (0.0, 0.0),
        None,
        False,
        False,
    )


def test_a_biased_forecast_is_worse_and_the_other_way_round_better() -> None:
    good, bad = issued(), issued(bias=0.3)
    ahead, behind = (difference(pair(a, b, BOTH)) for a, b in ((good, bad), (bad, good)))  # type: ignore[arg-type]
    assert ahead.better
    assert behind.worse
    assert ahead.gain == pytest.approx(-behind.gain)
    assert ahead.p == behind.p
    assert ahead.dm_p is not None
    assert ahead.dm_p < 0.001
    assert ahead.issues == 8 * 96


def test_only_shared_issue_times_horizons_and_levels_are_compared() -> None:
    whole = issued()
    part = replace(
        whole,
        **{name: getattr(whole, name)[100:300] for name in ("issued_s", "value")},
        truth=whole.truth[100:300, :2],
        quantiles=whole.quantiles[100:300, :2, 1:4],
        reference=whole.reference[100:300, :2, 1:4],
    )
    paired = pair(part, whole, (LEVELS[1:4], LEVELS))
    assert paired is not None
    assert (len(paired.first), paired.horizons) == (200, 2)
    np.testing.assert_allclose(paired.first, paired.second)


def test_other_truths_or_other_times_are_not_compared() -> None:
    assert pair(issued(), issued(seed=1), BOTH) is None
    late = replace(issued(), issued_s=issued().issued_s + 10**9)
    assert pair(late, issued(), BOTH) is None


def test_few_days_give_no_interval_but_a_diebold_mariano() -> None:
    found = difference(pair(issued(days=3), issued(days=3, bias=0.3), BOTH))  # type: ignore[arg-type]
    assert (found.interval, found.p, found.better) == (None, None, False)
    assert found.dm_p is not None


def test_diebold_mariano_without_overlap_is_the_t_test_of_the_mean() -> None:
    gain = np.array([1.0, -0.5, 2.0, 0.5])
    statistic, p = diebold_mariano(gain, 1)
    lags = 1  # 4 (4/100)^(2/9), rounded down
    centred = gain - 0.75
    variance = (centred @ centred / 4 + 2 * (1 - 1 / (lags + 1)) * (centred[1:] @ centred[:-1]) / 4) / 4
    assert statistic == pytest.approx(0.75 / np.sqrt(variance) * np.sqrt(3 / 4))
    assert p is not None
    assert 0 < p < 1


def test_noise_is_rejected_about_as_often_as_the_level_says() -> None:
    generator = np.random.default_rng(0)
    found = [diebold_mariano(generator.normal(size=400), 4)[1] for _ in range(400)]
    assert 0.02 < np.mean([p is not None and p < 0.05 for p in found]) < 0.1


def test_holm_multiplies_the_smallest_by_the_count() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]


@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_never_lowers_a_value_or_their_order(values: list[float]) -> None:
    raised = [value for value in holm(values) if value is not None]
    assert all(a <= b <= 1 for a, b in zip(values, raised, strict=True))
    order = np.argsort(values, kind="stable")
    assert all(np.diff(np.array(raised)[order]) >= 0) if values else raised == []
