import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from serving.edge import Edge, Receive, Scope, Send
from serving.metrics import Metrics


async def answers(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


async def breaks(_: Scope, __: Receive, ___: Send) -> None:
    raise RuntimeError("inside")


def ask(edge: Edge, path: str = "/v1/plan", host: bytes | None = b"127.0.0.1:8080") -> tuple[int, bytes]:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [] if host is None else [(b"accept", b"*/*"), (b"host", host)]
    asyncio.run(edge({"type": "http", "path": path, "headers": headers}, receive, send))
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("host", [None, b"localhost", b"localhost:8080", b"127.0.0.1", b"[::1]:8080", b"[::1]"])
def test_a_name_of_this_machine_is_answered(host: bytes | None) -> None:
    assert ask(Edge(answers, Metrics.create()), host=host) == (200, b"inside")


@pytest.mark.parametrize("host", [b"evil.example", b"127.0.0.1.evil.example:80", b"", b"[", b"\xff\xfe", b"10.0.0.1"])
def test_any_other_name_is_misdirected(host: bytes) -> None:
    status, body = ask(Edge(answers, Metrics.create()), host=host)
    assert status == 421
    assert b"expected localhost" in body


def test_requests_are_counted_by_known_paths_alone() -> None:
    metrics = Metrics.create()
    edge = Edge(answers, metrics)
    for path in ("/v1/plan", "/v1/plan", "/a", "/b"):
        ask(edge, path)
    count = metrics.registry.get_sample_value
    assert count("shaper_http_requests_total", {"path": "/v1/plan", "status": "200"}) == 2
    assert count("shaper_http_requests_total", {"path": "other", "status": "200"}) == 2
    assert count("shaper_http_request_duration_seconds_count") == 4


def test_a_request_that_breaks_is_counted_as_500() -> None:
    metrics = Metrics.create()
    with pytest.raises(RuntimeError):
        ask(Edge(breaks, metrics))
    assert metrics.registry.get_sample_value("shaper_http_requests_total", {"path": "/v1/plan", "status": "500"}) == 1


def test_one_whose_client_left_is_no_fault_of_ours() -> None:
    metrics = Metrics.create()

    async def stops(_: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 500, "headers": []})

    async def left() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def nowhere(_: MutableMapping[str, Any]) -> None:
        pass

    asyncio.run(Edge(stops, metrics)({"type": "http", "path": "/v1/plan", "headers": []}, left, nowhere))
    assert metrics.registry.get_sample_value("shaper_http_requests_total", {"path": "/v1/plan", "status": "499"}) == 1
