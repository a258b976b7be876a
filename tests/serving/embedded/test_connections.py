import asyncio
from collections.abc import Awaitable, Callable

import pytest

from serving.embedded.connections import BrokenError, Connections, UnsentError
from tests.serving.embedded.made import closed_port, play

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def saying(*answers: bytes, then_close: bool = False) -> tuple[Serve, list[bytes]]:
    """A server that gives these answers, one for each request of a connection, and the requests it has read."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            try:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                break
            await reader.readexactly(int(heads[-1].lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            for part in answer.split(b"|"):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
        if not then_close:
            await reader.read()  # until the client has gone
        writer.close()

    return serve, heads


def told(serve: Serve, *bodies: bytes, within_s: float = 5.0) -> list[tuple[int, bytes]]:
    """What a server answers to requests one after the other."""
    answers: list[tuple[int, bytes]] = []

    async def story() -> None:
        handlers: list[asyncio.Task[None]] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            handlers.append(task)
            await serve(reader, writer)

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        connections = Connections(
            f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/base/", asyncio.get_running_loop()
        )
        try:
            answers.extend([await connections.ask("POST", "/orders", b"X-A: 1\r\n", body, within_s) for body in bodies])
        finally:
            connections.close()
            server.close()
            await asyncio.gather(*handlers)

    play(story())
    return answers


def test_a_request_carries_path_headers_and_body() -> None:
    serve, heads = saying(OK)
    assert told(serve, b"{}") == [(200, b"ok")]
    line, *headers = heads[0].decode().split("\r\n")
    assert line == "POST /base/orders HTTP/1.1"
    assert {"X-A: 1", "Content-Length: 2", "Content-Type: application/json"} <= set(headers)


def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    serve, heads = saying(OK, OK, OK)  # one connection answers all three
    assert told(serve, b"1", b"2", b"3") == [(200, b"ok")] * 3
    assert len(heads) == 3


def test_an_answer_in_pieces_or_after_an_early_hint_is_put_together() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-|Encoding: chunked\r\n\r\n2\r\nok\r|\n1\r\n!\r\n0\r\n\r\n"
    serve, _ = saying(chunked, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    assert told(serve, b"1", b"2") == [(200, b"ok!"), (200, b"ok")]


def test_a_connection_that_the_server_ends_is_not_used_again() -> None:
    serve, heads = saying(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), then_close=True)
    assert told(serve, b"1", b"2") == [(200, b"ok")] * 2
    assert len(heads) == 2


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", b""])
def test_what_breaks_off_or_is_no_http_may_have_been_sent(answer: bytes) -> None:
    serve, _ = saying(answer, then_close=True)
    with pytest.raises(BrokenError):
        told(serve, b"1")


def test_no_answer_in_time_is_a_timeout() -> None:
    serve, _ = saying(b"HTTP/1.1 200 OK\r\n", OK)
    with pytest.raises(TimeoutError):
        told(serve, b"1", within_s=0.05)


def test_a_closed_port_was_certainly_not_sent_to() -> None:
    async def story() -> None:
        nowhere = Connections(f"http://127.0.0.1:{closed_port()}", asyncio.get_running_loop())
        with pytest.raises(UnsentError):
            await nowhere.ask("GET", "", b"", b"", 1.0)

    play(story())
