"""The bodies of the Open Inference Protocol v2, as its REST specification and binary tensor extension name them.

Decided here: which fields are read and written. What a request says beyond them is passed over, as the specification asks.
Source: Open Inference Protocol v2 (github.com/kserve/open-inference-protocol).
"""

from typing import Any

import msgspec

VERSION_TEXT = "2"
EXTENSIONS = ("binary_tensor_data",)
PLATFORM = "onnxruntime_onnx"


class InferenceError(Exception):
    """A request that cannot be answered: the HTTP status, and a message with what was expected and found."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Failure(msgspec.Struct, frozen=True):
    """The body of every error."""

    error: str


class ServerMetadata(msgspec.Struct, frozen=True):
    """What answers."""

    name: str
    version: str
    extensions: tuple[str, ...] = EXTENSIONS


class TensorMetadata(msgspec.Struct, frozen=True):
    """A tensor's name, type and shape; -1 is any number."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelMetadata(msgspec.Struct, frozen=True):
    """What a model reads and answers; a version is the beginning of its contract's digest."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


class InputTensor(msgspec.Struct, frozen=True):
    """A tensor of a request: numbers in `data`, or bytes after the JSON whose count `parameters` gives."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = msgspec.Raw(b"")


class PlainTensor(InputTensor, frozen=True):
    """The same with its numbers read: one line of them, none unknown, which nearly every request is."""

    data: list[float] = []  # type: ignore[assignment]


class WantedOutput(msgspec.Struct, frozen=True):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class InferenceRequest(msgspec.Struct, frozen=True):
    """A request; without `outputs` every output is answered."""

    inputs: tuple[InputTensor, ...]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: tuple[WantedOutput, ...] = ()


class PlainRequest(InferenceRequest, frozen=True):
    """A request whose tensors are all plain."""

    inputs: tuple[PlainTensor, ...]


class OutputTensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tensor of an answer: numbers in row-major order, or their bytes after the JSON."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[float] | None = None


class InferenceResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer."""

    model_name: str
    model_version: str
    outputs: tuple[OutputTensor, ...]
    id: str | None = None
    parameters: dict[str, Any] = {}
