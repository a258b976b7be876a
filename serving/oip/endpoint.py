"""The `/v2` paths in front of the framework: nothing but the protocol on the hot path.

Decided here: statuses, and which requests are computed on the event loop (few rows, tens of microseconds each, together with
others that wait) and which on a thread of their own, so that a large one holds up nobody.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from serving.edge import Receive, Scope, Send
from serving.inference import Forecaster
from serving.oip.batching import Batches, Outcome, Work, alone
from serving.oip.messages import (
    Failure,
    InferenceError,
    InferenceRequest,
    InferenceResponse,
    PlainRequest,
    ServerMetadata,
)
from serving.oip.model import ServedModel
from serving.oip.tensors import WANTED, WANTED_BY_DEFAULT, Array, one_of_each, read_tensor, write_tensor

LOG = logging.getLogger(__name__)
ROWS_ON_LOOP = 4
MAX_BODY_BYTES = 16 * 2**20
MAX_ROWS = 4096
JSON_LENGTH = b"inference-header-content-length"
READ_PLAIN = msgspec.json.Decoder(PlainRequest)
READ = msgspec.json.Decoder(InferenceRequest)
WRITE = msgspec.json.Encoder()


@dataclass(frozen=True)
class Reply:
    """A status, a body, and for binary tensors the length of the JSON before them."""

    status: int
    body: bytes
    json_length: int | None = None


Done = Callable[[Reply], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is made of; `json_length` is the header that says where binary tensors begin, if any."""

    method: str
    path: str
    body: bytes = b""
    json_length: bytes | None = None


@dataclass
class InferenceEndpoint:
    """The answers to `/v2`; it asks each time which model serves, so that a swap needs no telling.

    It is an ASGI application too, for connections that the server has taken over.
    """

    current: Callable[[], Forecaster]
    version: str
    name: str = "shaper"
    served: ServedModel | None = None
    batches: Batches = field(default_factory=Batches)
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="inference"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def tell(reply: Reply) -> None:
            if not told.cancelled():  # with the server's task
                told.set_result(reply)

        try:
            body = await read_body(receive, MAX_BODY_BYTES)
        except InferenceError as error:
            tell(failed(error))
        else:
            length = next((value for name, value in scope["headers"] if name == JSON_LENGTH), None)
            self.answer(Asked(scope["method"], scope["path"], body, length), tell)
        reply = await told
        told_of = [*headers(reply), (b"content-length", str(len(reply.body)).encode())]
        await send({"type": "http.response.start", "status": reply.status, "headers": told_of})
        await send({"type": "http.response.body", "body": reply.body})

    def answer(self, asked: Asked, done: Done) -> None:
        """Have a request answered: at once where nothing is to be computed, else with the batch that it joins."""
        try:
            reply = self.reply(asked, done)
        except Exception as error:
            reply = failed(error)
        if reply is not None:
            done(reply)

    def reply(self, asked: Asked, done: Done) -> Reply | None:
        """The answer to a request, None when `done` is told later. Raises InferenceError for one that has none."""
        match tuple(asked.path.strip("/").split("/")[1:]):
            case ("models", name, "infer"):
                self.infer(self.model(name, None), asked, done)
                return None
            case ("models", name, "versions", version, "infer"):
                self.infer(self.model(name, version), asked, done)
                return None
            case ():
                found: object = ServerMetadata(self.name, self.version)
            case ("health", ("live" | "ready") as state):
                found = {state: True}
            case ("models", name, "versions", version, *rest) if len(rest) < 2:
                found = about(self.model(name, version), rest)
            case ("models", name, *rest) if len(rest) < 2:
                found = about(self.model(name, None), rest)
            case _:
                raise InferenceError(f"expected a path of the protocol; found {asked.path}", 404)
        require(asked.method, "GET")
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

    def infer(self, model: ServedModel, asked: Asked, done: Done) -> None:
        """Have the model run on what a request holds; `done` is told."""
        require(asked.method, "POST")
        length = json_length(asked)
        request = decoded(asked.body[:length])
        given, binary = {}, memoryview(asked.body)[length:]
        one_of_each([tensor.name for tensor in request.inputs], tuple(model.inputs), "inputs")
        for tensor in request.inputs:
            given[tensor.name], binary = read_tensor(tensor, model.inputs[tensor.name], binary)
        wanted = tuple(output.name for output in request.outputs) or model.outputs
        one_of_each(wanted, model.outputs, "outputs")
        self.compute(model, (given, wanted), lambda outcome: written(model, request, outcome), done)

    def compute(
        self,
        model: ServedModel,
        work: tuple[dict[str, Array], tuple[str, ...]],
        write: Callable[[Outcome], T],
        done: Callable[[T], None],
    ) -> None:
        """Have few rows computed and written with the next batch, many on a thread. Raises InferenceError for what cannot be."""
        given, wanted = model.completed(work[0]), work[1]
        rows = len(next(iter(given.values())))
        if rows > MAX_ROWS:
            raise InferenceError(f"expected at most {MAX_ROWS} rows; found {rows}; send several requests", 413)
        if rows <= ROWS_ON_LOOP:
            self.batches.add(Work(model, given, wanted, lambda outcome: done(write(outcome))))
            return
        aside = asyncio.get_running_loop().run_in_executor(self.thread, lambda: write(alone(model, given, wanted)))
        aside.add_done_callback(lambda told: done(told.result()))


def about(model: ServedModel, rest: list[str]) -> object:
    """What is said of a model, by what follows it in a path."""
    match rest:
        case []:
            return model.metadata
        case ["ready"]:
            return {"name": model.metadata.name, "ready": True}
    raise InferenceError(f"expected infer or ready; found {rest[0]}", 404)


def written(model: ServedModel, request: InferenceRequest, outcome: Outcome) -> Reply:
    """The answer to an inference, or why there is none."""
    return failed(outcome) if isinstance(outcome, Exception) else encoded(model, request, outcome)


def failed(error: Exception) -> Reply:
    """The answer to a request that has none; a fault of ours is in the log."""
    if isinstance(error, InferenceError):
        return Reply(error.status, WRITE.encode(Failure(str(error))))
    LOG.error("an inference failed", exc_info=error)
    return Reply(500, WRITE.encode(Failure(f"{type(error).__name__}: see the log")))


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
        return READ_PLAIN.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # something unknown or nested among the numbers, or no request at all
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


def json_length(asked: Asked) -> int:
    """How many bytes of a body are JSON. Raises InferenceError when the header that says so cannot be."""
    told, whole = asked.json_length, len(asked.body)
    if told is None:
        return whole
    if not told.isdigit() or int(told) > whole:
        raise InferenceError(
            f"{JSON_LENGTH.decode()}: expected a length within the body's {whole} bytes; found {told!r}"
        )
    return int(told)


def require(method: str, allowed: str) -> None:
    """Raise InferenceError for another method."""
    if method != allowed and not (method == "HEAD" and allowed == "GET"):
        raise InferenceError(f"expected {allowed}; found {method}", 405)


def headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    """Headers of a reply but for its length; binary tensors make it an octet stream."""
    if reply.json_length is None:
        return [(b"content-type", b"application/json")]
    return [(b"content-type", b"application/octet-stream"), (JSON_LENGTH, str(reply.json_length).encode())]
