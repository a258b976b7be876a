"""The outermost layer of the API: who is answered, and how long it took.

Decided here: on the loopback interface only requests for a name of this machine are answered, so that no web page can reach the
API by pointing a name of its own at it; and requests are counted by known paths alone, so that strangers cannot grow the metrics.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

from serving.metrics import Metrics
from serving.settings import is_loopback

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
REFUSAL = b'{"status":421,"detail":"Host: expected localhost or a loopback address; found another; ask 127.0.0.1"}'
PATHS = frozenset(
    [
        "/v1/observations",
        "/v1/gateway",
        "/v1/forecast",
        "/v1/plan",
        "/v1/plans",
        "/v1/explain",
        "/v1/what-if",
        "/v1/overrides",
        "/v1/events",
        "/v1/observations/stream",
        "/v1/models",
        "/v1/models/swap",
        "/healthz",
        "/readyz",
        "/metrics",
        "/schema/openapi.json",
    ]
)
INFERENCE = "/v2/models/infer"
FAULT = 500
GONE = 499  # what nginx counts a client as that left before it was answered


class Edge:
    """An ASGI application around another."""

    def __init__(self, app: App, metrics: Metrics, is_local: bool = True) -> None:
        self.app = app
        self.metrics = metrics
        self.is_local = is_local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no request; refuse, or time and count, what is one."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status, has_left = GONE, False

        async def heard() -> MutableMapping[str, Any]:
            nonlocal has_left
            message = await receive()
            has_left = has_left or message["type"] == "http.disconnect"
            return message

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await (self.app if not self.is_local or is_ours(scope) else misdirected)(scope, heard, watched)
        except Exception:
            status = FAULT
            raise
        finally:
            told = GONE if has_left and status == FAULT else status  # the framework's word for a body that stopped
            self.metrics.requests.labels(counted(scope["path"]), str(told)).inc()
            self.metrics.request_seconds.observe(time.perf_counter() - started)


def counted(path: str) -> str:
    """The label of a path: itself where it is known, one for all inferences, else `other`."""
    if path in PATHS:
        return path
    return INFERENCE if path.startswith("/v2/models/") and path.endswith("/infer") else "other"


def is_ours(scope: Scope) -> bool:
    """Whether the Host header, if any, names this machine."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"localhost").decode("latin-1")
    return names_this_machine(host)


@lru_cache(64)
def names_this_machine(host: str) -> bool:
    """Whether a Host header's value, with or without a port, is localhost or a loopback address."""
    return is_loopback(host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0])


async def misdirected(_: Scope, __: Receive, send: Send) -> None:
    """Answer 421 Misdirected Request (RFC 9110, section 15.5.20)."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(REFUSAL)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": REFUSAL})
