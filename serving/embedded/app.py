"""The gateway's HTTP surface, in raw ASGI.

Decided here: `POST /` is JSON-RPC, `POST /orders` takes a REST order, `GET /orders/ID` asks for one; each with a key in
`Authorization: Bearer` or `X-Api-Key`. `GET /healthz` tells a balancer in front whether orders are taken. A REST order is passed on
as it was understood, so that no upstream can read it otherwise.
"""

import asyncio
import re
from collections.abc import Mapping

import msgspec

from serving.edge import Receive, Scope, Send
from serving.embedded import rpc
from serving.embedded.desk import Client, Desk
from serving.embedded.forward import Question, judged_rest, judged_rpc
from serving.embedded.ledger import Outcome, Told
from serving.embedded.refusals import INVALID_REQUEST, PARSE_ERROR, Refused, as_error, as_problem, invalid, retry_after

TYPE = (b"content-type", b"application/json")
ORDERS, HEALTH = "/orders", "/healthz"
IDENTITY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")  # no path steps
IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
Fields = dict[str, msgspec.Raw]
FIELDS = msgspec.json.Decoder(Fields)


class Nature(msgspec.Struct):
    """What an order's own fields say of it."""

    post_only: bool = False
    action: str = "place"

    @property
    def rests(self) -> bool:
        """Whether it takes no liquidity."""
        return self.post_only or self.action == "cancel"


class GatewayApp:
    """An ASGI application around a desk."""

    def __init__(self, desk: Desk, max_body_bytes: int, max_batch: int) -> None:
        self.desk, self._most_bytes, self._most_calls = desk, max_body_bytes, max_batch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        method, path = scope["method"], scope["path"]
        if path == HEALTH:
            await answer(send, 200 if self.desk.takes_orders else 503, b"{}", [])
            return
        client = self._client(headers)
        if isinstance(client, Refused):
            await self._refuse(send, client, path)
        elif method == "POST" and path in ("/", ORDERS):
            body = await read_body(receive, self._most_bytes)
            if isinstance(body, Refused):
                await self._refuse(send, body, path)
            elif body is not None:
                await (self._rpc(send, client, body) if path == "/" else self._order(send, client, body, headers))
        elif method == "GET" and path.startswith(ORDERS + "/") and IDENTITY.fullmatch(path[len(ORDERS) + 1 :]):
            question = Question("GET", b"", path, judged_rest)
            await self._tell(send, await self.desk.read(client, question))
        else:
            await self._refuse(
                send, invalid(INVALID_REQUEST, "expected POST /, POST /orders or GET /orders/ID", 404), path
            )

    def _client(self, headers: Mapping[bytes, bytes]) -> Client | Refused:
        key = headers.get(b"x-api-key")
        if key is None:
            scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
            key = key.strip() if scheme.lower() == b"bearer" else b""
        account = self.desk.accounts.of(key) if key else None
        if account is None:
            return invalid(INVALID_REQUEST, "expected a known key in Authorization: Bearer or X-Api-Key", 401)
        return Client(account, headers.get(b"shaper-tier"), patience_s(headers.get(b"shaper-deadline-ms")))

    async def _rpc(self, send: Send, client: Client, body: bytes) -> None:
        if not rpc.is_batch(body):
            call, told = await self._call(client, body)
            await answer(send, *as_answer(call, told))
            return
        parts = rpc.read_batch(body, self._most_calls)
        if isinstance(parts, Refused):
            await self._refuse(send, parts, "/")
            return
        done = await asyncio.gather(*(self._call(client, part) for part in parts))
        answers = [as_answer(call, told) for call, told in done]
        refusals = [told for _, told in done if isinstance(told, Refused)]
        status, headers = 200, []
        if len(refusals) == len(done):
            status, headers = answers[0][0], answers[0][2]
        spoken = [content for _, content, _ in answers if content]
        await answer(send, status, b"[" + b",".join(spoken) + b"]" if spoken else b"", headers)

    async def _call(self, client: Client, raw: bytes | msgspec.Raw) -> tuple[rpc.Call | None, Told]:
        call = rpc.read_call(raw)
        if isinstance(call, Refused):
            self.desk.metrics.invalid.inc()
            return None, call
        return call, await self._carried_out(client, call)

    async def _carried_out(self, client: Client, call: rpc.Call) -> Told:
        refused = rpc.method_refused(call.method)
        if refused is None and call.method != rpc.SEND:
            return await self.desk.read(client, Question("POST", rpc.read_request(call), "", judged_rpc))
        found = refused or rpc.read_transaction(call.params)
        if isinstance(found, Refused):
            self.desk.metrics.invalid.inc()
            return found
        return await self.desk.transaction(client, *found)

    async def _order(self, send: Send, client: Client, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        key = headers.get(b"idempotency-key")
        if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
            await self._refuse(
                send, invalid(INVALID_REQUEST, "expected an Idempotency-Key of 1 to 255 visible characters"), ORDERS
            )
            return
        try:
            understood = msgspec.json.encode(
                FIELDS.decode(body)
            )  # a field that stands twice is passed on once, as it was read
            nature = msgspec.json.decode(understood, type=Nature)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            await self._refuse(
                send, invalid(INVALID_REQUEST, f"expected an order as a JSON object; found {error}"), ORDERS
            )
            return
        told = await self.desk.order(client, nature.rests, understood, None if key is None else key.decode())
        await self._tell(send, told)

    async def _tell(self, send: Send, told: Told) -> None:
        if isinstance(told, Outcome):
            await answer(send, told.status, told.content, [])
        else:
            await answer(send, told.status, as_problem(told), retry_after(told))

    async def _refuse(self, send: Send, refused: Refused, path: str) -> None:
        self.desk.metrics.invalid.inc()
        content = rpc.failed(b"null", as_error(refused)) if path == "/" else as_problem(refused)
        await answer(send, refused.status, content, retry_after(refused))


def as_answer(call: rpc.Call | None, told: Told) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """Status, body and headers of a call's answer; no body for a notification."""
    call_id = b"null" if call is None else bytes(call.id)
    if isinstance(told, Refused):
        content = rpc.failed(call_id, as_error(told)) if call_id else b""
        return told.status, content, retry_after(told)
    content = rpc.answered(call_id, told.content) if told.accepted else rpc.failed(call_id, told.content)
    return told.status, content if call_id else b"", []


def patience_s(header: bytes | None) -> float | None:
    """How long a client says it will wait; what is no number of milliseconds says nothing."""
    return int(header) / 1000 if header is not None and header.isdigit() and len(header) < 10 else None


async def read_body(receive: Receive, most_bytes: int) -> bytes | Refused | None:
    """A request's body; None when the client has gone."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > most_bytes:
            return invalid(INVALID_REQUEST, f"expected at most {most_bytes} bytes", 413)
        parts.append(part)
        more = message.get("more_body", False)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    return body if body.isascii() or is_utf8(body) else invalid(PARSE_ERROR, "expected JSON in UTF-8")


def is_utf8(body: bytes) -> bool:
    """Whether a body is UTF-8, as JSON has to be (RFC 8259, section 8.1)."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


async def answer(send: Send, status: int, content: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Send an answer; one without content is 204."""
    if not content and status == 200:
        await send({"type": "http.response.start", "status": 204, "headers": headers})
    else:
        length = (b"content-length", b"%d" % len(content))
        await send({"type": "http.response.start", "status": status, "headers": [TYPE, length, *headers]})
    await send({"type": "http.response.body", "body": content})
