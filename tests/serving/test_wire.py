"""What a server does with clients that have it wait or hold too much, over real sockets."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvicorn

from serving.edge import App, Receive, Scope, Send
from serving.embedded.plane import Listener
from serving.wire import HEAD_S, IDLE_S, bounds, sweep

REQUEST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"
PIECE_S = 5.0
Talk = Callable[[Listener, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(_: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def talk(conversation: Talk, app: App = echo) -> None:
    """Have a conversation with a server that runs."""

    async def whole() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = uvicorn.Config(app, log_config=None, lifespan="off", **bounds(PIECE_S))  # type: ignore[arg-type]
            server = Listener(config)
            serving = asyncio.create_task(server.serve([listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            await conversation(server, reader, writer)
            writer.close()
            server.should_exit = True
            await serving

    asyncio.run(asyncio.wait_for(whole(), 20))


async def heard(server: Listener) -> None:
    """Until the server has read what was sent."""
    while not server.server_state.connections:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("sent", "within_s"), [(b"", IDLE_S), (b"POST / HTTP/1.1\r\nhos", HEAD_S), (REQUEST + b"ab", PIECE_S)]
)
def test_who_does_not_send_what_is_waited_for_is_let_go_in_time_and_not_before(sent: bytes, within_s: float) -> None:
    async def story(server: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await heard(server)
        at_s = asyncio.get_running_loop().time()
        sweep(server.server_state, at_s + within_s - 2)
        assert len(server.server_state.connections) == 1
        sweep(server.server_state, at_s + within_s + 1)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)

    talk(story)


def test_a_head_that_does_not_end_is_refused_and_a_long_body_is_not(caplog: pytest.LogCaptureFixture) -> None:
    async def endless(_: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET / HTTP/1.1\r\n")
        while not reader.at_eof() and not reader._buffer:  # type: ignore[attr-defined]
            writer.write(b"x: " + b"y" * 9000 + b"\r\n")
            await asyncio.sleep(0.001)
        assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")

    async def long(_: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST / HTTP/1.1\r\ncontent-length: 900000\r\n\r\n")
        for _number in range(100):
            writer.write(b"x" * 9000)
            await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")

    talk(endless)
    talk(long)
    assert "ERROR" not in {record.levelname for record in caplog.records}


def test_what_comes_after_garbage_in_a_row_of_requests_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def story(_: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((REQUEST + b"abcd") * 3 + b"\x00garbage\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        await asyncio.sleep(0.05)

    talk(story)
    assert "ERROR" not in {record.levelname for record in caplog.records}


def test_nobody_is_let_past_the_guard_as_a_websocket() -> None:
    async def story(_: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-key: eA==\r\nsec-websocket-version: 13\r\n\r\n"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")  # an ordinary request

    talk(story)
