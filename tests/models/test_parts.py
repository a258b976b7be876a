"""The parts that architectures share, by hand-computed cases."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.head import ladder, rate_logit
from models.inputs import Inputs
from models.linear import halving_averages
from models.persistence import largest_so_far, tail_logit, tail_scale
from models.registry import ARCHITECTURES, build
from models.shape import Phase, Shape, Statistics
from tests.models.world import SHAPE, statistics, windows


def test_a_ladder_climbs_and_descends_from_the_middle() -> None:
    made = ladder(torch.tensor([10.0]), torch.tensor([[1.0, 2.0, 4.0, 8.0]]), 2)
    assert made.tolist() == [[7.0, 8.0, 10.0, 14.0, 22.0]]


@given(
    middle=st.floats(-1e6, 1e6, width=32),
    gaps=st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=9),
    data=st.data(),
)
def test_a_ladder_never_crosses_in_floating_point(middle: float, gaps: list[float], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(gaps)))
    made = ladder(torch.tensor(middle), torch.tensor(gaps), index)
    assert (made.diff() >= 0).all()
    assert made[index] == torch.tensor(middle)


def test_rates_that_fall_by_chance_are_made_to_climb() -> None:
    odds = rate_logit(torch.tensor([[0.1], [0.05], [0.5]]))
    torch.testing.assert_close(odds.squeeze(1), torch.tensor([math.log(1 / 9), math.log(1 / 9), 0.0]))


def test_inputs_are_standardised_bounded_and_filled_with_the_mean() -> None:
    facts, plain = statistics(), replace(SHAPE, level_columns=())
    window = torch.full((1, 1, 8), torch.nan)
    window[0, 0, 0] = facts.near[0] + 2 * facts.scale[0]
    window[0, 0, 1] = 1e9
    window[0, 0, 2] = -1e9
    torch.testing.assert_close(Inputs(plain, facts)(window)[0, 0], torch.tensor([2.0, 8.0, -8.0, *[0.0] * 5]))


def test_columns_that_move_with_a_target_are_read_relative_to_its_last_known_anchor() -> None:
    window = windows(1)
    shifted = window.clone()
    shifted[:, :, [0, 1, 4]] += 4
    shifted[:, -1, 1] = torch.nan
    window[:, -1, 1] = torch.nan
    inputs = Inputs(SHAPE, statistics())
    torch.testing.assert_close(inputs(shifted), inputs(window))
    shifted[:, :, 5] += 1
    moved = (inputs(shifted) - inputs(window)).abs().amax(dim=1) > 0.1
    assert moved.nonzero()[:, 1].tolist() == [5]


def test_the_last_known_value_is_the_newest_that_is_not_missing() -> None:
    nan = torch.nan
    window = torch.tensor([[1.0, 7.0, nan], [2.0, nan, nan], [nan, nan, nan]]).unsqueeze(0)
    shape = Shape(3, 3, 1, 1, (0.5,), (0,), (0,))
    facts = replace(Statistics.blank(shape), center=torch.tensor([0.0, 0.0, 5.0]))
    assert Inputs(shape, facts).last_known(window, [0, 1, 2]).tolist() == [[2.0, 7.0, 5.0]]


def test_weightings_of_time_start_as_averages_of_ever_shorter_pasts() -> None:
    weights = halving_averages(8, 5)
    assert weights.sum(dim=0).tolist() == [1.0] * 5
    assert (weights > 0).sum(dim=0).tolist() == [8, 4, 2, 1, 1]
    assert bool((weights[-1] > 0).all())


def test_half_the_mass_lies_above_the_median_and_the_stated_share_beyond_the_tail() -> None:
    assert tail_logit(torch.tensor(0.0)).item() == pytest.approx(0.0, abs=1e-6)
    distance = torch.tensor(2.0) / tail_scale(torch.tensor(2.0), 0.05)
    assert tail_logit(distance).sigmoid().item() == pytest.approx(0.05)


def test_the_largest_so_far_never_falls() -> None:
    assert largest_so_far(torch.tensor([[1.0, 0.0, 3.0, 2.0]])).tolist() == [[1.0, 1.0, 3.0, 3.0]]


def test_persistence_adds_what_the_value_usually_did() -> None:
    facts, batch = statistics(), windows(3)
    quantiles = build("persistence", SHAPE, facts)(batch).quantiles
    assert torch.equal(quantiles, batch[:, -1, [0, 2]].view(3, 1, 2, 1) + facts.value_residuals)


def test_persistence_expects_a_spike_as_often_as_its_quantiles_say() -> None:
    facts, batch = statistics(), windows(1)
    quantiles = build("persistence", SHAPE, facts)(batch).quantiles[0, :, 0]
    for level, place in ((0.95, 4), (0.5, 2), (0.05, 0)):
        batch[:, -1, 4] = quantiles[0, place]
        spike = build("persistence", SHAPE, facts)(batch).spike_logit.sigmoid()[0, 0, 0]
        assert spike.item() == pytest.approx(1 - level, abs=1e-4)


def test_without_a_threshold_persistence_expects_the_usual_rate() -> None:
    facts = statistics()
    spike = build("persistence", SHAPE, facts)(windows(2)).spike_logit.sigmoid()[:, :, 1]
    torch.testing.assert_close(spike, facts.spike_rate[:, 1].expand(2, 4))


def test_an_unknown_architecture_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="found 'lstm'") as caught:
        build("lstm", SHAPE, statistics())
    assert all(name in str(caught.value) for name in ARCHITECTURES)


def test_an_unknown_option_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"tcn: expected options among \['channels', 'dropout', 'horizon_width'\], found \['depth'\]"
    ):
        build("tcn", SHAPE, statistics(), {"depth": 3})


def test_an_option_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="linear: expected numbers"):
        build("linear", SHAPE, statistics(), {"rank": "four"})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"context": 0}, "at least 1"),
        ({"levels": ()}, "ascending levels"),
        ({"levels": (0.5, 0.5)}, "ascending levels"),
        ({"levels": (0.5, 1.0)}, "ascending levels"),
        ({"value_columns": (0,)}, "2 columns below 8"),
        ({"anchor_columns": (0, 8)}, "2 columns below 8"),
        ({"threshold_columns": (None, -1)}, "2 columns below 8"),
        ({"phases": (Phase(6, 8, (0.1,) * 4),)}, "phases of two columns"),
        ({"phases": (Phase(6, 7, (0.1,)),)}, "4 turns"),
    ],
)
def test_a_shape_that_contradicts_itself_is_refused(changed: dict[str, object], told: str) -> None:
    fields = {name: getattr(SHAPE, name) for name in SHAPE.__dataclass_fields__}
    with pytest.raises(ValueError, match=told):
        Shape(**(fields | changed))


@pytest.mark.parametrize("name", ["center", "scale", "residuals", "value_residuals", "spike_rate"])
def test_statistics_of_another_size_or_with_holes_are_refused(name: str) -> None:
    facts = statistics()
    getattr(facts, name).view(-1)[0] = torch.nan
    with pytest.raises(ValueError, match=f"{name}: expected finite"):
        build("linear", SHAPE, facts)


@pytest.mark.parametrize(("name", "value"), [("scale", 0.0), ("spike_rate", 1.5)])
def test_statistics_out_of_their_range_are_refused(name: str, value: float) -> None:
    facts = statistics()
    getattr(facts, name).view(-1)[0] = value
    with pytest.raises(ValueError, match=f"{name}: expected"):
        build("linear", SHAPE, facts)
