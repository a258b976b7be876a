"""Calibration goes on in use, inside the graph, and the arithmetic used for history is the graph's own to the bit."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from data.contract import Calibration, Online
from data.online import NEXT_STATE, STATE, Layout
from tests.training.small import NAMES, SMALL, windows
from training.artefact import INPUT, OUTPUTS, Artefact, load, run, write
from training.online import Tracking
from training.stage import Stage, whole, with_calibration

RATES = Online(rates=(0.1, 0.05), half_life_ticks=(10, 20), recent_ticks=12, usual_ticks=120, bound=0.5)
ONLINE = msgspec.structs.replace(SMALL, calibration=Calibration("none", online=RATES))
LAYOUT = Layout.of(ONLINE)
VALUES = [NAMES.index(target.value) for target in SMALL.targets]
OFFSETS = np.random.default_rng(0).normal(0, 0.1, (3, 2, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def raw() -> bytes:
    """The graph of a forecaster that knows nothing of calibration: newest anchors (0 where unknown) and a spread that grows."""
    from onnx import TensorProto, helper

    stage = Stage(3, "raw/")
    newest = stage.add("Gather", INPUT, whole([SMALL.context - 1]), axis=1)
    anchor = stage.add("Unsqueeze", stage.add("Gather", newest, whole(VALUES), axis=2), whole([3]))
    known = stage.add("Where", stage.add("IsNaN", anchor), np.float32(0), anchor)
    spread = np.sqrt(np.float32(SMALL.horizons))[:, None, None] * np.float32([-0.7, 0, 1.1])
    stage.add("Add", known, spread, name=OUTPUTS[0])
    stage.add(
        "Add", stage.add("Mul", stage.add("Squeeze", known, whole([3])), np.float32(0)), spread[..., 1], name=OUTPUTS[1]
    )
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *size])
        for name, size in ((INPUT, (SMALL.context, len(NAMES))), (OUTPUTS[0], (3, 2, 3)), (OUTPUTS[1], (3, 2)))
    ]
    graph = helper.make_graph(stage.nodes, "raw", ports[:1], ports[1:], stage.constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(made.SerializeToString())


@pytest.fixture(scope="module")
def session(raw: bytes) -> Any:
    return load(with_calibration(raw, ONLINE, OFFSETS), Path("online"))


def walk(session: Any, asked: NDArray[np.float32], state: NDArray[np.float32]) -> tuple[Any, NDArray[np.float32]]:
    """What the graph says to windows (n, batch, context, feature) one tick after the other, and its last state."""
    said = []
    for window in asked:
        quantiles, state = session.run([OUTPUTS[0], NEXT_STATE], {INPUT: window, STATE: state})
        said.append(quantiles)
    return np.stack(said), state


def test_the_graph_and_the_arithmetic_used_for_history_agree_to_the_bit(session: Any) -> None:
    asked = windows(200, seed=1, holes=0.1)[:, None]
    asked[20:50, :, :, VALUES[0]] = np.nan  # unseen for longer than a window
    offline = np.stack([run(session, window)[0] for window in asked])
    seen = np.isfinite(asked[..., VALUES]).any(axis=2)
    wanted, state = Tracking.of(ONLINE).follow(LAYOUT.blank(), offline, asked[:, :, -1, VALUES], seen)
    found, found_state = walk(session, asked, LAYOUT.blank())
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(found_state, state)
    assert np.abs(LAYOUT.parts(state)[0]).max() > 0.2
    assert np.abs(found - offline).max() > 0.1


def test_series_of_one_batch_do_not_know_each_other(session: Any) -> None:
    asked = windows(60, seed=2).reshape(30, 2, SMALL.context, len(NAMES))
    together, state = walk(session, asked, LAYOUT.blank(2))
    for place in range(2):
        alone, state_alone = walk(session, asked[:, place : place + 1], LAYOUT.blank())
        np.testing.assert_allclose(together[:, place : place + 1], alone, atol=1e-5)
        np.testing.assert_allclose(state[place : place + 1], state_alone, atol=1e-5)


def test_a_blank_state_says_what_offline_calibration_says(session: Any, raw: bytes) -> None:
    asked = windows(20, seed=3)
    offline = load(with_calibration(raw, SMALL, OFFSETS), Path("offline"))
    np.testing.assert_array_equal(run(session, asked)[0], run(offline, asked)[0])


def test_a_graph_calibrated_before_may_be_calibrated_online_behind(raw: bytes, session: Any) -> None:
    before = with_calibration(raw, SMALL, OFFSETS)
    behind = load(with_calibration(before, ONLINE, np.zeros_like(OFFSETS)), Path("behind"))
    asked = windows(40, seed=4)[:, None]
    np.testing.assert_allclose(
        walk(behind, asked, LAYOUT.blank())[0], walk(session, asked, LAYOUT.blank())[0], atol=1e-6
    )


def test_a_graph_has_one_memory_at_most(raw: bytes) -> None:
    with pytest.raises(ValueError, match="calibrated online already"):
        with_calibration(with_calibration(raw, ONLINE, OFFSETS), ONLINE, OFFSETS)


@pytest.mark.parametrize("offsets", [np.zeros((3, 2, 2), np.float32), np.full((3, 2, 3), np.nan, np.float32)])
def test_offsets_of_another_shape_or_unknown_ones_are_refused(raw: bytes, offsets: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="expected finite offsets"):
        with_calibration(raw, SMALL, offsets)


def test_an_artefact_that_is_calibrated_online_is_written_and_read(raw: bytes, tmp_path: Path) -> None:
    write(tmp_path / "made", with_calibration(raw, ONLINE, OFFSETS), ONLINE, "")
    opened = Artefact.open(tmp_path / "made")
    assert opened.contract == ONLINE
    assert {node.name for node in opened.session.get_inputs()} == {INPUT, STATE}
    asked = windows(9)
    np.testing.assert_allclose(opened.forecast(asked)[0], opened.forecast(asked, batch=2)[0], atol=1e-5)


# ------------------------------------------------------------------------------------------------------------- behaviour


def flat(count: int, levels: tuple[float, ...] = (-1.0, 0.0, 1.0)) -> NDArray[np.float32]:
    """The same quantiles at every tick, horizon and target."""
    return np.broadcast_to(np.float32(levels), (count, 1, 3, 2, 3)).copy()


def truths(values: NDArray[Any]) -> NDArray[np.float32]:
    """The same truth for both targets."""
    return np.repeat(values.astype(np.float32)[:, None, None], 2, axis=2)


def test_nothing_is_learnt_before_a_forecast_comes_true_and_then_by_the_rate() -> None:
    follow = Tracking.of(ONLINE).follow
    for horizon, ticks in enumerate(SMALL.horizons):
        issued, _ = follow(LAYOUT.blank(), flat(ticks + 1), truths(np.full(ticks + 1, 9.0)))
        moved = issued[:, 0, horizon, 0] - np.float32([-1, 0, 1])
        assert not moved[:ticks].any()
        # Above the 80 % band, which is 2 wide: its sides move apart by rate x 0.8, and its middle stays.
        np.testing.assert_allclose(moved[ticks], 2 * 0.1 * np.array([-0.8, 0, 0.8]), rtol=1e-5, atol=1e-7)


def test_an_unknown_truth_teaches_nothing_and_its_forecasts_are_forgotten() -> None:
    unknown = truths(np.full(50, np.nan))
    issued, state = Tracking.of(ONLINE).follow(LAYOUT.blank(), flat(50), unknown)
    np.testing.assert_array_equal(issued, flat(50))
    assert np.isnan(LAYOUT.coverage(state)).all()


def test_a_forecast_from_nothing_teaches_nothing() -> None:
    unseen = np.zeros((30, 1, 2), np.bool_)
    issued, _ = Tracking.of(ONLINE).follow(LAYOUT.blank(), flat(30), truths(np.full(30, 9.0)), unseen)
    np.testing.assert_array_equal(issued, flat(30))


def test_rolling_coverage_is_that_of_the_newest_truths() -> None:
    tracking = Tracking.of(ONLINE)
    _, state = tracking.follow(LAYOUT.blank(), flat(60), truths(np.zeros(60)))
    np.testing.assert_allclose(LAYOUT.coverage(state), 1, atol=1e-5)
    _, state = tracking.follow(state, flat(12), truths(np.full(12, 99.0)))
    np.testing.assert_allclose(LAYOUT.coverage(state), 0.5, atol=0.02)  # recent_ticks is the half-life


@given(st.integers(0, 2**31), st.floats(0.02, 0.3), st.floats(-0.3, 0.3))
@settings(max_examples=10, deadline=None)
def test_whatever_comes_a_band_holds_as_often_as_it_says_in_the_long_run(seed: int, rate: float, drift: float) -> None:
    """Angelopoulos et al. 2023, proposition 1: |share - nominal| <= (furthest shift + rate) / (rate x n)."""
    count = 400
    online = Online(rates=(rate, rate), half_life_ticks=(1, 1), recent_ticks=1, usual_ticks=2, bound=1e6, stretch=1)
    noise = np.random.default_rng(seed).standard_t(3, count)
    values = truths(np.cumsum(noise) * drift + noise)
    issued, _ = Tracking.made(LAYOUT, SMALL.levels, online).follow(LAYOUT.blank(), flat(count), values)
    for horizon, ticks in enumerate(SMALL.horizons):
        low, high = (issued[:-ticks, 0, horizon, 0, level] for level in (0, 2))
        inside = ((values[ticks:, 0, 0] >= low) & (values[ticks:, 0, 0] <= high)).mean()
        furthest = np.abs(issued[:, 0, horizon, 0] - np.float32([-1, 0, 1])).max() / 2 + ticks * rate
        assert abs(inside - 0.8) <= (furthest + rate) / (rate * (count - ticks)) + 1e-3


def test_shifts_stay_within_their_bound_and_quantiles_in_order() -> None:
    issued, state = Tracking.of(ONLINE).follow(LAYOUT.blank(), flat(300), truths(np.resize([9.0, 9, -99], 300)))
    assert np.abs(LAYOUT.parts(state)[0]).max() <= 0.5
    assert (np.diff(issued, axis=-1) >= 0).all()


def test_most_coverage_comes_back_within_a_day_of_a_shift_to_twice_the_noise() -> None:
    """Ten days of 5-minute ticks as the model knows them, then twice the spread: a day later the 80 % band nearly holds again."""
    before, day = 2880, 288
    values = truths(np.repeat([1.0, 2.0], [before, 3 * day]) * np.random.default_rng(7).normal(size=before + 3 * day))

    def coverages(stretch: float) -> list[float]:
        online = Online((0.003, 0.003), (1, 1), recent_ticks=72, usual_ticks=2880, stretch=stretch)
        quantiles = flat(len(values), (-1.28, 0, 1.28))
        issued, _ = Tracking.made(LAYOUT, SMALL.levels, online).follow(LAYOUT.blank(), quantiles, values)
        inside = [(values[t:, 0, 0] >= issued[:-t, 0, h, 0, 0]) & (values[t:, 0, 0] <= issued[:-t, 0, h, 0, 2])
                  for h, t in enumerate(SMALL.horizons)]  # fmt: skip
        parts = (slice(0, before - 4), slice(before, before + 36), slice(before + day, before + 2 * day))
        return [float(np.mean([held[part] for held in inside])) for part in parts]

    calm, at_once, a_day_later = coverages(3.0)
    assert abs(calm - 0.8) < 0.03
    assert at_once < 0.6
    assert abs(a_day_later - 0.8) < 0.12
    assert coverages(1.0)[2] < a_day_later - 0.02, "misses alone take longer"
