"""HTTP/1.1 of uvicorn with bounds on what a client may have us hold, and on how long we wait for it.

Decided here: a request's head has 64 KiB and 10 s, a body's next piece as long as its server says; whoever takes longer is let go,
for connections are few. What is answered after a client has gone, or has sent bytes that are no HTTP, goes nowhere. There are no
WebSockets: nothing here speaks them, and they would pass by those who ask who a client is.
"""

import asyncio
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

MOST_HEAD_BYTES = 64 * 2**10
HEAD_S, IDLE_S = 10.0, 75.0
SWEEP_TICKS = 10  # of uvicorn's main loop, of 0.1 s each
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"  # RFC 6585, section 5


class Bounded(HttpToolsProtocol):
    """A connection; `piece_s` is how long the next piece of a body may take."""

    def __init__(self, *given: Any, piece_s: float, **named: Any) -> None:
        super().__init__(*given, **named)
        self.piece_s = piece_s
        self.in_head, self.head_bytes = False, 0
        self.heard_s = self.began_s = self.loop.time()
        self.under_way: list[RequestResponseCycle] = []

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes came."""
        self.heard_s, was_in_head = self.loop.time(), self.in_head
        super().data_received(data)
        if was_in_head and self.in_head:
            self.head_bytes += len(data)
            if self.head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(TOO_LONG)
                self.transport.close()
                self.forget()

    def on_message_begin(self) -> None:
        """Parser: a head begins."""
        self.in_head, self.head_bytes, self.began_s = True, 0, self.heard_s
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Parser: a head is whole."""
        self.in_head = False
        super().on_headers_complete()
        self.under_way = [cycle for cycle in (*self.under_way, self.cycle) if not cycle.response_complete]

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, and nothing else after it."""
        super().send_400_response(msg)
        self.forget()

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: it is gone."""
        self.forget()
        super().connection_lost(exc)

    def forget(self) -> None:
        """Have whoever answers requests of this connection know that nobody listens; uvicorn tells only the last of them."""
        for cycle in self.under_way:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def keeps_waiting(self, at_s: float) -> bool:
        """Whether the client has not sent for too long what it is waited for."""
        if self.in_head:
            return at_s - self.began_s > HEAD_S
        if self.cycle is None or self.cycle.response_complete:
            return at_s - self.heard_s > IDLE_S
        paused = self.flow.read_paused  # it is we who do not read
        return self.cycle.more_body and not paused and at_s - self.heard_s > self.piece_s


class BoundedServer(uvicorn.Server):
    """A server whose connections are bounded."""

    async def on_tick(self, counter: int) -> bool:
        """Let go of those that have us wait, once a second."""
        if counter % SWEEP_TICKS == 0:
            sweep(self.server_state, asyncio.get_running_loop().time())
        return await super().on_tick(counter)


def sweep(state: ServerState, at_s: float) -> None:
    """Close the connections that keep us waiting."""
    for connection in list(state.connections):
        if isinstance(connection, Bounded) and connection.keeps_waiting(at_s):
            connection.transport.abort()


def bounds(piece_s: float) -> dict[str, Any]:
    """Uvicorn's settings for such connections."""
    return {"http": partial(Bounded, piece_s=piece_s), "ws": "none"}
