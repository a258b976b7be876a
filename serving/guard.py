"""The layer that asks who a client is, and how often it has asked.

Decided here: 401 to those unknown, 403 to those without the role, 429 to those who ask too often; a wrong token costs as much as
many requests, so that nobody can try them in a row. Without tokens and client certificates everybody here is an operator.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from serving.edge import App, Receive, Scope, Send
from serving.security import Access, Keyring, Role, Security, allows, needed
from serving.settings import is_loopback

CLIENTS_KEPT = 4096
WRONG_TOKEN_COSTS = 20.0
BEARER = b"bearer "


@dataclass
class Allowance:
    """Token buckets by client address, of which the ones longest unused are forgotten."""

    per_s: float
    burst: float
    now_s: Callable[[], float] = time.monotonic
    left: "OrderedDict[str, tuple[float, float]]" = field(default_factory=OrderedDict)

    def take(self, client: str, cost: float = 1.0) -> float:
        """Take from a client's bucket; returns 0, or the seconds to wait, when nothing is taken."""
        now_s = self.now_s()
        left, at_s = self.left.pop(client, (self.burst, now_s))
        left = min(self.burst, left + (now_s - at_s) * self.per_s)
        waits_s = 0.0 if left >= min(cost, 1.0) else (1.0 - left) / self.per_s
        self.left[client] = (left if waits_s else left - cost, now_s)
        if len(self.left) > CLIENTS_KEPT:
            self.left.popitem(last=False)
        return waits_s


@dataclass
class Guard:
    """An ASGI application around another, which answers nobody who may not ask."""

    app: App
    security: Security
    keys: Keyring
    allowance: Allowance

    @classmethod
    def around(cls, app: App, access: Access) -> "Guard":
        """A guard by the settings."""
        security = access.security
        return cls(app, security, access.keys, Allowance(security.requests_per_s, security.burst))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await refuse(send, *refusal)

    def refusal(self, scope: Scope) -> tuple[int, str, tuple[bytes, bytes] | None] | None:
        """Status, reason and a header of the answer to a request that may not pass; None when it may."""
        client = (scope.get("client") or ("local", 0))[0]
        counts = self.security.limits_loopback or not is_loopback(client)
        waits_s = self.allowance.take(client) if counts else 0.0
        if waits_s:
            most = f"expected at most {self.security.requests_per_s:g} requests a second; found more; wait"
            return 429, most, (b"retry-after", str(math.ceil(waits_s)).encode())
        asked = needed(scope["method"], scope["path"])
        if asked is None or not self.security.asks:
            return None
        role, is_wrong = self.role(scope)
        if is_wrong and counts:
            self.allowance.take(client, WRONG_TOKEN_COSTS)
        if role is None:
            return (
                401,
                "expected a known token; found none; send Authorization: Bearer TOKEN",
                (b"www-authenticate", b"Bearer"),
            )
        if not allows(role, asked):
            return 403, f"expected the role {asked}; found {role}; use a token of that role", None
        return None

    def role(self, scope: Scope) -> tuple[Role | None, bool]:
        """The role of a request, and whether it came with a token that nobody has."""
        given = next((value for name, value in scope["headers"] if name == b"authorization"), None)
        if given is None or not given.lower().startswith(BEARER):
            return (self.security.client_role if self.security.client_ca else None), False
        role = self.keys.role(given[len(BEARER) :].strip())
        return role, role is None


async def refuse(send: Send, status: int, detail: str, header: tuple[bytes, bytes] | None) -> None:
    """Answer with a problem, in the words of both this API and the inference protocol."""
    body = msgspec.json.encode({"status": status, "detail": detail, "error": detail})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers + ([header] if header else [])})
    await send({"type": "http.response.body", "body": body})
