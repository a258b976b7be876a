"""The embedded gateway on one core, beside a plain reverse proxy of uvicorn and httpx, and beside no gateway at all."""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from Crypto.Hash import keccak

from serving.embedded.accounts import Accounts
from serving.embedded.gate import Gate
from serving.embedded.router import Router
from serving.embedded.upstreams import Upstream
from serving.gateway_settings import KeySettings, UpstreamSettings
from shaper.admission import Admission, Order, Permit
from tests.benchmarks.test_sidecar import cores
from tests.serving.embedded.load import Result, Stream, closed, paced, send_transaction
from tests.serving.embedded.made import KEYS, TIERS, digest
from tests.serving.embedded.processes import Chain, chain, write_gateway
from tests.serving.process import running

__all__ = ["cores"]  # the fixture
pytestmark = pytest.mark.benchmark
CONNECTIONS, ORDERS, DECISIONS = 16, 2500, 10_000
PLAIN = """
import httpx, socket, sys, uvicorn
client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None, max_keepalive_connections=100))
async def app(scope, receive, send):
    body = (await receive())["body"]
    answer = await client.post(sys.argv[1], content=body, headers={"content-type": "application/json"})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer.content)).encode())]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content})
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")).run([listener])
"""


def test_a_decision_costs_no_more_than_a_few_hashes_of_the_order() -> None:
    """Tier, admission and choice among 16 upstreams, as they are taken for each order."""

    async def least_s() -> float:
        loop = asyncio.get_running_loop()
        tiers = tuple(tier.name for tier in TIERS)
        accounts = Accounts([KeySettings(digest(key), key, names) for key, names in KEYS.items()], tiers)
        account = accounts.of(b"crowd")
        assert account is not None
        ups = [Upstream(UpstreamSettings(f"n{i}", "http://127.0.0.1:9"), loop) for i in range(16)]
        router = Router(ups, {up.name: 1.0 for up in ups}, random.Random(1).random)  # noqa: S311
        gate = Gate(Admission(TIERS, dict.fromkeys(tiers, 1e9), loop.time()), loop, router.places)
        took = []
        for part in range(3):
            began_s = time.process_time()
            for i in range(DECISIONS):
                order = Order(f"{part} {i}", account.name, accounts.tier(account, False, None), loop.time())
                permit = await gate.enter(order, loop.time() + 1.0)
                assert isinstance(permit, Permit)
                router.pick(order.tier)
                gate.leave(permit)
            took.append(time.process_time() - began_s)
        return min(took) / DECISIONS

    each_s, hash_s = asyncio.run(least_s()), least_hash_s()
    print(
        f"\ndecision (tier, admission, choice among 16, and back) {each_s * 1e6:.1f} µs, {each_s / hash_s:.1f} Keccak hashes"
    )
    assert each_s < 6 * hash_s


def least_hash_s(rounds: int = 2000) -> float:
    """Seconds of processor time for the hash that names a transaction of 110 bytes, the quickest of three goes."""
    took = []
    for _ in range(3):
        began_s = time.process_time()
        for i in range(rounds):
            keccak.new(digest_bits=256, data=i.to_bytes(110, "big")).digest()
        took.append(time.process_time() - began_s)
    return min(took) / rounds


@contextmanager
def plain(url: str) -> Iterator[tuple[int, int]]:
    """(port, process id) of a reverse proxy as one writes it in ten lines."""
    process = subprocess.Popen([sys.executable, "-c", PLAIN, url], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


def measured(name: str, port: int, pid: int, orders: int, account: int) -> float:
    """Orders per second of the server's processor time, as fast as they are answered."""
    server = psutil.Process(pid)
    before = server.cpu_times()
    found = closed(port, CONNECTIONS, orders, send_transaction("crowd", account))
    after = server.cpu_times()
    per_core = orders / (after.user + after.system - before.user - before.system)
    assert set(found.statuses) == {200}
    print(f"{name:28} {per_core:7.0f} orders per second of a core, {found.per_s:6.0f}/s by the clock, {shown(found)}")
    return per_core


def shown(found: Result) -> str:
    return f"p50 {1e3 * found.quantile(0.5):.2f} ms, p99 {1e3 * found.quantile(0.99):.2f} ms"


def pinned(nodes: Chain, server: int, cores: tuple[int, int]) -> None:
    """The server on one core, the upstream and the clients on the other."""
    psutil.Process(server).cpu_affinity([cores[0]])
    for process in nodes.processes.values():
        psutil.Process(process.pid).cpu_affinity([cores[1]])


def test_orders_a_second_of_one_core(tmp_path: Path, cores: tuple[int, int]) -> None:
    print()
    with (
        chain(None, ("n0",)) as nodes,
        running(write_gateway(tmp_path, nodes)) as sidecar,
        plain(f"http://127.0.0.1:{nodes.ports['n0']}") as (port, pid),
    ):
        pinned(nodes, sidecar.process.pid, cores)
        psutil.Process(pid).cpu_affinity([cores[0]])
        ours, theirs = [], []
        for turn in range(2):
            ours.append(measured("gateway", sidecar.orders_port, sidecar.process.pid, ORDERS, turn))
            theirs.append(measured("uvicorn and httpx", port, pid, ORDERS // 5, turn))
        print(f"{max(ours) / max(theirs):.1f} times the orders of a plain proxy")
        assert max(ours) > 3 * max(theirs)


def test_latency_at_half_of_the_rate(tmp_path: Path, cores: tuple[int, int]) -> None:
    print()
    with chain(None, ("n0",)) as nodes, running(write_gateway(tmp_path, nodes)) as sidecar:
        pinned(nodes, sidecar.process.pid, cores)
        closed(sidecar.orders_port, CONNECTIONS, 500, send_transaction("crowd", 8))
        fastest = closed(sidecar.orders_port, CONNECTIONS, 2000, send_transaction("crowd", 9))
        half = fastest.per_s / 2
        found = {
            name: paced(at, 64, 2.0, [Stream(name, half, send_transaction("crowd", 10))])[name]
            for name, at in (("direct", nodes.ports["n0"]), ("gateway", sidecar.orders_port))
        }
        for name, result in found.items():
            assert set(result.statuses) == {200}
            print(f"{name:10} at {half:.0f}/s, half of what the gateway reaches: {shown(result)}")
        assert found["gateway"].quantile(0.99) < max(0.015, 10 * found["direct"].quantile(0.99))
