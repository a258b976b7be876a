"""From a served torch model to an artefact: one ONNX graph with scaling and calibration inside, checked before it is written.

Decided here: the graph's signature (`window` → `quantiles`, `spike`, any batch), and that a graph which does not answer as the
model does is never written.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data.contract import Contract
from models.served import Served
from training.artefact import INPUT, OUTPUTS, load, require_replaceable, write
from training.card import card
from training.parity import Answer, probes, require_parity
from training.stage import with_calibration


def export(served: Served, contract: Contract, folder: Path, sample_windows: NDArray[np.float32]) -> float:
    """Write the artefact of a served model and return the parity measured (see `training.parity`).

    `sample_windows` (n, context, feature) are raw windows to compare answers on. Raises DataError, and writes nothing, when
    the graph disagrees with the model or `folder` holds something else.
    """
    require_replaceable(folder)
    asked = probes(sample_windows)
    with still(served):
        model = with_calibration(to_onnx(served.raw, asked), contract, served.offset.numpy())
        parity = require_parity(load(model, folder), lambda windows: answer(served, windows), asked)
    write(folder, model, contract, card(contract, parity))
    return parity


def answer(served: Served, windows: NDArray[np.float32]) -> Answer:
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


def to_onnx(raw: nn.Module, windows: NDArray[np.float32]) -> bytes:
    """The bytes of a forecaster's own graph, uncalibrated, with a free batch axis."""
    example = torch.from_numpy(np.resize(windows, (2, *windows.shape[1:])))  # a batch of one would be baked in
    with quiet():
        program = torch.onnx.export(
            raw,
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    encoded: bytes = program.model_proto.SerializeToString(deterministic=True)
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
