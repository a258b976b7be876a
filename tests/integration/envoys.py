"""A control plane in a process of its own and real Envoys, for tests that stop, kill or time them."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from serving.dataplane import DataPlaneError
from serving.envoy.bootstrap import render
from serving.envoy.kept import ENDPOINTS
from serving.envoy.plane import EnvoyPlane
from serving.envoy.resources import assignment
from serving.envoy.settings import Endpoint, Envoy
from shaper.plan import NodeSetting, Plan, Settings, TierSetting
from shaper.venue import Node, Pool, Tier, Venue
from tests.integration.parts import free_port

VENUE = Venue(
    tiers=(Tier("maker", 0, 0.05, 0.4, 30.0, 0.2, 0.75), Tier("taker", 1, 0.03, 0.3, 60.0, 0.1, 0.25)),
    pool=Pool("matching", 12.0, 2, 60, 60.0, 0.0004),
    nodes=(
        Node("fra-1", "north", "eu", "ethereum", 150.0, 0.02, 0.001),
        Node("nrt-1", "south", "asia", "ethereum", 100.0, 0.08, 0.0005),
    ),
)
NOTHING = Settings((), (), ())
STARTING_S = 20.0


def plan(weights: dict[str, float], quotas: dict[str, float]) -> Plan:
    """A plan of weights and quotas alone."""
    return Plan(
        0.0, 30.0, "reactive", "made for a test", (),
        tuple(TierSetting(tier, place, rate, 0.0, "") for place, (tier, rate) in enumerate(quotas.items())),
        tuple(NodeSetting(node, weight, "") for node, weight in weights.items()),
        None, NOTHING,
    )  # fmt: skip


@contextmanager
def named_nodes(*names: str) -> Iterator[list[Endpoint]]:
    """HTTP servers that answer with their names."""
    servers = []
    for name in names:

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 4096  # one packet an answer
            body = name.encode()

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(self.body)))
                self.end_headers()
                self.wfile.write(self.body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    try:
        yield [Endpoint(name, f"127.0.0.1:{server.server_port}") for name, server in zip(names, servers, strict=True)]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def settings(folder: Path, endpoints: list[Endpoint]) -> Envoy:
    """Settings on free ports, with a state file in a folder."""
    ports = [free_port() for _ in range(3)]
    control, bind, admin = (f"127.0.0.1:{port}" for port in ports)
    return Envoy(tuple(endpoints), control, bind, admin, str(folder / "state.json"))


@dataclass
class Proxy:
    """A running Envoy."""

    process: subprocess.Popen[bytes]
    own: Envoy

    def ask(self, tier: str = "maker") -> tuple[int, str]:
        """Status and body of one order."""
        return get(self.own.bind, {self.own.tier_header: tier})

    def admin(self, path: str) -> str:
        """What its own interface answers."""
        return get(self.own.admin, {}, path)[1]


def get(address: str, headers: dict[str, str], path: str = "/") -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@contextmanager
def envoy(folder: Path, own: Envoy, name: str = "one", venue: Venue = VENUE) -> Iterator[Proxy]:
    """Start an Envoy, hand it over once it is ready, and end it."""
    file = folder / f"{name}.json"
    file.write_text(render(own, venue, name), "utf-8")
    options = ["--concurrency", "1", "--log-level", "warning", "--use-dynamic-base-id"]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.prefix, "bin", "envoy")), "-c", str(file), *options],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        proxy = Proxy(process, own)
        until(lambda: answers(own.admin, "/ready"), (folder / f"{name}.log").read_text)
        yield proxy
    finally:
        process.kill()
        process.wait(30)


def answers(address: str, path: str) -> bool:
    try:
        return get(address, {}, path)[0] == 200
    except OSError:
        return False


def until(holds: Callable[[], bool], told: Callable[[], str] = str, limit_s: float = STARTING_S) -> float:
    """Wait until something holds; returns how long that took (s)."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < limit_s, told()
        time.sleep(0.002)
    return time.monotonic() - begun


@dataclass
class Control:
    """The control plane's process; it is told one thing a line and answers each with a line."""

    process: subprocess.Popen[str]

    def say(self, what: str, *values: object) -> str:
        """Tell it something and wait for its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([what, *values]), file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def apply(self, weights: dict[str, float], quotas: dict[str, float]) -> str:
        """Apply a plan; returns "ok" or the error."""
        return self.say("apply", weights, quotas)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


@contextmanager
def control(own: Envoy) -> Iterator[Control]:
    """Start a control plane, hand it over once it answers, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.envoys", json.dumps([
            [[e.node, e.address] for e in own.endpoints], own.control, own.bind, own.admin, own.state,
            own.tier_header, own.enforce, own.refused])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield Control(process)
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()
        process.stdin.close()


async def serve(own: Envoy) -> None:
    """Do as the lines of the standard input say."""
    plane = EnvoyPlane(own, VENUE)
    await plane.open()
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(await told(plane, json.loads(line)), flush=True)


async def told(plane: EnvoyPlane, line: list[object]) -> str:
    """One thing done; returns the answer."""
    what, *values = line
    try:
        if what == "apply":
            await plane.apply(plan(*values))  # type: ignore[arg-type]
        elif what == "spoil":  # an address that Envoy cannot take
            broken = assignment(plane.own, plane.venue, {})
            broken.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address = "nowhere"
            plane.discovery.push(ENDPOINTS, [broken])
            return "; ".join(await plane.discovery.confirmed(2.0))
        elif what == "report":
            report = await plane.report()
            return json.dumps(None if report is None else report.demand_per_s)
        elif what == "streams":
            return f"{len(plane.discovery.streams)} {len(plane.quotas.meters)}"
    except DataPlaneError as error:
        return str(error)
    return "ok"


if __name__ == "__main__":
    points, *rest = json.loads(sys.argv[1])
    asyncio.run(serve(replace(Envoy((), *rest), endpoints=tuple(Endpoint(*point) for point in points))))
