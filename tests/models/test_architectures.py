"""What every architecture must keep, whatever it is made of: one suite over the registry and its options."""

from dataclasses import replace

import pytest
import torch

from models.losses import pinball, spike_cross_entropy
from models.registry import ARCHITECTURES
from models.served import Served
from models.shape import Forecaster, Shape, Statistics
from tests.models.world import OPTIONS, SHAPE, make, statistics, stir, windows


@pytest.fixture(params=sorted(OPTIONS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=sorted(OPTIONS.keys() - {"persistence"}))
def learner(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def forecaster(name: str) -> Forecaster:
    torch.manual_seed(0)
    return stir(make(name, SHAPE, statistics()))


def test_it_answers_in_the_shape_of_the_contract(forecaster: Forecaster) -> None:
    prediction = forecaster(windows(5))
    assert prediction.quantiles.shape == (5, 4, 2, 5)
    assert prediction.spike_logit.shape == (5, 4, 2)
    assert prediction.quantiles.dtype == prediction.spike_logit.dtype == torch.float32


def test_equal_windows_get_equal_answers(forecaster: Forecaster) -> None:
    first, second = forecaster(windows(8, 0.2)), forecaster(windows(8, 0.2))
    assert torch.equal(first.quantiles, second.quantiles)
    assert torch.equal(first.spike_logit, second.spike_logit)


def test_equal_seeds_make_equal_models(name: str) -> None:
    made = []
    for _ in range(2):
        torch.manual_seed(7)
        made.append(make(name, SHAPE, statistics()).state_dict())
    assert made[0].keys() == made[1].keys()
    assert all(torch.equal(made[0][key], made[1][key]) for key in made[0])


def test_a_window_is_answered_alone(forecaster: Forecaster) -> None:
    # In a batch of consecutive windows the later ones hold the future of the earlier ones.
    batch = windows(9, 0.1)
    together, alone = forecaster(batch), forecaster(batch[:1])
    torch.testing.assert_close(together.quantiles[:1], alone.quantiles, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(together.spike_logit[:1], alone.spike_logit, atol=1e-4, rtol=1e-5)


def test_a_later_tick_cannot_change_an_earlier_forecast(forecaster: Forecaster) -> None:
    series = windows(1, shape=replace(SHAPE, context=40))[0]
    changed = series.clone()
    changed[30:] += 5
    before, after = (
        forecaster(ticks.unfold(0, SHAPE.context, 1).transpose(1, 2)).quantiles for ticks in (series, changed)
    )
    first_that_sees_it = 30 - SHAPE.context + 1
    assert torch.equal(before[:first_that_sees_it], after[:first_that_sees_it])
    assert (before[first_that_sees_it:] != after[first_that_sees_it:]).flatten(1).any(dim=1).all()


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("size", [0.3, 5.0])
def test_quantiles_never_cross_and_spikes_never_fall_with_the_horizon(name: str, scale: float, size: float) -> None:
    torch.manual_seed(0)
    forecaster = stir(make(name, SHAPE, statistics()), size=size)
    prediction = forecaster(windows(64, 0.2) * scale)
    assert (prediction.quantiles.diff(dim=-1) >= 0).all()
    assert (prediction.spike_logit.diff(dim=1) >= 0).all()


@pytest.mark.parametrize("holes", [0.1, 0.9, 1.0])
def test_unknown_values_still_get_a_finite_answer(forecaster: Forecaster, holes: float) -> None:
    prediction = forecaster(windows(32, holes))
    assert prediction.quantiles.isfinite().all()
    assert prediction.spike_logit.isfinite().all()


def test_an_unknown_last_row_falls_back_on_the_last_known_one(name: str) -> None:
    forecaster = make(name, SHAPE, statistics()).eval()
    late = windows(4)
    late[:, -1] = torch.nan
    earlier = late.roll(1, dims=1)
    torch.testing.assert_close(forecaster(late).quantiles, forecaster(earlier).quantiles)


def test_a_window_without_anything_known_is_answered_from_the_training_means(name: str) -> None:
    facts = statistics()
    quantiles = make(name, SHAPE, facts).eval()(torch.full((1, SHAPE.context, SHAPE.features), torch.nan)).quantiles[0]
    columns, residuals = (
        (SHAPE.value_columns, facts.value_residuals)
        if name == "persistence"
        else (SHAPE.anchor_columns, facts.residuals)
    )
    torch.testing.assert_close(quantiles, facts.center[list(columns)].view(1, 2, 1) + residuals)


def test_absurd_values_are_bounded_before_a_network_sees_them(learner: str) -> None:
    forecaster = stir(make(learner, SHAPE, statistics()))
    large, larger = windows(4), windows(4)
    large[:, :, 5], larger[:, :, 5] = 1e3, 1e6
    assert torch.equal(forecaster(large).quantiles, forecaster(larger).quantiles)


@pytest.mark.parametrize("shift", [0.5, -3.0])
def test_a_shift_of_the_targets_levels_shifts_the_forecast_by_as_much(name: str, shift: float) -> None:
    torch.manual_seed(0)
    forecaster = stir(make(name, SHAPE, statistics()))
    plain, moved = windows(8), windows(8)
    moved[:, :, [0, 1, 2, 3, 4]] += shift
    torch.testing.assert_close(forecaster(moved).quantiles, forecaster(plain).quantiles + shift, atol=1e-4, rtol=1e-4)


def test_before_training_a_learner_says_what_usually_happened(learner: str) -> None:
    facts, batch = statistics(), windows(8)
    prediction = make(learner, SHAPE, facts).eval()(batch)
    torch.testing.assert_close(prediction.quantiles, batch[:, -1, [1, 3]].view(8, 1, 2, 1) + facts.residuals)
    torch.testing.assert_close(prediction.spike_logit.sigmoid(), facts.spike_rate.expand(8, 4, 2))


def test_every_weight_of_a_learner_gets_a_gradient(learner: str) -> None:
    forecaster = stir(make(learner, SHAPE, statistics()), size=0.1).train()
    prediction = forecaster(windows(64, 0.1))
    known, truth = torch.ones(64, 4, 2, dtype=torch.bool), torch.zeros(64, 4, 2)
    loss = pinball(prediction.quantiles, truth, known, torch.tensor(SHAPE.levels))
    loss = loss + spike_cross_entropy(prediction.spike_logit, truth, known, known[:, 0])
    weights = list(forecaster.parameters())
    loss.backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in weights)


def test_a_learner_learns_what_a_feature_says(learner: str) -> None:
    torch.manual_seed(0)
    forecaster = make(learner, SHAPE, statistics()).train()
    batch, levels = windows(256), torch.tensor(SHAPE.levels)
    truth = (batch[:, -1, [1, 3]] + batch[:, -1, 5:6]).unsqueeze(1).expand(-1, 4, -1)
    known = torch.ones_like(truth, dtype=torch.bool)
    optimiser = torch.optim.AdamW(forecaster.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = pinball(forecaster(batch).quantiles, truth, known, levels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_its_state_moves_to_a_model_built_blank(forecaster: Forecaster, name: str) -> None:
    blank = make(name, SHAPE, Statistics.blank(SHAPE)).eval()
    blank.load_state_dict(forecaster.state_dict())
    batch = windows(4, 0.2)
    assert torch.equal(blank(batch).quantiles, forecaster(batch).quantiles)
    assert torch.equal(blank(batch).spike_logit, forecaster(batch).spike_logit)


def test_served_without_calibration_it_says_the_same(forecaster: Forecaster) -> None:
    batch = windows(8, 0.1)
    quantiles, spike = Served(forecaster)(batch)
    assert torch.equal(quantiles, forecaster(batch).quantiles)
    assert torch.equal(spike, forecaster(batch).spike_logit.sigmoid())


def test_the_smallest_shape_works(name: str) -> None:
    shape = Shape(1, 1, 1, 1, (0.5,), (0,), (0,))
    prediction = make(name, shape, Statistics.blank(shape))(torch.zeros(2, 1, 1))
    assert prediction.quantiles.shape == (2, 1, 1, 1)
    assert prediction.spike_logit.shape == (2, 1, 1)


def test_only_models_with_weights_claim_to_learn(name: str) -> None:
    assert any(True for _ in make(name, SHAPE, statistics()).parameters()) == ARCHITECTURES[OPTIONS[name][0]].learns
