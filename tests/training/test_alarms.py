"""Alarm scores, against cases worked by hand."""

import numpy as np
import pytest

from training import alarms


def onsets(steps: list[int], probability: list[float], reach: int = 3, tick: list[int] | None = None) -> alarms.Onsets:
    return alarms.Onsets(
        tick=np.array(tick if tick is not None else range(len(steps)), np.int64),
        steps=np.array(steps, np.int64),
        fresh=np.ones(len(steps), np.bool_),
        probability=np.array(probability),
        tick_s=300,
        reach=reach,
    )


def test_average_precision_of_a_perfect_ranking_is_one() -> None:
    assert alarms.average_precision(np.array([True, True, False]), np.array([0.9, 0.8, 0.1])) == 1.0


def test_average_precision_of_a_constant_is_the_base_rate() -> None:
    assert alarms.average_precision(np.array([True, False, False, False]), np.full(4, 0.3)) == 0.25


def test_average_precision_sums_precision_at_each_hit() -> None:
    positive = np.array([False, True, False, True])
    assert alarms.average_precision(positive, np.array([0.9, 0.8, 0.7, 0.6])) == pytest.approx((1 / 2 + 2 / 4) / 2)


def test_weights_repeat_issue_times() -> None:
    positive, probability = np.array([True, False]), np.array([0.1, 0.9])
    weighted = alarms.average_precision(positive, probability, np.array([1.0, 3.0]))
    repeated = alarms.average_precision(np.array([True, False, False, False]), np.array([0.1, 0.9, 0.9, 0.9]))
    assert weighted == repeated == 0.25


@pytest.mark.parametrize(("ticks", "count"), [([], 0), ([5], 1), ([0, 1, 2], 1), ([0, 1, 2, 3], 2), ([0, 3, 6, 8], 3)])
def test_a_false_alarm_absorbs_those_within_reach(ticks: list[int], count: int) -> None:
    assert alarms.count_false_alarms(np.array(ticks, np.int64), reach=3) == count


def test_the_budget_sets_the_lowest_threshold_that_keeps_it() -> None:
    found = onsets([0, 0, 0, 0, 2], [0.9, 0.1, 0.1, 0.5, 0.5], reach=1)
    np.testing.assert_array_equal(alarms.alarms_within_budget(found, 1), [True, False, False, False, False])
    np.testing.assert_array_equal(alarms.alarms_within_budget(found, 2), [True, False, False, True, True])
    assert not alarms.alarms_within_budget(found, 0).any()


def test_lead_runs_from_the_first_alarm_to_the_start_of_the_spike() -> None:
    found = onsets([3, 2, 1, 0, 0, 0, 0, 0, 2, 1], [0.0] * 10)
    alarm = np.array([False, True, True, False, False, False, False, False, False, False])
    leads = alarms.leads(found, alarm)
    assert leads[0] == 1.0
    assert np.isnan(leads[1])


def test_an_alarm_after_the_spike_began_is_late() -> None:
    found = onsets([1, 3], [0.0, 0.0], tick=[0, 2])
    assert np.isnan(alarms.leads(found, np.array([False, True]))).all()


def test_the_whole_score_of_a_small_case() -> None:
    day = 288
    steps = [0] * day
    steps[100:103] = [3, 2, 1]
    probability = [0.0] * day
    probability[100:103] = [0.8, 0.8, 0.8]
    probability[200] = 0.9
    score = alarms.score_alarms(onsets(steps, probability))
    assert score is not None
    assert score.base_rate == 3 / day
    assert (score.episodes, score.false_alarms) == (1, 1)
    assert (score.recall, score.recall_lead, score.median_lead_s) == (1.0, 1.0, 600.0)
    assert score.pr_auc == pytest.approx(3 / 4)
    assert score.brier == pytest.approx((3 * 0.2**2 + 0.9**2) / day)
    assert score.pr_auc_interval is None


def test_without_positives_precision_and_recall_are_not_defined() -> None:
    score = alarms.score_alarms(onsets([0, 0], [0.1, 0.2]))
    assert score is not None
    assert (score.pr_auc, score.recall, score.episodes) == (None, None, 0)
    assert alarms.score_alarms(onsets([], [])) is None
