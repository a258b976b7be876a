"""The last stage of every graph: calibration, offline and online, put behind any forecaster.

Decided here: an artefact is "a graph from `window` to `quantiles` in order and `spike`" and this stage, whatever the graph is
(a network, trees, several of them averaged); and what its metadata hold. The stage is built of plain ONNX operators that mean
the same in every opset from 18 on, so it fits behind a graph of any exporter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.contract import DIGEST_KEY, Contract
from data.online import NEXT_STATE, STATE, Layout
from training.artefact import INPUT, OUTPUTS
from training.online import ERROR, INSIDE, LARGEST, LARGEST_ERROR, ONE, Tracking
from training.shapes import shape_of

PRODUCER = "derivatives-traffic-shaper"
PREFIX = "calibration/"  # of every name inside the stage
QUANTILES = OUTPUTS[0]
Value = str | NDArray[Any] | np.generic  # an earlier answer, by name, or a constant
ZERO, UNIT = np.float32(0), np.float32(1)
FLOAT = 1  # onnx.TensorProto.FLOAT


def with_calibration(model: bytes, contract: Contract, offsets: NDArray[np.float32]) -> bytes:
    """The artefact's graph: a forecaster's own graph with its calibration behind it, naming the contract.

    `model` answers `window` (batch, context, feature) with `quantiles` (batch, horizon, target, level) in order and `spike`.
    `offsets` (horizon, target, level) are those of `training.calibrating`, in widths of the forecast; zeros leave it as it is.
    Where `contract.online` says so, the graph also reads `state` and answers `next_state` (`data.online`). A graph that was
    calibrated offline before may be given another stage. Raises ValueError for offsets of another shape, and for a graph that
    has a memory already.
    """
    import onnx

    wanted = (len(contract.horizons), len(contract.targets), len(contract.levels))
    if offsets.shape != wanted or not np.isfinite(offsets).all():
        raise ValueError(f"expected finite offsets of shape {wanted}, found {offsets.shape}")
    made = onnx.load_from_string(model)
    if any(given.name == STATE for given in made.graph.input):
        raise ValueError("expected a graph without a memory, found one that is calibrated online already")
    stage = Stage(len(contract.levels), unused_prefix(made.graph))
    raw = renamed(made.graph, QUANTILES, stage.prefix + QUANTILES)
    if contract.online is None:
        stage.moved(raw, offsets, QUANTILES)
    else:
        follow(stage, stage.moved(raw, offsets), contract)
        size = Layout.of(contract).size
        made.graph.input.append(port(STATE, size))
        made.graph.output.append(port(NEXT_STATE, size))
    made.graph.node.extend(stage.nodes)
    made.graph.initializer.extend(stage.constants)
    onnx.checker.check_model(made)
    return stamped(made, contract)


def unused_prefix(graph: Any) -> str:
    """A prefix that no answer of the graph's nodes begins with, so that no name of the stage can meet one of theirs."""
    prefix = PREFIX
    while any(name.startswith(prefix) for node in graph.node for name in node.output):
        prefix = f"re{prefix}"
    return prefix


