"""A real uvicorn on a free port of this machine, spoken to byte by byte: what is answered on the connection itself is answered
as the server would, and the rest is the server's."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import uvicorn

from serving.desk import Desk
from serving.direct import connection
from serving.loop import Sidecar
from serving.security import Access, Keyring, Security, keyring
from serving.server import Surface
from tests.serving.made import START, counts, posted
from tests.serving.test_security import FILE, SECRETS

OPEN = Access(Security(), Keyring(), is_local=True)
TENSOR = {"name": "window", "shape": [1, 4, 3], "datatype": "FP32", "data": [3.5] * 12}
INFER = "/v2/models/echo/infer"
Talk = Callable[["Client"], Awaitable[None]]


class Client:
    """One connection after another to the same server."""

    writer: asyncio.StreamWriter | None = None

    def __init__(self, port: int) -> None:
        self.port = port

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    async def open(self) -> "Client":
        self.close()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    def send(self, content: bytes) -> None:
        assert self.writer is not None
        self.writer.write(content)

    async def ask(self, *requests: bytes) -> tuple[int, dict[str, str], bytes]:
        for request in requests:
            self.send(request)
            await asyncio.sleep(0.01)  # so that each comes alone
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        return int(lines[0].split()[1]), headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def is_closed(self) -> bool:
        return await asyncio.wait_for(self.reader.read(1), 10) == b""


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    told = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def infer(**changes: Any) -> bytes:
    return request("POST", INFER, msgspec.json.encode({"inputs": [{**TENSOR, **changes}]}))


def talk(sidecar: Sidecar, conversation: Talk, access: Access = OPEN, limit: int | None = None) -> Surface:
    surface = Surface.of(Desk(sidecar), "1.0", access)

    async def whole() -> None:
        http = cast("type[asyncio.Protocol]", surface.connection)
        config = uvicorn.Config(
            surface.app, http=http, log_config=None, lifespan="on", server_header=False, limit_concurrency=limit
        )
        server = uvicorn.Server(config)
        listener = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.005)
        client = Client(listener.getsockname()[1])
        try:
            await asyncio.wait_for(conversation(await client.open()), 30)
        finally:
            client.close()
            server.should_exit = True
            await serving

    asyncio.run(whole())
    return surface


def counted(sidecar: Sidecar, path: str, status: int) -> float:
    told = sidecar.pipeline.metrics.registry.get_sample_value(
        "shaper_http_requests_total", {"path": path, "status": str(status)}
    )
    return told or 0.0


def test_inferences_are_answered_again_and_again_on_one_connection_and_counted(sidecar: Sidecar) -> None:
    async def conversation(client: Client) -> None:
        for number in range(3):
            status, headers, body = await client.ask(infer(data=[float(number)] * 12))
            assert (status, headers["content-type"], "date" in headers) == (200, "application/json", True)
            assert msgspec.json.decode(body)["outputs"][0]["data"][2] == number
        assert (await client.ask(request("GET", "/v2/health/live")))[2] == b'{"live":true}'

    talk(sidecar, conversation)
    assert counted(sidecar, "/v2/models/infer", 200) == 3


def test_a_request_may_come_in_any_pieces(sidecar: Sidecar) -> None:
    async def conversation(client: Client) -> None:
        whole = infer()
        for cut in (1, 7, len(whole) // 2, len(whole) - 1):
            assert (await client.ask(whole[:cut], whole[cut:]))[0] == 200

    talk(sidecar, conversation)


def test_whatever_else_is_asked_goes_over_to_the_server_with_the_connection(sidecar: Sidecar) -> None:
    async def conversation(client: Client) -> None:
        assert (await client.ask(infer()))[0] == 200
        cut = request("GET", "/healthz")
        assert (await client.ask(cut[:3], cut[3:]))[2] == b'{"status":"ok"}'
        assert (await client.ask(infer()))[0] == 200  # by the server now
        assert (await client.ask(request("GET", "/v1/plan")))[0] == 503

    talk(sidecar, conversation)
    assert counted(sidecar, "/v2/models/infer", 200) == 2


@pytest.mark.parametrize(
    ("headers", "framed"),
    [
        ({"Transfer_Encoding": "chunked"}, True),
        ({"Expect": "100-continue"}, False),
    ],
)
def test_a_body_that_comes_in_another_way_is_read_by_the_server(
    sidecar: Sidecar, headers: dict[str, str], framed: bool
) -> None:
    async def conversation(client: Client) -> None:
        body = msgspec.json.encode({"inputs": [TENSOR]})
        content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if framed else body
        head = request("POST", INFER, content, **headers)
        head = head.replace(f"Content-Length: {len(content)}\r\n".encode(), b"") if framed else head
        client.send(head)
        status, _, _ = await client.answer()
        if status == 100:
            status, _, _ = await client.answer()
        assert status == 200

    talk(sidecar, conversation)


@pytest.mark.parametrize("path", ["/v1/forecast", "/v1/plan"])
def test_what_is_cached_is_answered_as_the_framework_answers_it(sidecar: Sidecar, path: str) -> None:
    async def conversation(client: Client) -> None:
        rows = posted(counts(START, 3600)) + posted(counts(START + timedelta(hours=1), 15))
        await sidecar.observe(msgspec.json.encode({"request_counts": rows}))
        while not sidecar.board.readiness().ready:
            await asyncio.sleep(0.01)
        here = await client.ask(request("GET", path))
        there = await client.ask(request("GET", f"{path}?"))
        assert here[0] == there[0] == 200
        assert {**here[1], "date": ""} == {**there[1], "date": ""}
        assert here[2] == there[2]

    talk(sidecar, conversation)
    assert counted(sidecar, path, 200) == 2


def test_who_asks_too_much_or_without_a_token_hears_what_the_server_says(sidecar: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "tokens.toml").write_text(FILE, "utf-8")
    settings = Security(
        tokens=str(tmp_path / "tokens.toml"), limits_loopback=True, burst=20, requests_per_s=0.001, max_connections=9
    )

    async def conversation(client: Client) -> None:
        def with_token(secret: str) -> bytes:
            return request("POST", INFER, b"x" * 30, Authorization=f"Bearer {secret}")

        other = await Client(client.port).open()
        for asking in (request("POST", INFER, b"x" * 30), request("GET", "/v2")):
            here, there = await client.ask(asking), await other.ask(asking.replace(b" HTTP", b"? HTTP", 1))
            assert (here[0], here[2]) == (there[0], there[2]) == (401, here[2])
            assert here[1]["www-authenticate"] == "Bearer"
        assert (await client.ask(with_token(SECRETS["read"])))[0] == 400
        assert (await client.ask(with_token("w" * 30)))[0] == 401
        here, there = await client.ask(infer()), await other.ask(infer())
        assert (here[0], here[2], here[1]["retry-after"]) == (429, there[2], there[1]["retry-after"])
        other.close()

    talk(sidecar, conversation, Access(settings, keyring(settings), is_local=False))


def test_a_name_of_somebody_else_is_not_answered(sidecar: Sidecar) -> None:
    async def conversation(client: Client) -> None:
        assert (await client.ask(request("GET", "/v2", Host="evil.example")))[0] == 421
        assert (await client.ask(request("GET", "/v2")))[0] == 200

    talk(sidecar, conversation)


def test_what_is_no_http_and_what_is_too_long_ends_the_connection(
    sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conversation(client: Client) -> None:
        assert (await client.ask(b"\x16\x03\x01 nonsense\r\n\r\n"))[0] == 400
        assert await client.is_closed()
        client = await client.open()
        assert (await client.ask(b"GET /v2 HTTP/1.1\r\nX: " + b"x" * connection.MOST_HEAD_BYTES))[0] == 431
        assert await client.is_closed()
        client = await client.open()
        monkeypatch.setattr("serving.direct.door.MAX_BODY_BYTES", 10)
        assert (await client.ask(infer()))[0] == 413

    talk(sidecar, conversation)


def test_one_request_at_a_time_is_answered_and_then_the_connection_ends(sidecar: Sidecar) -> None:
    async def conversation(client: Client) -> None:
        status, headers, _ = await client.ask(infer() + infer())
        assert (status, headers["connection"]) == (200, "close")
        assert await client.is_closed()
        client = await client.open()
        assert (await client.ask(infer()[:-1].replace(b"Host", b"Connection: close\r\nHost", 1), infer()[-1:]))[
            0
        ] == 200
        assert await client.is_closed()

    talk(sidecar, conversation)


def test_silence_ends_a_connection(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_S", 0.05)
    monkeypatch.setattr(connection, "STALLED_S", 0.1)

    async def conversation(client: Client) -> None:
        assert (await client.ask(infer()))[0] == 200
        assert await client.is_closed()
        client = await client.open()
        client.send(infer()[:-1])
        assert await client.is_closed()

    talk(sidecar, conversation)


def test_a_head_that_comes_byte_by_byte_ends_a_connection(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_S", 0.05)
    monkeypatch.setattr(connection, "HEAD_S", 0.2)

    async def conversation(client: Client) -> None:
        async def drip() -> None:
            client.send(b"GET /v1/plan HTTP/1.1\r\nHost: ")
            while True:
                client.send(b"1")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await client.is_closed()
        dripping.cancel()

    talk(sidecar, conversation)


def test_beyond_the_most_connections_the_server_refuses(sidecar: Sidecar) -> None:
    async def conversation(client: Client) -> None:
        assert (await client.ask(infer()))[0] == 200
        other = await Client(client.port).open()
        assert (await other.ask(infer()))[0] == 503
        other.close()

    talk(sidecar, conversation, limit=2)


def test_requests_that_wait_together_are_answered_as_each_alone(sidecar: Sidecar) -> None:
    async def conversation(client: Client) -> None:
        clients = [await Client(client.port).open() for _ in range(24)]
        asked = [infer(data=[float(number)] * 12) for number in range(22)]
        asked += [infer(shape=[2, 4, 3], data=[0.25] * 24), infer(shape=[1, 3, 4])]
        singly = [await each.ask(whole) for each, whole in zip(clients, asked, strict=True)]
        for each, whole in zip(clients, asked, strict=True):
            each.send(whole)
        together = [await each.answer() for each in clients]
        assert [(status, body) for status, _, body in together] == [(status, body) for status, _, body in singly]
        assert [status for status, _, _ in singly].count(200) == 23
        for each in clients:
            each.close()

    talk(sidecar, conversation)
