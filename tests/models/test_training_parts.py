"""Losses, calibration and the served graph, by hand-computed cases and laws."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import FEWEST, conformal_rank, fit_offsets
from models.losses import pinball, spike_cross_entropy, target_weight
from models.registry import build
from models.served import Served
from tests.models.world import SHAPE, statistics, windows

LEVELS = (0.1, 0.5, 0.9)


def test_pinball_is_the_textbook_s() -> None:
    quantiles = torch.tensor([1.0, 2.0, 4.0]).view(1, 1, 1, 3)
    loss = pinball(quantiles, torch.full((1, 1, 1), 3.0), torch.ones(1, 1, 1, dtype=torch.bool), torch.tensor(LEVELS))
    assert loss.item() == pytest.approx((0.1 * 2 + 0.5 * 1 + 0.1 * 1) / 3)


def test_unknown_truths_neither_count_nor_spoil_the_gradient() -> None:
    quantiles = torch.zeros(2, 1, 1, 3, requires_grad=True)
    truth = torch.tensor([1.0, torch.nan]).view(2, 1, 1)
    loss = pinball(quantiles, truth, truth.isfinite(), torch.tensor(LEVELS))
    loss.backward()
    assert loss.item() == pytest.approx(0.5)
    assert quantiles.grad is not None
    assert quantiles.grad[1].tolist() == [[[0.0, 0.0, 0.0]]]
    assert quantiles.grad.isfinite().all()


def test_a_batch_without_any_known_truth_costs_nothing() -> None:
    nothing = torch.zeros(2, 4, 2, dtype=torch.bool)
    unknown = torch.full((2, 4, 2), torch.nan)
    assert pinball(torch.ones(2, 4, 2, 3), unknown, nothing, torch.tensor(LEVELS)).item() == 0
    assert spike_cross_entropy(torch.ones(2, 4, 2), unknown, nothing, nothing[:, 0]).item() == 0


def test_targets_count_by_their_weights() -> None:
    quantiles, truth = torch.zeros(1, 1, 2, 1), torch.tensor([[[2.0, 4.0]]])
    known, level = torch.ones(1, 1, 2, dtype=torch.bool), torch.tensor([0.5])
    loss = pinball(quantiles, truth, known, level, torch.tensor([1.0, 0.25]))
    assert loss.item() == pytest.approx((1.0 + 0.5) / 2)


def test_a_target_s_weight_is_one_over_its_usual_width() -> None:
    facts = statistics()
    facts.value_residuals[:, 1] *= 4
    first, second = target_weight(SHAPE, facts).tolist()
    assert first == pytest.approx(4 * second)


def test_spikes_count_only_where_known_and_at_risk() -> None:
    logit = torch.tensor([0.0, 3.0, -2.0]).view(3, 1, 1)
    crossed = torch.tensor([1.0, 1.0, torch.nan]).view(3, 1, 1)
    known, at_risk = torch.tensor([True, True, False]).view(3, 1, 1), torch.tensor([True, False, True]).view(3, 1)
    assert spike_cross_entropy(logit, crossed, known, at_risk).item() == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("level", "count", "rank"), [(0.9, 9, 8), (0.1, 9, 0), (0.5, 9, 4), (0.9, 99, 89), (0.95, 5, 4), (0.05, 5, 0)]
)
def test_the_conformal_rank_counts_one_outcome_more_than_there_are(level: float, count: int, rank: int) -> None:
    assert conformal_rank(level, count) == rank


def normal(count: int, width: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forecast quantiles of a band ±width around a random centre, standard normal truths, everything known."""
    generator = np.random.default_rng(seed)
    centre = generator.normal(size=(count, 2, 1, 1))
    quantiles = (centre + width * np.array([-1.0, 0.0, 1.0])).astype(np.float32)
    truth = (centre[..., 0] + generator.normal(size=(count, 2, 1))).astype(np.float32)
    return quantiles, truth, np.ones(truth.shape, np.bool_)


@settings(max_examples=20, deadline=None)
@given(width=st.floats(0.2, 5), seed=st.integers(0, 1000))
def test_after_calibration_each_level_holds_as_often_as_it_says(width: float, seed: int) -> None:
    quantiles, truth, known = normal(400, width, seed)
    offsets = fit_offsets(quantiles, truth, known, LEVELS)
    moved = quantiles + offsets * (quantiles[..., -1:] - quantiles[..., :1])
    held = (truth[..., None] <= moved + 1e-5).mean(axis=0)
    np.testing.assert_allclose(
        held, np.broadcast_to(LEVELS, held.shape), atol=2 / 400 + 1e-9
    )  # the rank, and a truth within the slack


def test_calibration_carries_over_to_outcomes_it_has_not_seen() -> None:
    offsets = fit_offsets(*normal(2000, 0.4), LEVELS)
    quantiles, truth, _ = normal(2000, 0.4, seed=1)
    moved = quantiles + offsets * (quantiles[..., -1:] - quantiles[..., :1])
    assert np.abs((truth[..., None] <= moved).mean(axis=0) - LEVELS).max() < 0.03


def test_too_few_known_outcomes_calibrate_nothing() -> None:
    quantiles, truth, known = normal(200, 0.4)
    known[FEWEST - 1 :, 0] = False
    truth[~known] = np.nan
    offsets = fit_offsets(quantiles, truth, known, LEVELS)
    assert (offsets[0] == 0).all()
    assert (offsets[1] != 0).any()


def test_a_served_model_moves_quantiles_by_its_own_width_and_keeps_their_order() -> None:
    served = Served(build("persistence", SHAPE, statistics()))
    batch = windows(4)
    plain = served(batch)[0]
    width = plain[..., -1:] - plain[..., :1]
    offset = torch.zeros(SHAPE.outcome)
    offset[..., 0], offset[..., 4] = -0.5, 0.25
    served.calibrate(offset)
    torch.testing.assert_close(served(batch)[0], plain + offset * width)
    served.calibrate(-2 * offset)
    assert (served(batch)[0].diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("offset", [torch.zeros(1), torch.full(SHAPE.outcome, torch.nan)])
def test_offsets_of_another_shape_or_with_holes_are_refused(offset: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected finite offsets"):
        Served(build("persistence", SHAPE, statistics())).calibrate(offset)


def test_calibration_is_part_of_the_state_that_is_saved() -> None:
    served = Served(build("linear", SHAPE, statistics()))
    served.calibrate(torch.rand(SHAPE.outcome))
    again = Served(build("linear", SHAPE, statistics()))
    again.load_state_dict(served.state_dict())
    assert torch.equal(again.offset, served.offset)
