"""Tensors of a request into arrays, and arrays into the tensors of an answer.

Decided here: what a tensor may be. Unknown values are `null` in JSON and NaN in binary, for the window of a model may have
gaps; infinities, other shapes and other types are refused, each with what was expected and what was found.
"""

import math
import struct
from array import array
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from serving.oip.messages import InferenceError, InputTensor, OutputTensor, PlainTensor, TensorMetadata


class Named(Protocol):
    """What a tensor says of itself, however it came."""

    @property
    def name(self) -> str:
        """Which input it is."""

    @property
    def datatype(self) -> str:
        """The type of its numbers."""

    @property
    def shape(self) -> Sequence[int]:
        """Its shape, rows first."""


DATATYPES: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}
SIZE, WANTED, WANTED_BY_DEFAULT = "binary_data_size", "binary_data", "binary_data_output"
Decoder = msgspec.json.Decoder[Any]
DECODERS: tuple[Decoder, ...] = (
    msgspec.json.Decoder(list[float | None]),
    msgspec.json.Decoder(list[list[float | None]]),
    msgspec.json.Decoder(list[list[list[float | None]]]),
)  # by depth: the specification allows flat data and nested
Array = NDArray[np.float32]


def read_tensor(tensor: InputTensor, expected: TensorMetadata, binary: memoryview) -> tuple[Array, memoryview]:
    """An input as an array of its shape, and the binary data after it. Raises InferenceError for any other tensor."""
    require_shape(tensor, expected)
    size = tensor.parameters.get(SIZE)
    values = from_json(tensor) if size is None else from_binary(tensor, size, binary)
    return shaped(tensor.name, tensor.shape, values), binary[size or 0 :]


def shaped(name: str, shape: tuple[int, ...], values: Array) -> Array:
    """Numbers in their shape. Raises InferenceError for too many, too few, or one that is infinite."""
    count = math.prod(shape)
    if values.size != count:
        raise refused(name, f"{count} numbers for the shape {list(shape)}", str(values.size))
    if np.isinf(values).any():
        raise refused(name, "finite numbers within FP32, or null (NaN in binary) where unknown", "infinity")
    return values.reshape(shape)


def require_shape(tensor: Named, expected: TensorMetadata) -> None:
    """Raise InferenceError unless a tensor has a known type, at least one row, and the shape that the model reads."""
    if tensor.datatype not in DATATYPES:
        raise refused(tensor.name, f"a datatype among {', '.join(DATATYPES)}", tensor.datatype)
    rows, *rest = tensor.shape or (0,)
    if rows < 1 or rest != list(expected.shape[1:]):
        raise refused(tensor.name, f"the shape {list(expected.shape)}, -1 being 1 or more", str(list(tensor.shape)))


def from_json(tensor: InputTensor) -> Array:
    """The numbers of `data`, flat or nested, in one line."""
    if isinstance(tensor, PlainTensor):
        return packed(tensor.data)
    data = memoryview(tensor.data)
    begins = bytes(data[:64]).translate(None, b" \t\r\n")
    depth = len(begins) - len(begins.lstrip(b"["))
    if not 1 <= depth <= len(DECODERS):
        raise refused(tensor.name, f"data as a list, or nested up to {len(DECODERS)} deep", f"depth {depth}")
    try:
        with np.errstate(over="ignore"):  # beyond FP32 is infinity, which is refused in its turn
            return np.array(DECODERS[depth - 1].decode(data), np.float32).reshape(-1)
    except (msgspec.DecodeError, ValueError) as error:
        raise refused(tensor.name, "numbers or null, in rows of equal length", str(error)) from error


def packed(numbers: list[float]) -> Array:
    """Numbers as FP32; numpy alone takes three times as long. What is beyond FP32 becomes infinity."""
    try:
        return np.frombuffer(struct.pack(f"<{len(numbers)}f", *numbers), "<f4")
    except OverflowError:
        return np.frombuffer(array("f", numbers), np.float32)


def from_binary(tensor: InputTensor, size: object, binary: memoryview) -> Array:
    """The numbers of as many bytes as are said to be this tensor's."""
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary):
        raise refused(tensor.name, f"{SIZE} within {len(binary)} bytes", str(size))
    return from_raw(tensor.name, tensor.datatype, bytes(binary[:size]))


def from_raw(name: str, datatype: str, content: bytes) -> Array:
    """The numbers of bytes, little-endian."""
    kind = DATATYPES[datatype]
    if len(content) % kind.itemsize:
        raise refused(name, f"bytes of whole {datatype} numbers, {kind.itemsize} each", f"{len(content)} bytes")
    with np.errstate(over="ignore"):
        return np.frombuffer(content, kind).astype(np.float32)


def write_tensor(name: str, values: Array, as_binary: bool) -> tuple[OutputTensor, bytes]:
    """An output, and the bytes that go after the JSON (none when its numbers are in it)."""
    if as_binary:
        body = np.ascontiguousarray(values, "<f4").tobytes()
        return OutputTensor(name, values.shape, "FP32", {SIZE: len(body)}), body
    return OutputTensor(name, values.shape, "FP32", data=values.reshape(-1).tolist()), b""


def one_of_each(names: Sequence[str], known: Sequence[str], what: str) -> None:
    """Raise InferenceError for a name that is unknown or comes twice."""
    for place, name in enumerate(names):
        if name not in known or name in names[:place]:
            raise refused(what, f"names among {', '.join(known)}, each once", repr(name))


def refused(where: str, expected: str, found: str) -> InferenceError:
    """The error of a request that cannot be answered."""
    return InferenceError(f"{where}: expected {expected}; found {found}")
