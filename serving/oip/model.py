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
TRIED_ROWS = 16


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

    @cached_property
    def rows_are_independent(self) -> bool:
        """Whether rows answered together were answered as each alone, to the bit, when that was tried on random windows."""
        drawn = (
            np.random.default_rng(0).normal(size=(TRIED_ROWS, *self.metadata.inputs[0].shape[1:])).astype(np.float32)
        )
        drawn[::2, 0] = np.nan
        answers = self.session_run(self.completed({INPUT: drawn}), self.outputs)
        singly = [self.session_run(self.completed({INPUT: row[np.newaxis]}), self.outputs) for row in drawn]
        return all(
            array.tobytes() == np.concatenate([single[place] for single in singly]).tobytes()
            for place, array in enumerate(answers)
        )

    def completed(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs (rows, ...) with a blank state where it is not given.

        Raises InferenceError when the window is missing, or the rows differ.
        """
        if INPUT not in given:
            raise refused("inputs", f"the input {INPUT}", "none")
        rows = len(given[INPUT])
        if any(len(array) != rows for array in given.values()):
            raise refused("inputs", f"{rows} rows of each, as of {INPUT}", str([len(a) for a in given.values()]))
        asked = dict(given)
        if STATE in self.inputs and STATE not in asked:
            asked[STATE] = np.repeat(self.blank, rows, axis=0) if rows > 1 else self.blank
        return asked

    def run(self, asked: Mapping[str, Array], wanted: tuple[str, ...]) -> dict[str, Array]:
        """The wanted outputs (rows, ...) for completed inputs. Raises InferenceError when the answer is not finite."""
        answers = self.session_run(asked, wanted)
        if not all(np.isfinite(array).all() for array in answers):
            raise refused("outputs", "a finite answer", "NaN or infinity, as the model's own")
        return dict(zip(wanted, answers, strict=True))

    def session_run(self, asked: Mapping[str, Array], wanted: tuple[str, ...]) -> list[Array]:
        """What the graph answers."""
        answers: list[Array] = self.forecaster.session.run(wanted, asked)
        return answers
