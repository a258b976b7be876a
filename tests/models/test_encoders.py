"""What encoders read of a window, by hand-computed cases."""

import pytest
import torch

from models.dlinear import Decomposed, DLinearConfig, moving_average
from models.encoded import folded, folds
from models.patch import PatchConfig, Patches
from models.registry import build
from tests.models.world import SHAPE, statistics


def test_ticks_are_folded_so_that_the_last_row_ends_with_the_newest() -> None:
    ticks = torch.arange(1.0, 6).view(1, 5, 1)
    assert folded(ticks, 2).tolist() == [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]]
    assert folded(ticks, 2).shape[1] == folds(5, 2)


def test_a_moving_average_repeats_the_ends() -> None:
    series = torch.tensor([3.0, 0.0, 0.0, 6.0])
    torch.testing.assert_close(series @ moving_average(4, 3), torch.tensor([2.0, 1.0, 2.0, 4.0]))
    assert torch.equal(series @ moving_average(4, 1), series)


def test_trend_and_remainder_add_up_to_the_past_relative_to_its_end() -> None:
    standard = torch.randn(2, SHAPE.context, SHAPE.features)
    parts = Decomposed(SHAPE, DLinearConfig())(standard).view(2, 2, 2, SHAPE.context)  # batch, column, part, tick
    torch.testing.assert_close(parts.sum(dim=2), (standard - standard[:, -1:])[:, :, [0, 2]].transpose(1, 2))


def test_columns_that_are_not_mixed_do_not_see_one_another() -> None:
    encoder = Patches(SHAPE, PatchConfig(mixing=0))
    standard = torch.randn(1, SHAPE.context, SHAPE.features)
    changed = standard.clone()
    changed[:, :, 2] += 1
    before, after = (encoder(ticks).unflatten(1, (4, -1)) for ticks in (standard, changed))
    assert (before != after).any(dim=2).tolist() == [[False, False, True, False]]


def test_the_last_block_asks_only_for_the_token_that_is_read() -> None:
    encoder = Patches(SHAPE, PatchConfig(patch=2, depth=1))
    shapes = []
    encoder.blocks[-1].register_forward_hook(lambda _module, _given, out: shapes.append(out.shape[1]))
    encoder(torch.randn(1, SHAPE.context, SHAPE.features))
    assert shapes == [1]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gru", {"fold": 0}),
        ("mixer", {"depth": 0}),
        ("dlinear", {"smooth": 0}),
        ("tcn", {"horizon_width": -1}),
        ("patch", {"heads": 5}),
        ("patch", {"mixing": 2}),
        ("patch", {"dropout": 1.0}),
    ],
)
def test_impossible_options_are_refused(name: str, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected"):
        build(name, SHAPE, statistics(), options)
