"""What is known of the ticks ahead, and what a model makes of it."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.future import Clock, Future
from models.horizons import HorizonHead
from models.inputs import Inputs
from models.registry import build
from models.shape import Phase, Shape, Statistics
from tests.models.world import SHAPE, statistics, windows

QUARTERS = (0.25, 0.5, 0.75, 1.0)


@given(phase=st.floats(0, 1), overtones=st.integers(1, 12))
def test_a_clock_is_turned_ahead_and_its_overtones_with_it(phase: float, overtones: int) -> None:
    now = 2 * math.pi * phase
    clock = Clock(Phase(0, 1, QUARTERS, overtones))
    found = clock(torch.tensor([[math.sin(now), math.cos(now)]]))[0]
    for horizon, turn in enumerate(QUARTERS):
        for tone in range(1, overtones + 1):
            then = tone * (now + 2 * math.pi * turn)
            assert found[horizon, 2 * tone - 2].item() == pytest.approx(math.sin(then), abs=1e-5)
            assert found[horizon, 2 * tone - 1].item() == pytest.approx(math.cos(then), abs=1e-5)


def test_a_clock_that_is_not_told_tells_nothing() -> None:
    assert Clock(Phase(0, 1, QUARTERS, 2))(torch.tensor([[torch.nan, 1.0]])).abs().sum() == pytest.approx(4 * 2)
    assert (Clock(Phase(0, 1, QUARTERS, 2))(torch.full((1, 2), torch.nan)) == 0).all()


def facts_of(spread: float) -> tuple[Shape, Statistics]:
    shape = Shape(1, 3, 2, 1, (0.1, 0.9), (0,), (1,), (2,))
    blank = Statistics.blank(shape)
    residuals = torch.tensor([[[-0.5, 0.5]], [[-1.0, 1.0]]]) * spread
    return shape, replace(blank, residuals=residuals)


def test_what_is_implied_and_the_way_to_the_threshold_count_in_usual_spreads_of_each_horizon() -> None:
    shape, facts = facts_of(spread=2.0)
    window = torch.tensor([[[3.0, 4.0, 5.0]]])  # value 3, already implied 4, threshold 5
    known = Future(shape, facts)(window, torch.tensor([[4.0]]), Inputs(shape, facts))
    assert known.tolist() == [[[0.5, 0.5], [0.25, 0.25]]]


def test_a_far_threshold_is_just_far() -> None:
    shape, facts = facts_of(spread=0.0)
    known = Future(shape, facts)(torch.tensor([[[3.0, 3.0, 9e9]]]), torch.tensor([[3.0]]), Inputs(shape, facts))
    assert known.tolist() == [[[0.0, 4.0]] * 2]


def test_its_width_is_what_it_says() -> None:
    future, facts = Future(SHAPE, statistics()), statistics()
    batch = windows(3, 0.2)
    assert future(batch, batch[:, -1, [1, 3]].nan_to_num(), Inputs(SHAPE, facts)).shape == (3, 4, future.width)


def test_every_horizon_reads_its_own_future_through_shared_weights() -> None:
    head = HorizonHead(width=2, known=1, hidden=5, shape=SHAPE)
    torch.nn.init.normal_(head.output.weight)
    torch.nn.init.zeros_(head.horizon)
    state, known = torch.randn(1, 2), torch.tensor([[[1.0], [2.0], [1.0], [3.0]]])
    found = head(state, known)
    assert found.shape == (1, 4, 2, 6)
    assert torch.equal(found[:, 0], found[:, 2])
    assert not torch.equal(found[:, 0], found[:, 1])


def test_a_shared_head_learns_an_hour_of_the_day_from_other_horizons() -> None:
    # The truth is high while the clock shows a quarter to a half. Only the first horizon is ever taught that.
    torch.manual_seed(0)
    turns = (0.1, 0.35)
    shape = Shape(1, 3, 2, 1, (0.5,), (0,), (0,), phases=(Phase(1, 2, turns, overtones=3),))
    model = build("tcn", shape, Statistics.blank(shape), {"channels": 4, "dropout": 0.0, "horizon_width": 16})
    now = torch.rand(512)
    angle = 2 * math.pi * now
    window = torch.stack([torch.zeros(512), angle.sin(), angle.cos()], dim=1).unsqueeze(1)
    then = (now.unsqueeze(1) + torch.tensor(turns)) % 1
    truth = ((then > 0.25) & (then < 0.5)).float()
    torch.nn.init.zeros_(model.horizons.horizon)
    weights = [model.horizons.known.weight, model.horizons.output.weight]
    optimiser = torch.optim.AdamW(weights, lr=0.02, weight_decay=0.0)
    for _ in range(200):
        loss = (model(window).quantiles[:, 0, 0, 0] - truth[:, 0]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = model(window).quantiles[:, 1, 0, 0]
    assert torch.corrcoef(torch.stack([found, truth[:, 1]]))[0, 1] > 0.8
