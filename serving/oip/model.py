"""A loaded artefact as the protocol sees it: what it is called, what it reads, what it answers.

Decided here: names and versions. A model with a memory takes it as the optional input `state` and answers `next_state`; the
memory of the sidecar's own forecasts is never touched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data.online import NEXT_STATE, STATE, Layout
from serving.inference import INPUT, OUTPUTS, Forecaster
from serving.oip.messages import PLATFORM, ModelMetadata, TensorMetadata
from serving.oip.tensors import Array, refused

ANY = -1
FP32 = "FP32"


@dataclass(frozen=True)
class ServedModel:
    """A forecaster with the description that its contract gives."""

    forecaster: Forecaster

    @cached_property
    def metadata(self) -> ModelMetadata:
        """Name, version, inputs and outputs."""
        contract = self.forecaster.contract
        horizons, targets, levels = len(contract.horizons), len(contract.targets), len(contract.levels)
        inputs = [TensorMetadata(INPUT, FP32, (ANY, contract.context, len(contract.features)))]
        outputs = [
            TensorMetadata(OUTPUTS[0], FP32, (ANY, horizons, targets, levels)),
            TensorMetadata(OUTPUTS[1], FP32, (ANY, horizons, targets)),
        ]
        if contract.online is not None:
            size = Layout.of(contract).size
            inputs.append(TensorMetadata(STATE, FP32, (ANY, size)))
            outputs.append(TensorMetadata(NEXT_STATE, FP32, (ANY, size)))
        return ModelMetadata(contract.name, (contract.digest[:12],), PLATFORM, tuple(inputs), tuple(outputs))

    @cached_property
    def inputs(self) -> dict[str, TensorMetadata]:
        """Inputs by name."""
        return {tensor.name: tensor for tensor in self.metadata.inputs}

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(tensor.name for tensor in self.metadata.outputs)

    @cached_property
    def blank(self) -> Array:
        """(1, size) a memory that remembers nothing."""
        return Layout.of(self.forecaster.contract).blank()

    def run(self, given: Mapping[str, Array], wanted: tuple[str, ...]) -> dict[str, Array]:
        """The wanted outputs (rows, ...) for inputs (rows, ...); a state that is not given is blank.

        Raises InferenceError when the window is missing, the rows differ, or the answer is not finite.
        """
        if INPUT not in given:
            raise refused("inputs", f"the input {INPUT}", "none")
        rows = len(given[INPUT])
        if any(len(array) != rows for array in given.values()):
            raise refused("inputs", f"{rows} rows of each, as of {INPUT}", str([len(a) for a in given.values()]))
        asked = dict(given)
        if STATE in self.inputs and STATE not in asked:
            asked[STATE] = np.repeat(self.blank, rows, axis=0) if rows > 1 else self.blank
        answers = dict(zip(wanted, self.forecaster.session.run(list(wanted), asked), strict=True))
        if not all(np.isfinite(array).all() for array in answers.values()):
            raise refused("outputs", "a finite answer", "NaN or infinity, as the model's own")
        return answers
