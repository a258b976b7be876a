"""The convolutional network computes what the textbook's dense causal network would."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.encoded import Encoded
from models.registry import build
from models.shape import Shape, Statistics
from models.tcn import TAPS, Tcn
from tests.models.world import stir


def network(context: int, channels: int = 5) -> Tcn:
    shape = Shape(context, 3, 1, 1, (0.5,), (0,), (0,))
    made = stir(build("tcn", shape, Statistics.blank(shape), {"channels": channels}))
    assert isinstance(made, Encoded)
    assert isinstance(made.encoder, Tcn)
    return made.encoder


def dense(model: Tcn, standard: Tensor) -> Tensor:
    """(batch, ticks, channels): the same weights as causal convolutions of dilation 1, 2, 4 ... at every tick."""
    x = model.entry(standard)
    for depth, layer in enumerate(model.layers):
        dilation = 2**depth
        weight = layer.mix.weight.unflatten(1, (TAPS, -1)).transpose(1, 2)
        padded = functional.pad(layer.norm(x).transpose(1, 2), ((TAPS - 1) * dilation, 0))
        x = x + functional.silu(functional.conv1d(padded, weight, layer.mix.bias, dilation=dilation).transpose(1, 2))
    return model.norm(x)


@given(context=st.integers(1, 40), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_sparse_network_equals_the_dense_one_at_the_last_tick(context: int, seed: int) -> None:
    model = network(context)
    standard = torch.randn(3, context, 3, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(model(standard), dense(model, standard)[:, -1], rtol=1e-4, atol=1e-5)


def test_in_the_dense_network_no_tick_sees_a_later_one() -> None:
    model = network(24)
    standard = torch.randn(2, 24, 3)
    changed = standard.clone()
    changed[:, 15:] += 1
    before, after = dense(model, standard), dense(model, changed)
    assert torch.equal(before[:, :15], after[:, :15])
    assert not torch.equal(before[:, 15], after[:, 15])


@pytest.mark.parametrize("context", [1, 2, 3, 64, 65, 72])
def test_the_first_tick_of_the_window_reaches_the_answer(context: int) -> None:
    model = network(context)
    standard = torch.randn(1, context, 3, requires_grad=True)
    model(standard).square().sum().backward()
    assert standard.grad is not None
    assert (standard.grad.abs().sum(dim=2) > 0).all()


@pytest.mark.parametrize("options", [{"channels": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    shape = Shape(4, 3, 1, 1, (0.5,), (0,), (0,))
    with pytest.raises(ValueError, match="tcn: expected channels >= 1"):
        build("tcn", shape, Statistics.blank(shape), options)
