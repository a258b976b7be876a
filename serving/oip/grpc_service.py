"""The Open Inference Protocol over gRPC: the same models, limits and batches as at `/v2`.

Decided here: the statuses of errors, and that outputs come as inputs came, raw or as numbers.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import grpc
import numpy as np

from serving.oip import open_inference_pb2 as pb
from serving.oip import open_inference_pb2_grpc
from serving.oip.batching import Outcome
from serving.oip.endpoint import LOG, InferenceEndpoint
from serving.oip.messages import InferenceError, TensorMetadata
from serving.oip.model import ServedModel
from serving.oip.tensors import DATATYPES, Array, from_raw, one_of_each, refused, require_shape, shaped

STATUSES = {404: grpc.StatusCode.NOT_FOUND, 413: grpc.StatusCode.RESOURCE_EXHAUSTED}
T = TypeVar("T")


class InferenceService(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """The methods, over the endpoint that answers over HTTP."""

    def __init__(self, endpoint: InferenceEndpoint) -> None:
        self.endpoint = endpoint

    async def ServerLive(self, _: pb.ServerLiveRequest, __: Any) -> pb.ServerLiveResponse:  # noqa: N802  (names of the protocol)
        """Whether the server answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, _: pb.ServerReadyRequest, __: Any) -> pb.ServerReadyResponse:  # noqa: N802
        """Whether inferences are answered, as they are from the first moment."""
        return pb.ServerReadyResponse(ready=True)

    async def ModelReady(self, asked: pb.ModelReadyRequest, context: Any) -> pb.ModelReadyResponse:  # noqa: N802
        """Whether a model serves."""
        await answered(context, lambda: self.model(asked.name, asked.version))
        return pb.ModelReadyResponse(ready=True)

    async def ServerMetadata(self, _: pb.ServerMetadataRequest, __: Any) -> pb.ServerMetadataResponse:  # noqa: N802
        """What answers."""
        return pb.ServerMetadataResponse(name=self.endpoint.name, version=self.endpoint.version)

    async def ModelMetadata(self, asked: pb.ModelMetadataRequest, context: Any) -> pb.ModelMetadataResponse:  # noqa: N802
        """What a model reads and answers."""
        about = (await answered(context, lambda: self.model(asked.name, asked.version))).metadata
        return pb.ModelMetadataResponse(
            name=about.name,
            versions=about.versions,
            platform=about.platform,
            inputs=[described(tensor) for tensor in about.inputs],
            outputs=[described(tensor) for tensor in about.outputs],
        )

    async def ModelInfer(self, asked: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:  # noqa: N802
        """Run a model."""
        told: asyncio.Future[pb.ModelInferResponse | Exception] = asyncio.get_running_loop().create_future()

        def tell(outcome: pb.ModelInferResponse | Exception) -> None:
            if not told.cancelled():  # with the call
                told.set_result(outcome)

        def begin() -> None:
            model = self.model(asked.model_name, asked.model_version)
            given, wanted = read(asked, model)
            self.endpoint.compute(model, (given, wanted), lambda outcome: written(model, asked, outcome), tell)

        await answered(context, begin)
        outcome = await told
        if isinstance(outcome, Exception):
            await fail(context, outcome)
        return outcome

    def model(self, name: str, version: str) -> ServedModel:
        """The model of a name and, unless empty, a version. Raises InferenceError when another serves."""
        return self.endpoint.model(name, version or None)


async def answered(context: Any, job: Callable[[], T]) -> T:
    """What a job returns; the call ends when it fails."""
    try:
        return job()
    except Exception as error:
        await fail(context, error)


async def fail(context: Any, error: Exception) -> NoReturn:
    """End a call for what was wrong with it; a fault of ours is in the log."""
    if isinstance(error, InferenceError):
        await context.abort(STATUSES.get(error.status, grpc.StatusCode.INVALID_ARGUMENT), str(error))
    LOG.error("an inference failed", exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: see the log")
    raise error  # which aborting has done already


def described(tensor: TensorMetadata) -> pb.ModelMetadataResponse.TensorMetadata:
    """A tensor as the protocol describes it."""
    return pb.ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def read(asked: pb.ModelInferRequest, model: ServedModel) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The inputs of a request and the outputs that it wants. Raises InferenceError for what the model does not have."""
    raw, inputs = asked.raw_input_contents, asked.inputs
    one_of_each([tensor.name for tensor in inputs], tuple(model.inputs), "inputs")
    if raw and len(raw) != len(inputs):
        raise refused("raw_input_contents", f"one for each of {len(inputs)} inputs, or none", str(len(raw)))
    given = {}
    for place, tensor in enumerate(inputs):
        require_shape(tensor, model.inputs[tensor.name])
        values = from_raw(tensor.name, tensor.datatype, raw[place]) if raw else numbers(tensor)
        given[tensor.name] = shaped(tensor.name, tuple(tensor.shape), values)
    wanted = tuple(output.name for output in asked.outputs) or model.outputs
    one_of_each(wanted, model.outputs, "outputs")
    return given, wanted


def numbers(tensor: pb.ModelInferRequest.InferInputTensor) -> Array:
    """The numbers of a tensor that is not raw."""
    contents = tensor.contents.fp32_contents if tensor.datatype == "FP32" else tensor.contents.fp64_contents
    with np.errstate(over="ignore"):  # beyond FP32 is infinity, which is refused in its turn
        return np.fromiter(contents, DATATYPES[tensor.datatype], len(contents)).astype(np.float32)


def written(model: ServedModel, asked: pb.ModelInferRequest, outcome: Outcome) -> pb.ModelInferResponse | Exception:
    """The answer to an inference, or why there is none."""
    if isinstance(outcome, Exception):
        return outcome
    about, is_raw = model.metadata, bool(asked.raw_input_contents)
    answer = pb.ModelInferResponse(model_name=about.name, model_version=about.versions[0], id=asked.id)
    for name, array in outcome.items():
        output = answer.outputs.add(name=name, datatype="FP32", shape=array.shape)
        if is_raw:
            answer.raw_output_contents.append(np.ascontiguousarray(array, "<f4").tobytes())
        else:
            output.contents.fp32_contents.extend(array.reshape(-1).tolist())
    return answer
