"""Fitted trees as one ONNX graph: reading, a tree node for quantiles and one for spikes, spread and order; then calibration.

Decided here: thresholds are rounded DOWN to float32, which is exact for float32 inputs: x <= t holds for a float32 x if and
only if x is at most the largest float32 that is not above t. (Converters that round to nearest send values between to the
other branch.) Ensembles that all horizons share read every row at every horizon; those of single horizons read it once, in a
node for each: ONNX Runtime opens a node in a time that grows with the square of its trees. Trees are written as branches and
leaves apart (ai.onnx.ml 5), which takes two fifths of the bytes of the form before.
"""

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.contract import Contract
from training.artefact import INPUT, OUTPUTS
from training.ensembles import Boosted, Stepped
from training.leafwise import Grown
from training.stage import with_calibration

OPSETS = {"": 20, "ai.onnx.ml": 5}
IR_VERSION = 10
NODE = np.dtype([
    ("value", "f8"), ("feature_idx", "i8"), ("num_threshold", "f8"), ("missing_go_to_left", "u1"),
    ("left", "u4"), ("right", "u4"), ("is_leaf", "u1"),
])  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """Counts of the graph."""

    context: int
    features: int
    horizons: int
    targets: int
    levels: int
    inputs: int


def to_onnx(boosted: Boosted, contract: Contract) -> bytes:
    """The artefact's graph: the trees and their calibration."""
    return with_calibration(raw_onnx(boosted, contract), contract, boosted.offset)


def raw_onnx(boosted: Boosted, contract: Contract) -> bytes:
    """The bytes of the trees' own graph, uncalibrated, with a free batch axis."""
    from onnx import TensorProto, helper

    horizons, targets, levels = boosted.offset.shape
    inputs = len(contract.features) + 1
    sizes = Sizes(contract.context, len(contract.features), horizons, targets, levels, inputs)
    answer = (sizes.horizons, sizes.targets)
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *size])
        for name, size in (
            (INPUT, (sizes.context, sizes.features)),
            (OUTPUTS[0], (*answer, sizes.levels)),
            (OUTPUTS[1], answer),
        )
    ]
    nodes = [*reading_nodes(), *forest_nodes(boosted), *answer_nodes()]
    graph = helper.make_graph(nodes, "boosting", ports[:1], ports[1:], constants(boosted, sizes))
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    encoded: bytes = model.SerializeToString(deterministic=True)
    return encoded


def reading_nodes() -> list[Any]:
    """Window → anchors (batch, 1, target) and inputs (batch × horizon, inputs), as `training.reading` does."""
    from onnx import TensorProto, helper

    return [
        helper.make_node("Gather", [INPUT, "newest_row"], ["last"], axis=1),
        helper.make_node("Gather", [INPUT, "anchor_columns"], ["series"], axis=2),
        helper.make_node("IsNaN", ["series"], ["unknown"]),
        helper.make_node("Not", ["unknown"], ["known"]),
        helper.make_node("Cast", ["known"], ["counted"], to=TensorProto.INT64),
        helper.make_node("Mul", ["counted", "place_from_one"], ["places"]),
        helper.make_node("ReduceMax", ["places", "axis_one"], ["newest"], keepdims=1),
        helper.make_node("Sub", ["newest", "one"], ["newest_place"]),
        helper.make_node("Max", ["newest_place", "zero"], ["place"]),
        helper.make_node("GatherElements", ["series", "place"], ["newest_value"], axis=1),
        helper.make_node("Greater", ["newest", "zero"], ["seen"]),
        helper.make_node("Where", ["seen", "newest_value", "center"], ["anchor"]),
        helper.make_node("Squeeze", ["anchor", "axis_one"], ["anchor_row"]),
        helper.make_node("MatMul", ["anchor_row", "relative"], ["against"]),
        helper.make_node("Sub", ["last", "against"], ["row"]),
        helper.make_node("Unsqueeze", ["row", "axis_one"], ["row_once"]),
        helper.make_node("Tile", ["row_once", "each_horizon"], ["rows"]),
        helper.make_node("Shape", [INPUT], ["batch"], start=0, end=1),
        helper.make_node("Concat", ["batch", "one_column"], ["column_size"], axis=0),
        helper.make_node("Expand", ["horizons", "column_size"], ["horizon_column"]),
        helper.make_node("Concat", ["rows", "horizon_column"], ["stacked"], axis=2),
        helper.make_node("Reshape", ["stacked", "input_size"], ["inputs"]),
    ]


def answer_nodes() -> list[Any]:
    """Sums of the ensembles → quantiles and spike probabilities."""
    from onnx import helper

    return [
        helper.make_node("Reshape", ["residual_sums", "quantile_size"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "spread"], ["residual"]),
        helper.make_node("Unsqueeze", ["anchor", "axis_three"], ["anchor_level"]),
        helper.make_node("Add", ["residual", "anchor_level"], ["unordered"]),
        helper.make_node("TopK", ["unordered", "levels"], [OUTPUTS[0], "order"], axis=-1, largest=0),
        helper.make_node("Reshape", ["odds_sums", "odds_size"], ["odds"]),
        helper.make_node("Sigmoid", ["odds"], [OUTPUTS[1]]),
    ]


