"""Gradient boosting goes through the same artefact as every other model, to the same numbers."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from data.contract import Target
from data.errors import DataError
from data.panel import Labels
from models.calibration import fit_offsets
from tests.training.small import NAMES, SMALL, windows
from training.artefact import Artefact, load, run
from training.boosting import Boosting, export, fit, sample
from training.combination import Member, Weights, combined
from training.ensembles import Boosted, Stepped, raw
from training.forest import IR_VERSION, OPSETS, forest_node, rounded_down, to_onnx
from training.leafwise import Grown
from training.parity import TOLERANCE
from training.reading import Reading

CONTRACT = msgspec.structs.replace(SMALL, architecture="boosting")
QUICK = Boosting(max_iter=20, learning_rate=0.2, max_leaf_nodes=8, min_samples_leaf=20, spike_iter=10, pairs=3000)
VALUE, ANCHOR, HOUR = (NAMES.index(name) for name in ("value", "anchor", "hour"))


def truth(asked: NDArray[np.float32], seed: int = 0) -> Labels:
    """A future that a feature tells of, with noise that grows with the horizon; spikes come where that feature is high."""
    generator = np.random.default_rng(seed)
    hour = np.nan_to_num(asked[:, -1, HOUR], nan=3.0)
    growth = np.sqrt(np.array(CONTRACT.horizons, np.float32))[:, None]
    noise = 0.2 * growth * generator.normal(size=(len(asked), 3, 2))
    ahead = (hour - 3)[:, None, None] + np.nan_to_num(asked[:, -1, [ANCHOR, 3]], nan=3.0)[:, None] + noise
    crossed = np.repeat((hour > 3.5)[:, None, None], 3, axis=1) & np.array([True, False])
    known = np.ones(ahead.shape, np.bool_) & np.array([True, False])
    at_risk = np.ones((len(asked), 2), np.bool_)
    ahead[::17, 0, 0] = np.nan
    return Labels(asked[:, -1, [VALUE, 3]], ahead.astype(np.float32), crossed.astype(np.float32), at_risk, known)


@pytest.fixture(scope="module")
def asked() -> NDArray[np.float32]:
    return windows(1500)


@pytest.fixture(scope="module")
def boosted(asked: NDArray[np.float32]) -> Boosted:
    return fit(QUICK, CONTRACT, asked, truth(asked), np.arange(len(asked)))


def test_an_exported_forest_says_what_scikit_learn_says(boosted: Boosted, tmp_path: Path) -> None:
    offset = np.random.default_rng(0).normal(0, 0.2, boosted.offset.shape).astype(np.float32)
    moved = boosted.calibrated(offset)
    assert export(moved, CONTRACT, tmp_path / "made", windows(64, seed=3)) < 1e-5
    fresh = windows(300, seed=4, holes=0.3)
    quantiles, spike = Artefact.open(tmp_path / "made").forecast(fresh)
    wanted = moved.predict(fresh)
    np.testing.assert_allclose(quantiles, wanted[0], atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(spike, wanted[1], atol=1e-5)
    assert (np.diff(quantiles, axis=3) >= 0).all()
    assert (np.diff(spike, axis=1) >= -1e-6).all()


def test_inputs_on_a_threshold_take_the_same_branch(boosted: Boosted) -> None:
    session = load(to_onnx(boosted, CONTRACT), Path("forest"))
    nodes = [stage[0].nodes for levels in boosted.quantile for model in levels for stage in model._predictors]
    tables = np.concatenate(nodes)
    for feature in range(len(NAMES)):
        splits = tables[(tables["is_leaf"] == 0) & (tables["feature_idx"] == feature)]["num_threshold"]
        close = np.concatenate([np.nextafter(splits.astype(np.float32), np.float32(s)) for s in (-9, 0, 9)])
        asked = np.resize(windows(1), (len(close), *windows(1).shape[1:]))
        asked[:, -1, feature] = close
        np.testing.assert_allclose(run(session, asked)[0], boosted.predict(asked)[0], atol=1e-5)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6, width=32))
def test_a_threshold_rounded_down_divides_float32_as_the_exact_one_does(threshold: float, x: float) -> None:
    narrow = rounded_down(np.array([threshold]))[0]
    assert (np.float32(x) <= narrow) == (x <= threshold)


def test_trees_learn_what_a_feature_says(boosted: Boosted) -> None:
    fresh = windows(500, seed=5, holes=0)
    ahead = truth(fresh, seed=6).ahead
    middle = boosted.predict(fresh)[0][..., 1]
    naive = fresh[:, -1, [ANCHOR, 3]][:, None, :]
    assert np.nanmean(np.abs(ahead - middle)) < 0.6 * np.nanmean(np.abs(ahead - naive))


def test_spikes_are_told_apart_and_need_both_kinds_to_learn(boosted: Boosted) -> None:
    fresh = windows(500, seed=5, holes=0)
    spike = boosted.predict(fresh)[1]
    coming = fresh[:, -1, HOUR] > 3.5
    assert spike[coming, 2, 0].mean() > 0.6
    assert spike[~coming, 2, 0].mean() < 0.2
    assert isinstance(boosted.spike[1], float)
    assert np.ptp(spike[:, :, 1]) == 0


def test_calibration_makes_levels_hold(boosted: Boosted) -> None:
    fresh = windows(800, seed=7)
    ahead = truth(fresh, seed=8).ahead
    first, second = slice(0, 400), slice(400, 800)
    offsets = fit_offsets(boosted.predict(fresh[first])[0], ahead[first], np.isfinite(ahead[first]), CONTRACT.levels)
    held = ahead[second][..., None] <= boosted.calibrated(offsets).predict(fresh[second])[0]
    assert np.abs(held.mean(axis=(0, 1, 2)) - CONTRACT.levels).max() < 0.05


def test_offsets_of_another_shape_are_refused(boosted: Boosted) -> None:
    with pytest.raises(ValueError, match="expected finite offsets"):
        boosted.calibrated(np.zeros(3, np.float32))


def test_equal_seeds_grow_equal_trees(asked: NDArray[np.float32], boosted: Boosted) -> None:
    again = fit(QUICK, CONTRACT, asked, truth(asked), np.arange(len(asked)))
    assert to_onnx(again, CONTRACT) == to_onnx(boosted, CONTRACT)


def test_a_graph_that_disagrees_is_not_exported(
    boosted: Boosted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import training.forest

    monkeypatch.setattr(training.forest, "rounded_down", lambda thresholds: (thresholds + 0.5).astype(np.float32))
    with pytest.raises(DataError, match="nothing was exported"):
        export(boosted, CONTRACT, tmp_path / "made", windows(64, seed=3))
    assert list(tmp_path.iterdir()) == []
    assert TOLERANCE < 1e-3


def test_rows_are_read_relative_to_the_last_known_anchor() -> None:
    nan = np.nan
    window = np.zeros((3, 9, len(NAMES)), np.float32)
    window[:, :, ANCHOR] = [[0] * 8 + [5], [0] * 7 + [4, nan], [nan] * 9]
    window[:, -1, VALUE] = 7
    features = tuple(
        msgspec.structs.replace(feature, level="t" if feature.name == "value" else None)
        for feature in CONTRACT.features
    )
    targets = (Target("t", "ln(gwei)", "value", "anchor"),)
    contract = msgspec.structs.replace(CONTRACT, features=features, targets=targets)
    reading = Reading.of(contract, np.full((2, len(NAMES)), 2, np.float32))
    row, anchor = reading.read(window)
    assert anchor[:, 0].tolist() == [5, 4, 2]
    assert row[:, VALUE].tolist() == [2, 3, 5]
    assert row.shape == (3, len(NAMES))
    assert reading.read(window, np.array([1]))[1].tolist() == [[4]]


def test_every_row_meets_every_horizon() -> None:
    reading = Reading.of(CONTRACT, np.zeros((1, len(NAMES)), np.float32))
    stacked = reading.stack(np.array([[10.0], [20.0]], np.float32))
    assert stacked.tolist() == [[10, 1], [10, 2], [10, 4], [20, 1], [20, 2], [20, 4]]


def test_no_more_pairs_are_drawn_than_asked_for_and_none_twice() -> None:
    known = np.random.default_rng(0).random((200, 3)) < 0.5
    row, horizon = sample(known, Boosting(pairs=100), 0)
    assert len(row) == len(set(zip(row.tolist(), horizon.tolist(), strict=True))) == 100
    assert known[row, horizon].all()


def test_progress_counts_every_ensemble(asked: NDArray[np.float32]) -> None:
    seen: list[tuple[int, int]] = []
    tiny = Boosting(max_iter=1, spike_iter=1, pairs=200)
    fit(tiny, CONTRACT, asked, truth(asked), np.arange(200), lambda done, total: seen.append((done, total)))
    assert seen == [(done, 8) for done in range(1, 9)]


def test_a_target_that_is_never_known_is_refused(asked: NDArray[np.float32]) -> None:
    labels = truth(asked)
    labels.ahead[:, 1, 1] = np.nan
    with pytest.raises(ValueError, match="one that never is"):
        fit(QUICK, CONTRACT, asked, labels, np.arange(len(asked)))


@pytest.mark.parametrize("options", [{"max_iter": 0}, {"learning_rate": 0}, {"max_leaf_nodes": 1}, {"pairs": 0}])
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected positive sizes"):
        Boosting(**options)


@pytest.fixture(scope="module", params=["scikit-learn", "lightgbm"])
def direct(request: pytest.FixtureRequest, asked: NDArray[np.float32]) -> Boosted:
    config = replace(QUICK, library=request.param, by_horizon=True, max_features=0.7)
    return fit(config, CONTRACT, asked, truth(asked), np.arange(len(asked)))


def test_ensembles_of_each_horizon_export_to_the_same_numbers_in_either_library(
    direct: Boosted, tmp_path: Path
) -> None:
    assert export(direct, CONTRACT, tmp_path / "made", windows(64, seed=3)) < 1e-5
    fresh = windows(300, seed=4, holes=0.3)
    quantiles, spike = Artefact.open(tmp_path / "made").forecast(fresh)
    wanted = direct.predict(fresh)
    np.testing.assert_allclose(quantiles, wanted[0], atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(spike, wanted[1], atol=1e-5)
    assert (np.diff(spike, axis=1) >= -1e-6).all()


def test_lightgbm_sends_an_unknown_value_where_its_graph_does_also_if_none_was_unknown_in_training() -> None:
    whole = windows(800, holes=0)
    grown = fit(replace(QUICK, library="lightgbm"), CONTRACT, whole, truth(whole), np.arange(len(whole)))
    fresh = windows(300, seed=4, holes=0.3) - 3.0
    found = run(load(to_onnx(grown, CONTRACT), Path("forest")), fresh)
    np.testing.assert_allclose(found[0], grown.predict(fresh)[0], atol=1e-5, rtol=1e-5)


def test_an_ensemble_of_a_horizon_answers_for_that_horizon_alone(direct: Boosted) -> None:
    stepped = direct.quantile[0][1]
    assert isinstance(stepped, Stepped)
    row = np.zeros((3, len(NAMES) + 1), np.float32)
    row[:, -1] = CONTRACT.horizons
    alone = [raw(member, row[:1, :-1])[0] for member in stepped.members]
    np.testing.assert_array_equal(raw(stepped, row), alone)


def test_trees_say_the_same_as_a_member_of_a_combination(boosted: Boosted, direct: Boosted) -> None:
    graphs = [to_onnx(trees, CONTRACT) for trees in (boosted, direct)]
    members = [Member(CONTRACT, graph) for graph in graphs]
    shared = Weights.shared(members, CONTRACT, (3, 1))
    fresh = windows(100, seed=4, holes=0.3)
    alone = [run(load(graph, Path("alone")), fresh)[0] for graph in graphs]
    together, _ = run(load(combined(members, shared, CONTRACT), Path("together")), fresh)
    np.testing.assert_allclose(together, 0.75 * alone[0] + 0.25 * alone[1], atol=1e-5)


def test_a_tree_that_never_branched_counts_in_the_sum() -> None:
    told = [0.25, Grown(Unbranched())]
    node = forest_node(told, "x", "y")
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in ("x", "y")]
    opset = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    made = helper.make_model(
        helper.make_graph([node], "trees", ports[:1], ports[1:]), opset_imports=opset, ir_version=IR_VERSION
    )
    session = ort.InferenceSession(made.SerializeToString())
    asked = np.float32([[1.0], [np.nan]])
    assert session.run(None, {"x": asked})[0].tolist() == [[0.25, 1.5], [0.25, 1.5]]


class Unbranched:
    """A booster of two trees that found nothing to part."""

    def dump_model(self) -> dict[str, list[dict[str, dict[str, float]]]]:
        return {"tree_info": [{"tree_structure": {"leaf_value": value}} for value in (0.5, 1.0)]}
