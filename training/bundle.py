"""A fitted model between training and export: weights, options, contract and sample windows in one file of plain tensors.

Decided here: the file holds no pickled class (it loads with `weights_only`), and it is the same whether it is a part of a
Lightning checkpoint or stands alone with its calibration.
"""

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from data.contract import Contract
from data.errors import DataError
from models.registry import build
from models.served import Served
from models.shape import Forecaster, Statistics
from training.preparation import Prepared
from training.shapes import shape_of
from training.tracking import code_version

KEY = "bundle"
SAMPLES = 64


@dataclass(frozen=True)
class Bundle:
    """A served model (calibrated or not), the options it was built with, its contract, and raw windows to compare it on."""

    served: Served
    options: dict[str, int | float]
    contract: Contract
    samples: NDArray[np.float32]

    @staticmethod
    def of(architecture: str, options: Mapping[str, int | float], network: Forecaster, prepared: Prepared) -> "Bundle":
        """A model that has just been fitted; its calibration is still to come."""
        contract = msgspec.structs.replace(prepared.contract, architecture=architecture, code_version=code_version())
        return Bundle(Served(network), dict(options), contract, samples(prepared))

    def told(self, contract: Contract) -> "Bundle":
        """The same model under another contract."""
        return Bundle(self.served, self.options, contract, self.samples)

    def packed(self) -> dict[str, Any]:
        """Plain tensors and text."""
        return {
            "state": self.served.state_dict(),
            "options": self.options,
            "contract": msgspec.json.encode(self.contract).decode(),
            "samples": torch.from_numpy(self.samples),
        }

    @staticmethod
    def unpacked(packed: Mapping[str, Any]) -> "Bundle":
        """The inverse of `packed`."""
        contract = msgspec.json.decode(packed["contract"], type=Contract)
        shape = shape_of(contract)
        served = Served(build(contract.architecture, shape, Statistics.blank(shape), packed["options"]))
        served.load_state_dict(packed["state"])
        return Bundle(served.eval(), packed["options"], contract, packed["samples"].numpy())


def samples(prepared: Prepared) -> NDArray[np.float32]:
    """Some raw windows (n, context, feature) of the validation period, to compare answers on."""
    rows = prepared.trainable(prepared.split.validation)
    chosen = rows[:: max(len(rows) // SAMPLES, 1)][:SAMPLES]
    return np.array(prepared.windows[chosen], np.float32)


def save(bundle: Bundle, path: Path) -> None:
    """Write a bundle, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save({KEY: bundle.packed()}, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path) -> Bundle:
    """Read a bundle from a file of `save` or from a checkpoint. Raises DataError when there is none or it is garbled."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        return Bundle.unpacked(found[KEY])
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(
            str(path),
            expected="a model that `shaper train` saved",
            found=str(error).partition("\n")[0] or type(error).__name__,
            remedy="name a run folder or a checkpoint of it, or train again",
        ) from error