def constants(boosted: Boosted, sizes: Sizes) -> list[Any]:
    """Every constant that the nodes name."""
    from onnx import numpy_helper

    reading = boosted.reading
    horizons, targets, levels = sizes.horizons, sizes.targets, sizes.levels
    whole: dict[str, Any] = {
        "newest_row": sizes.context - 1,
        "anchor_columns": reading.anchors,
        "place_from_one": np.arange(1, sizes.context + 1).reshape(1, -1, 1),
        "zero": 0,
        "one": 1,
        "axis_one": [1],
        "axis_three": [3],
        "each_horizon": [1, horizons, 1],
        "one_column": [horizons, 1],
        "input_size": [-1, sizes.inputs],
        "quantile_size": [-1, horizons, targets, levels],
        "odds_size": [-1, horizons, targets],
        "levels": [levels],
    }
    real: dict[str, NDArray[np.float32]] = {
        "center": reading.center.reshape(1, 1, -1),
        "relative": reading.relative,
        "horizons": reading.horizons.reshape(1, -1, 1),
        "spread": boosted.spread[None, ..., None],
    }
    arrays = {name: np.asarray(value, np.int64) for name, value in whole.items()} | {
        name: np.asarray(value, np.float32) for name, value in real.items()
    }
    return [numpy_helper.from_array(value, name) for name, value in arrays.items()]


def forest_nodes(boosted: Boosted) -> list[Any]:
    """Residuals, as many for each row as there are (horizon,) target and level, and each target's log-odds."""
    from onnx import helper

    shared = [*chain.from_iterable(boosted.quantile)]
    steps = [*zip(*(member.members for member in shared if isinstance(member, Stepped)), strict=True)]
    odds = forest_node(list(boosted.spike), "inputs", "odds_sums")
    if not steps:
        return [forest_node(shared, "inputs", "residual_sums"), odds]
    parts = [forest_node(list(members), "row", f"residual_sums_{place}") for place, members in enumerate(steps)]
    return [*parts, helper.make_node("Concat", [part.output[0] for part in parts], ["residual_sums"], axis=1), odds]


def forest_node(members: list[Any], read: str, told: str) -> Any:
    """All trees of some ensembles, each adding to its own output."""
    from onnx import helper, numpy_helper

    trees = [(place, nodes) for place, member in enumerate(members) for nodes in trees_of(member)]
    nodes = np.concatenate([part[list(NODE.names or ())] for _, part in trees])
    counts = [len(part) for _, part in trees]
    first = np.cumsum([0, *counts[:-1]])
    member = np.repeat([output for output, _ in trees], counts)
    leaf = nodes["is_leaf"] > 0
    place = np.where(leaf, np.cumsum(leaf), np.cumsum(~leaf)) - 1  # among the leaves, or among the branches
    branch, below = nodes[~leaf], {side: (np.repeat(first, counts) + nodes[side])[~leaf] for side in ("left", "right")}
    return helper.make_node(
        "TreeEnsemble",
        [read],
        [told],
        domain="ai.onnx.ml",
        n_targets=len(members),
        tree_roots=place[first].tolist(),
        nodes_featureids=branch["feature_idx"].tolist(),
        nodes_splits=numpy_helper.from_array(rounded_down(branch["num_threshold"])),
        nodes_modes=numpy_helper.from_array(np.zeros(len(branch), np.uint8)),  # all are x <= t
        nodes_truenodeids=place[below["left"]].tolist(),
        nodes_trueleafs=leaf[below["left"]].astype(int).tolist(),
        nodes_falsenodeids=place[below["right"]].tolist(),
        nodes_falseleafs=leaf[below["right"]].astype(int).tolist(),
        nodes_missing_value_tracks_true=branch["missing_go_to_left"].astype(int).tolist(),
        leaf_targetids=member[leaf].tolist(),
        leaf_weights=numpy_helper.from_array(nodes["value"][leaf].astype(np.float32)),
    )


def trees_of(model: Any) -> list[Any]:
    """The node tables of what an ensemble adds up: its constant, if it has one, and its trees."""
    if isinstance(model, float):
        return [constant(model)]
    if isinstance(model, Grown):
        tables, start = [np.array(table, NODE) for table in model.tables()], 0.0
    else:
        tables, start = [stage[0].nodes for stage in model._predictors], float(model._baseline_prediction.item())
    rooted = [table if len(table) > 1 else constant(table["value"][0]) for table in tables]
    return [*rooted, *([constant(start)] if start else [])]


def constant(value: float) -> NDArray[Any]:
    """A tree of one leaf, to which both branches of its root lead, for a root is never a leaf."""
    return np.array([(0.0, 0, 0.0, 0, 1, 1, 0), (value, 0, 0.0, 0, 0, 0, 1)], NODE)


def rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each threshold."""
    with np.errstate(over="ignore"):  # LightGBM tells the unknown from all that is known at 1e300
        nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)
