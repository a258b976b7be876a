"""How well onsets can be foreseen: the measure itself, and the simulated world held against recorded history by it."""

import numpy as np

from training.foreseeing import fits, probabilities, stretches


def test_no_day_is_judged_by_a_model_that_saw_it_or_its_neighbours() -> None:
    days = np.repeat(np.arange(100, 130), 3)
    judged = np.zeros(len(days), int)
    for others, own in stretches(days, 5):
        judged += own
        assert np.abs(days[others][:, None] - days[own][None, :]).min() == 2
    assert (judged == 1).all()


def test_a_spike_that_a_feature_tells_is_foreseen_and_noise_is_not() -> None:
    draws = np.random.default_rng(1)
    days = np.repeat(np.arange(30), 200)
    matrix = draws.standard_normal((len(days), 2)).astype(np.float32)
    positive = matrix[:, 0] > 1.5
    told = probabilities(matrix, tuple(fits(matrix, positive, days, 5)))
    assert told[positive].min() > told[~positive].max() - 0.5
    assert told[positive].mean() > 0.8
    blind = probabilities(matrix[:, 1:], tuple(fits(matrix[:, 1:], positive, days, 5)))
    assert blind[positive].mean() < 0.2
