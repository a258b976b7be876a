"""From a served torch model to an artefact: one ONNX graph with scaling and calibration inside, checked before it is written.

Decided here: the graph's signature (`window` → `quantiles`, `spike`, any batch), what its metadata hold, and that a graph
which does not answer as the model does is never written.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data.contract import DIGEST_KEY, Contract
from training.artefact import INPUT, OUTPUTS, load, require_replaceable, write
from training.card import card
from training.parity import Answer, probes, require_parity

PRODUCER = "derivatives-traffic-shaper"


def export(served: nn.Module, contract: Contract, folder: Path, sample_windows: NDArray[np.float32]) -> float:
    """Write the artefact of a `models.served.Served` and return the parity measured (see `training.parity`).

    `sample_windows` (n, context, feature) are raw windows to compare answers on. Raises DataError, and writes nothing, when
    the graph disagrees with the model or `folder` holds something else.
    """
    require_replaceable(folder)
    asked = probes(sample_windows)
    with still(served):
        model = to_onnx(served, asked, contract)
        parity = require_parity(load(model, folder), lambda windows: answer(served, windows), asked)
    write(folder, model, contract, card(contract, parity))
    return parity


def answer(served: nn.Module, windows: NDArray[np.float32]) -> Answer:
    """What the torch model says to windows (n, context, feature)."""
    with torch.inference_mode():
        quantiles, spike = served(torch.from_numpy(windows))
    return quantiles.numpy(), spike.numpy()


@contextmanager
def still(module: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout) for a while."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def to_onnx(served: nn.Module, windows: NDArray[np.float32], contract: Contract) -> bytes:
    """The graph's bytes, with a free batch axis and the contract's digest in its metadata."""
    example = torch.from_numpy(np.resize(windows, (2, *windows.shape[1:])))  # a batch of one would be baked in
    with quiet():
        program = torch.onnx.export(
            served,
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return stamped(program.model_proto, contract)


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


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's remarks about its own internals and about packages that are not needed off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
