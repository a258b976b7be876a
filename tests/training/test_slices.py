"""Scores by regime, hour and horizon."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.hindsights import LEVELS, REACH, issued
from training.metrics import score_quantiles
from training.slices import flat, slices


def test_regimes_are_thirds_and_hours_cover_the_day() -> None:
    found = slices(issued(), LEVELS)
    regimes = {one.name: one.issues for one in found if one.kind == "regime"}
    assert list(regimes) == ["calm", "middle", "wild"]
    assert sum(regimes.values()) == 8 * 96
    assert max(regimes.values()) - min(regimes.values()) <= 1
    assert [one.issues for one in found if one.kind == "hour"] == [32] * 24
    assert [one.name for one in found if one.kind == "horizon"] == [f"h0{h}" for h in range(1, REACH + 1)]


def test_a_horizon_scores_what_the_whole_says_of_it() -> None:
    whole = score_quantiles(issued(), LEVELS)
    assert whole is not None
    skills = [one.skill for one in slices(issued(), LEVELS) if one.kind == "horizon"]
    assert skills == pytest.approx(whole.skill_by_horizon)


def test_a_bad_regime_shows() -> None:
    made = issued()
    wild = made.value > np.quantile(made.value, 2 / 3)
    spoilt = replace(made, quantiles=made.quantiles + np.where(wild, 1.0, 0.0)[:, None, None])
    found = flat(slices(spoilt, LEVELS))
    assert found["skill_regime/wild"] < 0 < found["skill_regime/calm"]
    assert found["coverage_regime/wild"] < 0.6


def test_too_few_issue_times_say_nothing() -> None:
    made = issued(days=1)
    assert not [one for one in slices(made, LEVELS) if one.kind == "hour"]
    unknown = replace(made, truth=np.full_like(made.truth, np.nan))
    assert slices(unknown, LEVELS) == []
