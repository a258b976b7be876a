"""A connection that answers the requests which the door knows, and goes over to the ASGI server with the first other one.

Decided here: nothing of HTTP is said twice. A request that the door does not know, that is no HTTP, or that has no body of a stated
length (RFC 9112, section 6) takes the connection to the server with every byte of it, and what comes after is answered there too.
One request at a time: what a client sends before it has its answer is not read, and the connection is closed after that answer,
so that the client asks again (RFC 9112, section 9.3.2).
"""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import httptools
from uvicorn.server import ServerState

from serving.direct.door import Answer, Door, Headers, Request
from serving.wire import HEAD_S, MOST_HEAD_BYTES

IDLE_S, STALLED_S = 5.0, 30.0  # a connection without a request, and with one that does not go on, is closed
LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
FOR_THE_SERVER = frozenset([b"expect", b"transfer-encoding", b"upgrade"])  # headers that it knows how to follow
TOO_LONG = Answer(431, [], b"")
PARTS = frozenset(b"%?#")  # of a target that is more than a path


class DirectConnection(asyncio.Protocol):
    """One connection; `server` makes the protocol that it may go over to, `state` is the server's.

    When there are `most` connections, requests are left to the server, which refuses them.
    """

    def __init__(
        self, door: Door, server: Callable[[], asyncio.Protocol], state: ServerState, most: int | None = None
    ) -> None:
        self._door, self._server, self._state, self._most = door, server, state, most
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._client: tuple[str, int] | None = None
        self._last = self._is_asked = False
        self._renew()

    def _renew(self) -> None:
        """Be ready for a request."""
        self._head: list[bytes] = []
        self._url, self._headers, self._body = b"", cast("Headers", []), cast("list[bytes]", [])
        self._request: Request | None = None
        self._refusal: Answer | None = None
        self._is_whole = self._is_elsewhere = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: it stands."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._client = (str(peer[0]), int(peer[1])) if peer else None
        self._state.connections.add(self)  # type: ignore[arg-type]  # which the server asks no more of than to shut down
        self._heard_s = self._came_s = self._loop.time()
        self._timer = self._loop.call_later(IDLE_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: it is gone."""
        del exc
        self._leave()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes came."""
        self._heard_s = self._loop.time()
        if self._is_asked or self._transport is None:
            self._last = True
            return
        self._feed(data)
        if self._is_elsewhere:
            self._go_over()
        elif self._is_whole:
            self._answer()

    def _feed(self, data: bytes) -> None:
        """Have bytes parsed; those of a request that is not known yet are kept."""
        if self._request is None:
            self._came_s = self._came_s if self._head else self._heard_s
            self._head.append(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._is_elsewhere = self._is_elsewhere or self._request is None
            self._last = True  # unless the server takes it: no request came after this one
        if self._request is None and not self._is_elsewhere and sum(map(len, self._head)) > MOST_HEAD_BYTES:
            self._refusal, self._is_whole, self._last = TOO_LONG, True, True

    def pause_writing(self) -> None:
        """Asyncio: the client does not read."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Asyncio: it reads again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def shutdown(self) -> None:
        """Server: it ends; what is asked is answered first."""
        self._last = True
        if not self._is_asked and self._transport is not None:
            self._transport.close()

    def on_message_begin(self) -> None:
        """Parser: a request begins."""
        self._last = self._last or self._is_whole

    def on_url(self, url: bytes) -> None:
        """Parser: the target, or a part of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser: a header."""
        if not self._is_whole:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Parser: all but the body."""
        if self._is_whole or self._is_elsewhere:
            return
        method, told = self._parser.get_method().decode(), dict(self._headers)
        is_path = PARTS.isdisjoint(self._url) and self._url.isascii()
        path = self._url.decode() if is_path else ""
        is_crowded = self._most is not None and len(self._state.connections) >= self._most
        if is_crowded or not (is_path and self._door.knows(method, path) and FOR_THE_SERVER.isdisjoint(told)):
            self._is_elsewhere = True
            return
        self._begun_s = time.perf_counter()
        self._request = Request(method, path, self._headers, self._client)
        self._refusal = self._door.refusal(self._request, int(told.get(b"content-length", b"0")))

    def on_body(self, part: bytes) -> None:
        """Parser: a piece of the body."""
        if self._refusal is None and not self._is_whole:
            self._body.append(part)

    def on_message_complete(self) -> None:
        """Parser: the request is whole."""
        self._is_whole = True

    def _answer(self) -> None:
        """Have the request answered."""
        self._is_asked = True
        if self._refusal is not None:
            self._write(self._refusal)
        elif self._request is not None:
            self._last = self._last or not self._parser.should_keep_alive()
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._door.answer(self._request, body, self._write)

    def _write(self, answer: Answer) -> None:
        """Send an answer, and be ready for the next request or be done."""
        if self._request is not None:
            self._door.count(self._request.path, answer.status, self._begun_s)
        self._is_asked = False
        if self._transport is None:
            return
        lines = [LINES[answer.status]]
        lines += [b"%b: %b\r\n" % header for header in (*self._state.default_headers, *answer.headers)]
        if self._last:
            lines.append(b"connection: close\r\n")
        lines.append(b"content-length: %d\r\n\r\n" % len(answer.body))
        lines.append(answer.body)
        self._transport.write(b"".join(lines))
        if self._last:
            self._transport.close()
        else:
            self._renew()

    def _go_over(self) -> None:
        """Have the server go on from the beginning of this request."""
        self._leave()
        transport, self._transport = self._transport, None
        if transport is None:
            return
        protocol = self._server()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(b"".join(self._head))

    def _leave(self) -> None:
        """Be no connection of the server's any more."""
        self._timer.cancel()
        self._state.connections.discard(self)

    def _look(self) -> None:
        """Close a connection on which nothing has happened for too long, or whose head comes too slowly."""
        in_head = bool(self._head) and self._request is None
        silent_s = self._loop.time() - (self._came_s if in_head else self._heard_s)
        limit_s = HEAD_S if in_head else STALLED_S if self._head else IDLE_S
        if silent_s >= limit_s and not self._is_asked and self._transport is not None:
            self._transport.close()
        else:
            self._timer = self._loop.call_later(max(limit_s - silent_s, IDLE_S / 10), self._look)
