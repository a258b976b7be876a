"""Spike probabilities read off quantiles; what the graph says of them is in test_combination."""

import numpy as np
import pytest

from data.panel import Labels
from tests.training.small import SMALL
from training.onset import Onsets, distance, learnt

LIMIT = SMALL.features.index(next(feature for feature in SMALL.features if feature.name == "threshold"))


def newest(limits: list[float]) -> np.ndarray:
    rows = np.zeros((len(limits), len(SMALL.features)), np.float32)
    rows[:, LIMIT] = limits
    return rows


def test_distance_is_in_widths_of_the_upper_half_averaged_over_horizons() -> None:
    quantiles = np.zeros((2, 3, 2, 3), np.float32)
    quantiles[:, :, 0] = [[0, 1, 2], [0, 1, 3], [0, 1, 5]]  # upper halves 1, 2 and 4
    found = distance(quantiles, newest([5.0, np.nan]), SMALL)
    assert found[0, 0] == pytest.approx((4 + 2 + 1) / 3)
    assert np.isnan(found[1, 0])


def example(count: int = 3000) -> tuple[np.ndarray, np.ndarray, Labels]:
    """Quantiles, newest rows, and labels whose spikes are the likelier the nearer the threshold is."""
    random = np.random.default_rng(0)
    far = random.uniform(0, 4, count)
    chance = 1 / (1 + np.exp(2 * far[:, None] - np.array([0.0, 0.5, 1.0])))
    crossed = np.maximum.accumulate(random.uniform(size=(count, 1)) < chance, axis=1)[..., None].repeat(2, axis=2)
    quantiles = np.broadcast_to(np.float32([-1, 0, 1]), (count, 3, 2, 3))
    known = np.ones((count, 3, 2), np.bool_)
    known[..., 1] = False  # the other target has no threshold
    value, ahead = np.zeros((count, 2), np.float32), np.zeros((count, 3, 2), np.float32)
    labels = Labels(value, ahead, crossed.astype(np.float32), np.ones((count, 2), np.bool_), known)
    return quantiles, newest(far.tolist()), labels


def test_the_line_that_the_spikes_follow_is_found_and_only_where_there_are_spikes() -> None:
    quantiles, rows, labels = example()
    found = learnt(Onsets.unknown(SMALL), quantiles, rows, labels, SMALL)
    assert found.told.tolist() == [True, False]
    assert found.slope[0] == pytest.approx(2, abs=0.25)
    np.testing.assert_allclose(found.constant[:, 0], [0, 0.5, 1], atol=0.3)
    assert (np.diff(found.constant[:, 0]) >= 0).all()