def renamed(graph: Any, old: str, new: str) -> str:
    """Give an answer of a graph another name inside it, which is returned; the graph still promises the old one."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
    return new


def port(name: str, size: int) -> Any:
    """An input or output (batch, size)."""
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])


def whole(value: Any) -> NDArray[np.int64]:
    """Places and sizes as ONNX wants them."""
    return np.asarray(value, np.int64)


@dataclass
class Stage:
    """Nodes and constants in the making, for quantiles (batch, horizon, target, level) of so many levels."""

    levels: int
    prefix: str = PREFIX
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, kind: str, *inputs: Value, name: str = "", **attributes: Any) -> str:
        """Add an operator on answers, by name, and constants, by value; returns the name of its answer."""
        return self.split(kind, inputs, [name or f"{self.prefix}{len(self.nodes)}"], **attributes)[0]

    def split(self, kind: str, inputs: Sequence[Value], answers: list[str], **attributes: Any) -> list[str]:
        """Add an operator with several answers of these names, and return them."""
        from onnx import helper

        given = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(helper.make_node(kind, given, answers, name=f"{self.prefix}{len(self.nodes)}", **attributes))
        return answers

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = f"{self.prefix}constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def ends(self, quantiles: str) -> tuple[str, str]:
        """The outermost levels (..., 1) of quantiles."""
        bottom, top = (self.add("Gather", quantiles, whole([at]), axis=3) for at in (0, self.levels - 1))
        return bottom, top

    def moved(self, quantiles: str, shift: Value, name: str = "") -> str:
        """Quantiles + shift x width of their outermost band, put in order.

        Ordering what a shift may have crossed is Chernozhukov, Fernández-Val & Galichon's rearrangement (2010): it never
        raises the pinball loss.
        """
        bottom, top = self.ends(quantiles)
        crossed = self.add("Add", quantiles, self.add("Mul", shift, self.add("Sub", top, bottom)))
        return self.ordered(crossed, name)

    def ordered(self, quantiles: str, name: str = "") -> str:
        """Quantiles in ascending order of their levels."""
        own = f"{self.prefix}{len(self.nodes)}"
        answers = [name or own, f"{own}/order"]
        return self.split("TopK", [quantiles, whole([self.levels])], answers, axis=-1, largest=0)[0]

    def clipped(self, value: str, least: np.generic, most: np.generic) -> str:
        """A value within bounds."""
        return self.add("Min", self.add("Max", value, least), most)

    def number(self, condition: str) -> str:
        """A condition as 0 or 1."""
        return self.add("Cast", condition, to=FLOAT)


def follow(stage: Stage, calibrated: str, contract: Contract) -> None:
    """Add what `training.online.Tracking.step` does: from `calibrated` and `state` to the quantiles and `next_state`."""
    constants, layout = Tracking.of(contract), Layout.of(contract)
    flat = stage.split(
        "Split", [STATE, whole(layout.sizes)], [f"{stage.prefix}{n}" for n in ("shift", "traces", "pending")], axis=1
    )
    shift, traces, pending = (
        stage.add("Reshape", part, whole([-1, *shape])) for part, shape in zip(flat, layout.shapes, strict=True)
    )
    waited = stage.add("Gather", pending, layout.due, axis=1)
    due = stage.add("Gather", waited, whole(np.arange(stage.levels)), axis=3)
    unit = stage.add("Gather", waited, whole([stage.levels]), axis=3)
    came, known, seen = truth(stage, contract)
    counted = stage.number(stage.add("And", known, stage.add("Greater", unit, ZERO)))
    shift = shifted(stage, constants, shift, (came, due, counted))
    traces = traced(stage, constants, traces, (came, due, unit, counted))
    bottom, top = stage.ends(calibrated)
    width = stage.add("Sub", top, bottom)
    factor = stretch(stage, constants, traces)
    middle = stage.add("Gather", calibrated, whole([constants.middle]), axis=3)
    beyond = stage.add("Mul", stage.add("Sub", calibrated, middle), stage.add("Sub", factor, UNIT))
    stretched = stage.add("Add", calibrated, beyond)
    moved = stage.add("Add", stretched, stage.add("Mul", shift, stage.add("Mul", width, factor)))
    issued = stage.ordered(moved, QUANTILES)
    counting = stage.add("Mul", width, seen)
    joined = stage.add("Concat", stage.add("Concat", issued, counting, axis=3), pending, axis=1)
    waiting = stage.add("Gather", joined, layout.moves, axis=1)
    parts = zip((shift, traces, waiting), layout.sizes, strict=True)
    stage.add(
        "Concat", *(stage.add("Reshape", part, whole([-1, size])) for part, size in parts), name=NEXT_STATE, axis=1
    )


def shifted(stage: Stage, constants: Tracking, shift: str, seen: tuple[str, str, str]) -> str:
    """`Tracking.shifted`; `seen` are what came, the quantiles due, and whether they count."""
    came, due, counted = seen
    missed = stage.add("Sub", constants.level, stage.number(stage.add("LessOrEqual", came, due)))
    if constants.mirrored:
        against = stage.add("Gather", missed, whole(np.arange(len(constants.level))[::-1]), axis=3)
        missed = stage.add("Sub", missed, against)
    step = stage.add("Mul", stage.add("Mul", constants.rate, missed), counted)
    return stage.clipped(stage.add("Add", shift, step), -constants.bound, constants.bound)


def traced(stage: Stage, constants: Tracking, traces: str, seen: tuple[str, str, str, str]) -> str:
    """`Tracking.traced`; `seen` are what came, the quantiles due, the widths of their bands, and whether they count."""
    came, due, unit, counted = seen
    bottom, top = stage.ends(due)
    within = stage.add("And", stage.add("GreaterOrEqual", came, bottom), stage.add("LessOrEqual", came, top))
    middle = stage.add("Gather", due, whole([constants.middle]), axis=3)
    away = stage.add("Abs", stage.add("Sub", came, middle))
    error = stage.add(
        "Min", stage.add("Div", away, stage.add("Where", stage.add("Greater", unit, ZERO), unit, UNIT)), LARGEST_ERROR
    )
    told = stage.add("Add", stage.add("Mul", stage.number(within), INSIDE), stage.add("Mul", error, ERROR))
    fresh = stage.add("Sub", stage.add("Add", told, ONE), traces)
    return stage.add("Add", traces, stage.add("Mul", stage.add("Mul", counted, constants.pace), fresh))


def stretch(stage: Stage, constants: Tracking, traces: str) -> str:
    """`Tracking.stretch`."""
    recent, usual, recent_weight, usual_weight = (
        stage.add("Gather", traces, whole([place]), axis=3) for place in (1, 2, 3, 4)
    )
    lately, before = stage.add("Mul", recent, usual_weight), stage.add("Mul", usual, recent_weight)
    seen = stage.add("And", stage.add("Greater", lately, ZERO), stage.add("Greater", before, ZERO))
    lately, before = (stage.add("Where", seen, size, UNIT) for size in (lately, before))
    wider, narrower = (
        beyond(stage, constants, stage.add("Div", *pair)) for pair in ((lately, before), (before, lately))
    )
    return stage.clipped(stage.add("Div", wider, narrower), constants.least, constants.most)


def beyond(stage: Stage, constants: Tracking, ratio: str) -> str:
    """`Tracking.beyond`."""
    climb = stage.add("Max", stage.add("Sub", stage.add("Mul", np.float32(2), ratio), constants.foot), UNIT)
    return stage.add("Min", stage.add("Max", ratio, UNIT), climb)


def truth(stage: Stage, contract: Contract) -> tuple[str, str, str]:
    """What came true at the tick of issue (batch, 1, target, 1), 0 where unknown; whether it is known; whether any was seen.

    The last is 1 where the window holds any value of the target, else 0.
    """
    values = stage.add("Gather", INPUT, whole(shape_of(contract).value_columns), axis=2)
    upright = stage.add("Unsqueeze", values, whole([3]))
    known = stage.add("Less", stage.add("Abs", upright), LARGEST)
    newest, is_known = (stage.add("Gather", part, whole([contract.context - 1]), axis=1) for part in (upright, known))
    seen = stage.add("ReduceMax", stage.number(known), whole([1]), keepdims=1)
    return stage.add("Where", is_known, newest, ZERO), is_known, seen


def stamped(model: Any, contract: Contract) -> bytes:
    """Bytes of a graph that names its contract and holds no trace of the machine it was made on."""
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    model.producer_name = PRODUCER
    model.metadata_props.add(key=DIGEST_KEY, value=contract.digest)
    encoded: bytes = model.SerializeToString(deterministic=True)
    return encoded
