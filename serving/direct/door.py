"""Which requests are answered on the connection itself, and by whom.

Decided here: the Open Inference Protocol, and the newest forecast and plan while there are any. All that is asked of other requests
is asked of these too, in the same order: the host, the client, how often; and each is counted.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from prometheus_client import Counter

from serving.edge import REFUSAL, Edge, counted, is_ours
from serving.guard import Guard
from serving.oip.endpoint import JSON_LENGTH, MAX_BODY_BYTES, Asked, InferenceEndpoint, Reply, failed, headers
from serving.oip.messages import InferenceError
from serving.state import Board

Headers = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")
CACHED = ("/v1/forecast", "/v1/plan")


class Request(NamedTuple):
    """A request without its body; header names are in lower case."""

    method: str
    path: str
    headers: Headers
    client: tuple[str, int] | None


class Answer(NamedTuple):
    """Status, headers but for the length, and body."""

    status: int
    headers: Headers
    body: bytes


Done = Callable[[Answer], None]


@dataclass
class Door:
    """The way in for what is answered directly; `edge` and `guard` are those that other requests pass."""

    edge: Edge
    guard: Guard
    inference: InferenceEndpoint
    board: Board
    counters: dict[tuple[str, int], Counter] = field(default_factory=dict)

    def knows(self, method: str, path: str) -> bool:
        """Whether a request is answered here now."""
        if path.startswith("/v2"):
            return method in ("GET", "POST") and path[3:4] in ("", "/")
        return method == "GET" and path in CACHED and self.cached(path) is not None

    def cached(self, path: str) -> bytes | None:
        """What is cached for a path."""
        return self.board.plan if path == "/v1/plan" else self.board.forecast

    def refusal(self, request: Request, length: int) -> Answer | None:
        """Why a request with a body of a length is not answered; None when it is."""
        scope = {**request._asdict(), "type": "http"}
        if self.edge.is_local and not is_ours(scope):
            return Answer(421, [JSON], REFUSAL)
        refused = self.guard.refusal(scope)
        if refused is not None:
            status, detail, header = refused
            said = msgspec.json.encode({"status": status, "detail": detail, "error": detail})
            return Answer(status, [JSON, header] if header else [JSON], said)
        if length > MAX_BODY_BYTES:
            return answer_of(
                failed(InferenceError(f"expected a body of at most {MAX_BODY_BYTES} bytes; found {length}", 413))
            )
        return None

    def answer(self, request: Request, body: bytes, done: Done) -> None:
        """Answer a request that is known and not refused, now or later."""
        path = request.path
        if not path.startswith("/v2"):
            done(Answer(200, [JSON, (b"cache-control", b"no-store")], self.cached(path) or b""))
            return
        length = next((value for name, value in request.headers if name == JSON_LENGTH), None)
        self.inference.answer(Asked(request.method, path, body, length), lambda reply: done(answer_of(reply)))

    def count(self, path: str, status: int, since_s: float) -> None:
        """Count an answer that was begun at a time of `time.perf_counter`."""
        key = counted(path), status
        counter = self.counters.get(key)
        if counter is None:
            counter = self.counters[key] = self.edge.metrics.requests.labels(key[0], str(status))
        counter.inc()
        self.edge.metrics.request_seconds.observe(time.perf_counter() - since_s)


def answer_of(reply: Reply) -> Answer:
    """A reply of the inference protocol."""
    return Answer(reply.status, headers(reply), reply.body)
