"""Losses against numbers computed by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.losses import (
    Lever,
    at_level,
    crps,
    decision_cost,
    lead_weight,
    level_shares,
    pinball,
    qlike,
    spike_cross_entropy,
)

LEVELS = torch.tensor([0.1, 0.5, 0.9])
YES = torch.ones(1, 1, 1, dtype=torch.bool)


def cell(*values: float) -> Tensor:
    """One issue, one horizon, one target."""
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_each_level_stands_for_what_is_nearest_to_it() -> None:
    torch.testing.assert_close(level_shares(LEVELS), torch.tensor([0.3, 0.4, 0.3]))
    torch.testing.assert_close(level_shares(torch.tensor([0.5])), torch.tensor([1.0]))


def test_crps_weighs_the_pinball_losses_by_their_levels_shares() -> None:
    # Truth 3 against 1, 2, 4: losses 0.1·2, 0.5·1, 0.1·1.
    found = crps(cell(1, 2, 4), cell(3)[..., 0], YES, LEVELS)
    assert found.item() == pytest.approx(2 * (0.3 * 0.2 + 0.4 * 0.5 + 0.3 * 0.1))


def test_crps_of_many_levels_is_that_of_the_uniform_law() -> None:
    # A uniform forecast on 0..1 and the truth 0: CRPS = ∫ (1 − x)² dx = 1/3.
    levels = (torch.arange(1000) + 0.5) / 1000
    assert crps(levels.view(1, 1, 1, -1), cell(0)[..., 0], YES, levels).item() == pytest.approx(1 / 3, abs=1e-5)


def test_crps_counts_targets_by_their_weight_and_leaves_out_the_unknown() -> None:
    quantiles, truth = torch.zeros(1, 1, 2, 1), torch.tensor([[[1.0, torch.nan]]])
    found = crps(quantiles, truth, truth.isfinite(), torch.tensor([0.5]), torch.tensor([3.0, 7.0]))
    assert found.item() == pytest.approx(3.0)


def test_qlike_is_zero_at_the_truth_and_r_minus_ln_r_minus_one_elsewhere() -> None:
    known = YES[..., 0]
    truth = torch.tensor([[0.5]])
    assert qlike(torch.full((1, 1, 3), 0.5), truth, known, LEVELS).item() == pytest.approx(0, abs=1e-6)
    # Variance forecast e² times too low: r = e².
    found = qlike(torch.full((1, 1, 3), -0.5), truth, known, LEVELS)
    assert found.item() == pytest.approx(math.e**2 - 2 - 1, rel=1e-5)


def test_qlike_reads_the_mean_of_the_variance_off_all_levels() -> None:
    quantiles = torch.log(torch.tensor([[[1.0, 2.0, 3.0]]])) / 2  # variances 1, 2, 3: mean 0.3 + 0.8 + 0.9 = 2
    found = qlike(quantiles, torch.log(torch.tensor([[4.0]])) / 2, YES[..., 0], LEVELS)
    assert found.item() == pytest.approx(2 - math.log(2) - 1, rel=1e-5)


def test_qlike_of_an_absurd_error_is_finite_and_of_an_unknown_truth_nothing() -> None:
    quantiles = torch.zeros(1, 1, 3, requires_grad=True)
    loss = qlike(quantiles, torch.tensor([[1e6]]), YES[..., 0], LEVELS)
    assert loss.isfinite()
    nothing = qlike(quantiles, torch.tensor([[torch.nan]]), ~YES[..., 0], LEVELS)
    nothing.backward()
    assert nothing.item() == 0
    assert quantiles.grad is not None
    assert (quantiles.grad == 0).all()


def test_the_focal_loss_leaves_easy_outcomes_out() -> None:
    logit = torch.tensor([0.0, math.log(9.0)]).view(2, 1, 1)  # p = 0.5 and 0.9
    crossed, known, at_risk = torch.ones(2, 1, 1), torch.ones(2, 1, 1, dtype=torch.bool), torch.ones(2, 1, dtype=bool)
    found = spike_cross_entropy(logit, crossed, known, at_risk, focus=2.0)
    wanted = (0.5**2 * math.log(2) + 0.1**2 * -math.log(0.9)) / 2
    assert found.item() == pytest.approx(wanted, rel=1e-4)


def test_the_focal_loss_has_a_gradient_where_the_answer_is_certain() -> None:
    logit = torch.tensor([40.0, -40.0]).view(2, 1, 1).requires_grad_()
    crossed, known, at_risk = torch.ones(2, 1, 1), torch.ones(2, 1, 1, dtype=torch.bool), torch.ones(2, 1, dtype=bool)
    spike_cross_entropy(logit, crossed, known, at_risk, focus=2.0).backward()
    assert logit.grad is not None
    assert logit.grad.isfinite().all()


def crossing_at(step: int, horizons: int = 4) -> Tensor:
    """(1, horizon, 1): crossed by each horizon when the threshold is crossed at tick `step` (0: never)."""
    return torch.tensor([float(0 < step <= h) for h in range(1, horizons + 1)]).view(1, -1, 1)


@pytest.mark.parametrize(
    ("step", "weights"),
    [(0, [1, 1, 1, 1]), (1, [0.2, 0.2, 0.2, 0.2]), (2, [1, 0.2, 0.2, 0.2]), (3, [1, 1, 1, 1])],
)
def test_a_warning_that_comes_too_late_for_a_lead_of_two_ticks_counts_little(step: int, weights: list[float]) -> None:
    # A spike in the third tick starts two whole ticks after the issue; one in the second tick only one.
    assert lead_weight(crossing_at(step), 2, 0.2).flatten().tolist() == pytest.approx(weights)


def test_without_a_lead_every_warning_counts() -> None:
    assert (lead_weight(crossing_at(1), 0, 0.2) == 1).all()


def test_weights_are_shares_of_what_counts() -> None:
    logit = torch.tensor([0.0, math.log(3.0)]).view(2, 1, 1)
    crossed, known, at_risk = torch.zeros(2, 1, 1), torch.ones(2, 1, 1, dtype=torch.bool), torch.ones(2, 1, dtype=bool)
    weight = torch.tensor([1.0, 3.0]).view(2, 1, 1)
    found = spike_cross_entropy(logit, crossed, known, at_risk, weight)
    assert found.item() == pytest.approx((math.log(2) + 3 * math.log(4)) / 4)
    assert spike_cross_entropy(logit, crossed, known, ~at_risk, weight).item() == 0


@pytest.mark.parametrize(("level", "value"), [(0.1, 1.0), (0.3, 1.5), (0.5, 2.0), (0.8, 3.5), (0.99, 4.0), (0.01, 1.0)])
def test_a_quantile_between_levels_lies_between_them(level: float, value: float) -> None:
    assert at_level(cell(1, 2, 4), (0.1, 0.5, 0.9), level).item() == pytest.approx(value)


def test_a_lever_pays_for_what_is_missing_and_what_is_held() -> None:
    # Ordered 4 where 6 and 3 were needed, at level 0.9 and a price of 10: 10 · (0.9 · 2) and 10 · (0.1 · 1).
    quantiles = cell(1, 2, 4).expand(2, -1, -1, -1)
    truth = torch.tensor([6.0, 3.0]).view(2, 1, 1)
    found = decision_cost(quantiles, truth, truth.isfinite(), (0.1, 0.5, 0.9), (Lever(0, 0, 0.9, 10.0),))
    assert found.item() == pytest.approx((1.8 + 0.1) / 2)


def test_levers_count_by_their_price_each_at_its_own_horizon() -> None:
    quantiles = torch.zeros(1, 2, 1, 3)
    truth = torch.tensor([1.0, 2.0]).view(1, 2, 1)
    levers = (Lever(0, 0, 0.5, 1.0), Lever(1, 0, 0.9, 3.0))
    found = decision_cost(quantiles, truth, truth.isfinite(), (0.1, 0.5, 0.9), levers)
    assert found.item() == pytest.approx((1 * 0.5 * 1 + 3 * 0.9 * 2) / 4)


@given(shift=st.floats(-3, 3), level=st.sampled_from([0.1, 0.5, 0.9]))
def test_a_lever_at_a_level_of_the_forecast_costs_its_pinball_loss(shift: float, level: float) -> None:
    quantiles, truth = cell(1, 2, 4), cell(shift)[..., 0]
    place = LEVELS.tolist().index(pytest.approx(level))
    cost = decision_cost(quantiles, truth, YES, (0.1, 0.5, 0.9), (Lever(0, 0, level, 7.0),))
    wanted = pinball(quantiles[..., place : place + 1], truth, YES, LEVELS[place : place + 1])
    assert cost.item() == pytest.approx(wanted.item(), abs=1e-5)
