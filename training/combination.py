"""Several artefacts as one graph: each reads its own columns of one window, and their answers are averaged.

Decided here: quantiles are averaged level by level (Vincent 1912; Lichtendahl, Grushka-Cockayne and Winkler 2013), so that the
average of ordered quantiles is in order; weights differ by horizon and target, those of spike probabilities by target alone,
so that they cannot fall with the horizon. Members may know different targets, features and contexts. Spike probabilities are read
off the average's quantiles where that was learnt (`training.onset`), and are the members' average elsewhere.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from data.contract import Contract, Window
from data.errors import UsageError
from training.artefact import INPUT, OUTPUTS
from training.onset import Onsets, add_onsets
from training.stage import Stage

Array = NDArray[np.float32]
ARCHITECTURE = "combination"
IR_VERSION = 10
AVERAGE = "around/spike"  # the members' probabilities, averaged


@dataclass(frozen=True)
class Member:
    """One artefact of a combination: its contract and the bytes of its graph."""

    contract: Contract
    model: bytes


@dataclass(frozen=True)
class Weights:
    """Of each member: `quantile` (member, horizon, target) and `spike` (member, target), each adding up to 1 over members.

    A member has no weight in a target that it does not know.
    """

    quantile: Array
    spike: Array

    @staticmethod
    def equal(members: Sequence[Member], contract: Contract) -> "Weights":
        """The same for every member that knows a target."""
        return Weights.shared(members, contract, (1.0,) * len(members))

    @staticmethod
    def shared(members: Sequence[Member], contract: Contract, shares: Sequence[float]) -> "Weights":
        """In proportion to the shares of the members that know a target."""
        knows = np.array([[target in member.contract.targets for target in contract.targets] for member in members])
        told = knows * np.array(shares)[:, None]
        spike = (told / told.sum(axis=0)).astype(np.float32)
        return Weights(np.repeat(spike[:, None], len(contract.horizons), axis=1), spike)


def require_alike(members: Sequence[Member], contract: Contract) -> None:
    """Raise UsageError unless the members fit into a combination's contract."""
    for member in members:
        own = member.contract
        differing = [
            name for name in ("panel", "horizons", "levels") if getattr(own, name) != getattr(contract, name)
        ] + (["calibration online"] if own.online is not None else [])
        names = set(contract.features)
        differing += [f"feature {feature.name}" for feature in own.features if feature not in names]
        if differing or own.context > contract.context:
            raise UsageError(
                "combination",
                expected="members with one panel, the same horizons and levels, and features of the combination",
                found=f"{own.name}: another {', '.join(differing) or 'context'}",
                remedy="correct the members' configurations",
            )


def joined(members: Sequence[Member], contract: Contract) -> Contract:
    """The contract of the combination with what its members were trained on: the longest window, a digest of their digests."""
    digests = sorted({member.contract.data_digest for member in members})
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    since = min(member.contract.training.since for member in members)
    until = max(member.contract.training.until for member in members)
    return msgspec.structs.replace(
        contract, architecture=ARCHITECTURE, training=Window(since, until), data_digest=digest
    )


def combined(members: Sequence[Member], weights: Weights, contract: Contract, onsets: Onsets | None = None) -> bytes:
    """One graph of the contract's signature, not calibrated yet; see `training.stage`. Without `onsets` none is learnt."""
    import onnx
    from onnx import TensorProto, helper

    parts = [part_of(member, place, weights, contract) for place, member in enumerate(members)]
    sums = [
        helper.make_node("Sum", [f"around{place}/{name}/weighted" for place in range(len(members))], [told])
        for name, told in zip(OUTPUTS, (OUTPUTS[0], AVERAGE), strict=True)
    ]
    spikes = Stage(len(contract.levels), "onset/")
    add_onsets(spikes, onsets or Onsets.unknown(contract), contract, AVERAGE, OUTPUTS[1])
    answer = (len(contract.horizons), len(contract.targets))
    sizes = ((INPUT, (contract.context, len(contract.features))), (OUTPUTS[0], (*answer, len(contract.levels))))
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *size])
        for name, size in (*sizes, (OUTPUTS[1], answer))
    ]
    nodes = [*chain.from_iterable(part.nodes for part in parts), *sums, *spikes.nodes]
    constants = [*chain.from_iterable(part.constants for part in parts), *spikes.constants]
    graph = helper.make_graph(nodes, ARCHITECTURE, ports[:1], ports[1:], constants)
    opsets = {entry.domain: entry.version for part in parts for entry in part.opsets}
    imports = [helper.make_opsetid(domain, version) for domain, version in sorted(opsets.items())]
    model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    encoded: bytes = model.SerializeToString()
    return encoded


@dataclass(frozen=True)
class Part:
    """A member's nodes and constants inside the combination, and the operator sets they mean."""

    nodes: list[Any]
    constants: list[Any]
    opsets: list[Any]


def part_of(member: Member, place: int, weights: Weights, contract: Contract) -> Part:
    """A member between what it reads of the window and its weighted answers."""
    import onnx
    from onnx import compose, helper, numpy_helper

    prefix, around, own = f"member{place}/", f"around{place}/", member.contract
    model = compose.add_prefix(onnx.load_from_string(member.model), prefix)
    targets = [own.targets.index(target) if target in own.targets else 0 for target in contract.targets]
    constants = {
        "rows": np.arange(contract.context - own.context, contract.context),
        "columns": np.array([contract.features.index(feature) for feature in own.features]),
        "targets": np.array(targets),
        "quantiles/weight": weights.quantile[place][None, :, :, None],
        "spike/weight": weights.spike[place][None, None, :],
    }
    reading = [
        helper.make_node("Gather", [INPUT, f"{around}rows"], [f"{around}late"], axis=1),
        helper.make_node("Gather", [f"{around}late", f"{around}columns"], [f"{prefix}{INPUT}"], axis=2),
    ]
    answering = [
        node
        for name in OUTPUTS
        for node in (
            helper.make_node("Gather", [f"{prefix}{name}", f"{around}targets"], [f"{around}{name}/all"], axis=2),
            helper.make_node("Mul", [f"{around}{name}/all", f"{around}{name}/weight"], [f"{around}{name}/weighted"]),
        )
    ]
    made = [numpy_helper.from_array(value, f"{around}{name}") for name, value in constants.items()]
    return Part([*reading, *model.graph.node, *answering], [*model.graph.initializer, *made], list(model.opset_import))
