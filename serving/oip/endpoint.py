"""The `/v2` paths as raw ASGI in front of the framework: nothing but the protocol on the hot path.

Decided here: statuses, and which requests are computed on the event loop (few rows, tens of microseconds each) and which on a
thread of their own, so that a large batch holds up nobody.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec

from serving.edge import Receive, Scope, Send
from serving.inference import Forecaster
from serving.oip.messages import Failure, InferenceError, InferenceRequest, InferenceResponse, ServerMetadata
from serving.oip.model import ServedModel
from serving.oip.tensors import WANTED, WANTED_BY_DEFAULT, one_of_each, read_tensor, write_tensor

LOG = logging.getLogger(__name__)
ROWS_ON_LOOP = 4
MAX_BODY_BYTES = 16 * 2**20
MAX_ROWS = 4096
JSON_LENGTH = "inference-header-content-length"
READ = msgspec.json.Decoder(InferenceRequest)
WRITE = msgspec.json.Encoder()


@dataclass(frozen=True)
class Reply:
    """A status, a body, and for binary tensors the length of the JSON before them."""

    status: int
    body: bytes
    json_length: int | None = None


@dataclass
class InferenceEndpoint:
    """An ASGI application for `/v2`; it asks each time which model serves, so that a swap needs no telling."""

    current: Callable[[], Forecaster]
    version: str
    name: str = "shaper"
    served: ServedModel | None = None
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="inference"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            reply = await self.reply(scope, receive)
        except InferenceError as error:
            reply = Reply(error.status, WRITE.encode(Failure(str(error))))
        except Exception as error:
            LOG.exception("an inference failed")
            reply = Reply(500, WRITE.encode(Failure(f"{type(error).__name__}: see the log")))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers(reply)})
        await send({"type": "http.response.body", "body": reply.body})

    async def reply(self, scope: Scope, receive: Receive) -> Reply:
        """The answer to a request. Raises InferenceError for one that has none."""
        match tuple(scope["path"].strip("/").split("/")[1:]):
            case ():
                found: object = ServerMetadata(self.name, self.version)
            case ("health", ("live" | "ready") as state):
                found = {state: True}
            case ("models", name, "versions", version, *rest) if len(rest) < 2:
                return await self.of_model(self.model(name, version), rest, scope, receive)
            case ("models", name, *rest) if len(rest) < 2:
                return await self.of_model(self.model(name, None), rest, scope, receive)
            case _:
                raise InferenceError(f"expected a path of the protocol; found {scope['path']}", 404)
        require(scope["method"], "GET")
        return Reply(200, WRITE.encode(found))

    def model(self, name: str, version: str | None) -> ServedModel:
        """The model of a name and, unless None, a version. Raises InferenceError when another serves."""
        current = self.current()
        if self.served is None or self.served.forecaster is not current:
            self.served = ServedModel(current)
        about = self.served.metadata
        if name != about.name or version not in (None, *about.versions):
            raise InferenceError(f"expected the model {about.name}, version {about.versions[0]}; found {name}", 404)
        return self.served

    async def of_model(self, model: ServedModel, rest: list[str], scope: Scope, receive: Receive) -> Reply:
        """The answer to what follows a model in a path."""
        match rest:
            case []:
                found: object = model.metadata
            case ["ready"]:
                found = {"name": model.metadata.name, "ready": True}
            case ["infer"]:
                require(scope["method"], "POST")
                return await self.infer(model, scope, receive)
            case _:
                raise InferenceError(f"expected infer or ready; found {rest[0]}", 404)
        require(scope["method"], "GET")
        return Reply(200, WRITE.encode(found))

    async def infer(self, model: ServedModel, scope: Scope, receive: Receive) -> Reply:
        """Run the model on what a request holds."""
        body = await read_body(receive, MAX_BODY_BYTES)
        length = json_length(scope, len(body))
        request = decoded(body[:length])
        given, binary = {}, memoryview(body)[length:]
        one_of_each([tensor.name for tensor in request.inputs], tuple(model.inputs), "inputs")
        for tensor in request.inputs:
            given[tensor.name], binary = read_tensor(tensor, model.inputs[tensor.name], binary)
        wanted = tuple(output.name for output in request.outputs) or model.outputs
        one_of_each(wanted, model.outputs, "outputs")
        rows = max((len(array) for array in given.values()), default=0)
        if rows > MAX_ROWS:
            raise InferenceError(f"expected at most {MAX_ROWS} rows; found {rows}; send several requests", 413)

        def answer() -> Reply:
            return encoded(model, request, model.run(given, wanted))

        if rows <= ROWS_ON_LOOP:
            return answer()
        return await asyncio.get_running_loop().run_in_executor(self.thread, answer)


def encoded(model: ServedModel, request: InferenceRequest, answers: dict[str, Any]) -> Reply:
    """The answer with the outputs as numbers, or as bytes where the request wants them so."""
    by_default = request.parameters.get(WANTED_BY_DEFAULT) is True
    binary = {output.name: output.parameters.get(WANTED, by_default) is True for output in request.outputs}
    written = [write_tensor(name, array, binary.get(name, by_default)) for name, array in answers.items()]
    about = model.metadata
    response = InferenceResponse(about.name, about.versions[0], tuple(tensor for tensor, _ in written), request.id)
    body, after = WRITE.encode(response), b"".join(part for _, part in written)
    return Reply(200, body + after, len(body) if after else None)


def decoded(body: bytes) -> InferenceRequest:
    """A request from JSON. Raises InferenceError for anything else."""
    try:
        return READ.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InferenceError(f"body: expected an inference request; found {error}") from error


async def read_body(receive: Receive, most: int) -> bytes:
    """A whole body. Raises InferenceError when it is too long, or when the client has left."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise InferenceError("the client left before its request was whole")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            raise InferenceError(f"expected a body of at most {most} bytes; found more; send several requests", 413)
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunks[0]


def json_length(scope: Scope, whole: int) -> int:
    """How many bytes of a body are JSON. Raises InferenceError when the header that says so cannot be."""
    told = next((value for name, value in scope["headers"] if name == JSON_LENGTH.encode()), None)
    if told is None:
        return whole
    if not told.isdigit() or int(told) > whole:
        raise InferenceError(f"{JSON_LENGTH}: expected a length within the body's {whole} bytes; found {told!r}")
    return int(told)


def require(method: str, allowed: str) -> None:
    """Raise InferenceError for another method."""
    if method != allowed and not (method == "HEAD" and allowed == "GET"):
        raise InferenceError(f"expected {allowed}; found {method}", 405)


def headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    """Headers of a reply; binary tensors make it an octet stream."""
    kind = b"application/json" if reply.json_length is None else b"application/octet-stream"
    made = [(b"content-type", kind), (b"content-length", str(len(reply.body)).encode())]
    if reply.json_length is not None:
        made.append((JSON_LENGTH.encode(), str(reply.json_length).encode()))
    return made
