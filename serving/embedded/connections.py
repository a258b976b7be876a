"""HTTP/1.1 to one upstream over connections that are kept, on the parser that the server uses too (httptools).

Decided here: no general client, for one costs more than all the rest of an order (aiohttp 100-150 µs of processor time a request,
this 30). A connection carries one request at a time; it is used again only after a whole answer, and never after it idled longer
than servers keep one. A request that may have arrived is told from one that certainly did not: the connection never stood.
"""

import asyncio
import ssl
from collections import deque
from typing import cast
from urllib.parse import urlsplit

import httptools

KEEP_S = 4.0  # uvicorn closes idle connections after 5 s
MOST_ANSWER_BYTES = 16 * 2**20


class UnsentError(Exception):
    """No connection: the request certainly was not sent."""


class BrokenError(Exception):
    """The connection broke, or what came was no HTTP: the request may have been sent."""


class Connection(asyncio.Protocol):
    """One connection; `idle` takes it back after an answer that leaves it open."""

    def __init__(self, idle: deque["Connection"], loop: asyncio.AbstractEventLoop) -> None:
        self._idle, self._loop = idle, loop
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self.since_s = 0.0
        self.transport: asyncio.Transport | None = None

    def ask(self, content: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send a request; status and body come with the future, which raises BrokenError."""
        answer = self._answer = self._loop.create_future()
        if self.transport is None:
            answer.set_exception(BrokenError("the connection was closed"))
        else:
            self.transport.write(content)
        return answer

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: it stands."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: it is gone."""
        self.transport = None
        self._fail(str(exc) if exc else "the upstream closed the connection")

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes came."""
        if self._answer is None:
            self.abort()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"no HTTP: {error}")
            self.abort()

    def on_body(self, part: bytes) -> None:
        """Parser: a piece of the body."""
        self._size += len(part)
        if self._size > MOST_ANSWER_BYTES:
            self._fail(f"an answer above {MOST_ANSWER_BYTES} bytes")
            self.abort()
        else:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        """Parser: the answer is whole; informational ones (RFC 9110, section 15.2) are not the answer."""
        status, body = self._parser.get_status_code(), b"".join(self._parts)
        self._parts, self._size = [], 0
        answer = self._answer
        if answer is None or status < 200:
            return
        self._answer = None
        if self._parser.should_keep_alive():
            self.since_s = self._loop.time()
            self._idle.append(self)
        else:
            self.abort()
        if not answer.done():
            answer.set_result((status, body))

    def _fail(self, why: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(BrokenError(why))


class Connections:
    """The connections to the origin of a URL."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        parts = urlsplit(url)
        self.path = parts.path.rstrip("/")
        self._host, is_secure = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if is_secure else 80)
        self._tls = ssl.create_default_context() if is_secure else None
        self._head = f"Host: {parts.netloc.rpartition('@')[2]}\r\nContent-Type: application/json\r\n".encode()
        self._loop = loop
        self._idle: deque[Connection] = deque()

    async def ask(self, method: str, path: str, headers: bytes, body: bytes, within_s: float) -> tuple[int, bytes]:
        """Status and body of one request; `headers` are whole lines. Raises UnsentError, BrokenError, TimeoutError."""
        until_s = self._loop.time() + within_s
        connection = self._kept() or await self._new(until_s)
        line = f"{method} {self.path}{path or '/'} HTTP/1.1\r\n".encode()
        answer = connection.ask(b"%b%b%bContent-Length: %d\r\n\r\n%b" % (line, self._head, headers, len(body), body))
        timer = self._loop.call_at(until_s, too_late, answer)
        try:
            return await answer
        except (TimeoutError, asyncio.CancelledError):
            connection.abort()
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        """Close what idles."""
        while self._idle:
            self._idle.pop().abort()

    def _kept(self) -> Connection | None:
        """The connection that idles the shortest, unless that is too long."""
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                if self._loop.time() - connection.since_s <= KEEP_S:
                    return connection
                connection.abort()
        return None

    async def _new(self, until_s: float) -> Connection:
        try:
            async with asyncio.timeout_at(until_s):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._idle, self._loop), self._host, self._port, ssl=self._tls
                )
        except (OSError, TimeoutError) as error:
            raise UnsentError(str(error) or "no connection in time") from error
        return connection


def too_late(answer: asyncio.Future[tuple[int, bytes]]) -> None:
    """Give up on an answer."""
    if not answer.done():
        answer.set_exception(TimeoutError("no answer in time"))
