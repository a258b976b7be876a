"""Fitted trees as one ONNX graph: reading, a tree node for quantiles and one for spikes, spread and order; then calibration.

Decided here: thresholds are rounded DOWN to float32, which is exact for float32 inputs: x <= t holds for a float32 x if and
only if x is at most the largest float32 that is not above t. (Converters that round to nearest send values between to the
other branch.) Ensembles that all horizons share read every row at every horizon; those of single horizons read it once.
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

OPSETS = {"": 20, "ai.onnx.ml": 3}
IR_VERSION = 10
LEAF = np.array([(0.0, 0, 0.0, 0, 0, 0, 1)], dtype=[
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
    shared = [*chain.from_iterable(boosted.quantile)]
    steps = [member.members for member in shared if isinstance(member, Stepped)]
    direct = [one for step in zip(*steps, strict=True) for one in step]  # by horizon, target and level
    return [
        forest_node(direct or shared, "row" if direct else "inputs", "residual_sums"),
        forest_node(list(boosted.spike), "inputs", "odds_sums"),
    ]


def forest_node(members: list[Any], read: str, told: str) -> Any:
    """All trees of some ensembles, each adding to its own output."""
    from onnx import helper

    trees = [(place, nodes) for place, member in enumerate(members) for nodes in trees_of(member)]
    counts = [len(nodes) for _, nodes in trees]
    nodes = np.concatenate([part[list(LEAF.dtype.names or ())] for _, part in trees])
    tree = np.repeat(np.arange(len(trees)), counts)
    place = np.concatenate([np.arange(count) for count in counts])
    member = np.repeat([output for output, _ in trees], counts)
    leaf = nodes["is_leaf"] > 0
    return helper.make_node(
        "TreeEnsembleRegressor",
        [read],
        [told],
        domain="ai.onnx.ml",
        n_targets=len(members),
        aggregate_function="SUM",
        base_values=[baseline(model) for model in members],
        nodes_treeids=tree.tolist(),
        nodes_nodeids=place.tolist(),
        nodes_featureids=np.where(leaf, 0, nodes["feature_idx"]).tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_values=np.where(leaf, 0, rounded_down(nodes["num_threshold"])).tolist(),
        nodes_truenodeids=np.where(leaf, 0, nodes["left"]).tolist(),
        nodes_falsenodeids=np.where(leaf, 0, nodes["right"]).tolist(),
        nodes_missing_value_tracks_true=np.where(leaf, 0, nodes["missing_go_to_left"]).tolist(),
        target_treeids=tree[leaf].tolist(),
        target_nodeids=place[leaf].tolist(),
        target_ids=member[leaf].tolist(),
        target_weights=nodes["value"][leaf].tolist(),
    )


def trees_of(model: Any) -> list[Any]:
    """The node tables of an ensemble's trees; a constant is one leaf of zero."""
    if isinstance(model, float):
        return [LEAF]
    if isinstance(model, Grown):
        return [np.array(table, LEAF.dtype) for table in model.tables()]
    return [stage[0].nodes for stage in model._predictors]


def baseline(model: Any) -> float:
    """What an ensemble starts from before its first tree."""
    if isinstance(model, Grown):
        return 0.0
    return model if isinstance(model, float) else float(model._baseline_prediction.item())


def rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each threshold."""
    with np.errstate(over="ignore"):  # LightGBM tells the unknown from all that is known at 1e300
        nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)
