"""The sidecar's cached plan against the barest possible server, on one core each, in the same run."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.serving.made import write_artefact, write_config, write_history
from tests.serving.process import running

pytestmark = pytest.mark.benchmark
REQUEST = b"GET /v1/plan HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
BARE = """
import socket, sys, uvicorn
body = sys.stdin.buffer.read()
headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off")).run([listener])
"""


@contextmanager
def bare(body: bytes) -> Iterator[tuple[int, int]]:
    """(port, process id) of raw ASGI on uvicorn that answers every request with the same bytes."""
    process = subprocess.Popen(
        [sys.executable, "-c", BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(body)
        process.stdin.close()
        yield int(process.stdout.readline()), process.pid
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


async def ask_again_and_again(port: int, until: float, request: bytes) -> list[float]:
    """Seconds that each answer took on one connection that is kept open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    while time.perf_counter() < until:
        begun = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
        took.append(time.perf_counter() - begun)
    writer.close()
    await writer.wait_closed()
    return took


def measure(port: int, connections: int, seconds: float, request: bytes = REQUEST) -> tuple[float, list[float]]:
    """Answers a second, and the sorted seconds that they took."""

    async def together() -> list[float]:
        until = time.perf_counter() + seconds
        parts = await asyncio.gather(*(ask_again_and_again(port, until, request) for _ in range(connections)))
        return sorted(value for part in parts for value in part)

    took = asyncio.run(together())
    return len(took) / seconds, took


@pytest.fixture
def cores() -> Iterator[tuple[int, int]]:
    """The core for the server and the one for the client, which runs there meanwhile."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no way to pin a process to a core on this system")
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[-1]})
    yield allowed[0], allowed[-1]
    os.sched_setaffinity(0, allowed)


def shown(name: str, rate: float, took: list[float]) -> None:
    p50, p99 = statistics.median(took), took[int(0.99 * (len(took) - 1))]
    print(f"{name:34} {rate:8.0f}/s   p50 {1e3 * p50:6.2f} ms   p99 {1e3 * p99:6.2f} ms   max {1e3 * took[-1]:6.2f} ms")


def test_cached_plans_against_a_bare_server(tmp_path: Path, cores: tuple[int, int]) -> None:
    write_artefact(tmp_path / "artefact")
    history = write_history(tmp_path / "history", 12.0)
    config = write_config(tmp_path)
    rates = {}
    print()
    for name, speed in (("cached plan", "1"), ("cached plan, recomputing always", "1e9")):
        with running(config, "--history", str(history), "--speed", speed) as sidecar:
            psutil.Process(sidecar.process.pid).cpu_affinity([cores[0]])
            ready_s = sidecar.wait_for("/readyz")
            body = sidecar.ask("GET", "/v1/plan")[1]
            measure(sidecar.port, 4, 0.5)
            rates[name], took = measure(sidecar.port, 4, 3.0)
            rss = psutil.Process(sidecar.process.pid).memory_info().rss / 2**20
            shown(name, rates[name], took)
            print(
                f"{'':34} answers {sidecar.start_s:.2f} s after its start, ready {ready_s:.2f} s later, {rss:.0f} MiB resident"
            )
    with bare(body) as (port, pid):
        psutil.Process(pid).cpu_affinity([cores[0]])
        time.sleep(1.0)
        measure(port, 4, 0.5)
        rates["bare"], took = measure(port, 4, 3.0)
        shown("the same bytes from bare uvicorn", rates["bare"], took)
    print(f"{'ratio to bare uvicorn':34} {rates['cached plan'] / rates['bare']:8.2f}")
    assert rates["cached plan"] > rates["bare"] / 20, "a cached plan should cost no more than framework and metrics"
