"""A real HAProxy under ten times its capacity, beside a plain one with the same nodes, slots and timeouts."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from serving.capacity.processes import ProcessPlane
from serving.capacity.settings import Processes
from serving.dataplane import DataPlaneError
from serving.dataplanes import main
from serving.gateway import Report
from serving.haproxy.files import check, write
from serving.haproxy.plane import HAProxyPlane, maps_of
from serving.haproxy.render import NO_QUOTA
from serving.haproxy.retiring import Front
from serving.haproxy.settings import HAProxy, Server
from serving.settings import read_settings
from shaper.observed import Observed
from shaper.plan import Plan, plan
from tests.integration.parts import free_port, free_ports, part
from tests.integration.venues import tier_section
from tests.serving.haproxy.made import SLOTS, planned, section, venue
from tests.serving.process import running

pytestmark = [pytest.mark.integration, pytest.mark.anyio]
SERVICE_S, SECONDS, WARM_S, OVERLOAD, QUEUE_S = 0.02, 8.0, 3.0, 10.0, 1.0
SIDECAR = """
[server]
port = 0
[feed]
settle_s = 0.0
demand_window_s = 1.0
[dataplane.haproxy]
socket = "haproxy.sock"
bind = "127.0.0.1:{bind}"
max_waiting = 600
queue_timeout_s = 1.0
[venue]
review_s = 1.0
max_operator_share = 0.5
[venue.demand]
coefficients = [["demand", 1.0]]
[venue.pool]
name = "nodes"
unit_rate_per_s = 100
min_units = 3
max_units = 3
actuation_delay_s = 15.0
cost_usd_per_unit_s = 0.0004
"""
SERVER = """
[[dataplane.haproxy.servers]]
node = "n{place}"
address = "127.0.0.1:{port}"
slots = {slots}
[[venue.nodes]]
name = "n{place}"
operator = "operator-{place}"
region = "region-{place}"
chain = "ethereum"
capacity_per_s = {capacity}
latency_s = 0.02
fee_usd = 0.001
"""
CAPACITY_PER_S = 3 * SLOTS / SERVICE_S
PLAIN = """global
  maxconn 8000
defaults
  mode http
  timeout connect 500ms
  timeout client 60s
  timeout server 10s
  timeout queue 1s
frontend orders
  bind 127.0.0.1:{port}
  default_backend nodes
backend nodes
  balance leastconn
"""


@dataclass(frozen=True)
class Lab:
    """A HAProxy of ours and a plain one before the same nodes."""

    own: HAProxy
    plain_port: int

    @property
    def port(self) -> int:
        return int(self.own.bind.rpartition(":")[2])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield started
    finally:
        started.terminate()
        started.communicate(timeout=10)


def load(kind: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.integration.load", kind, *map(str, arguments))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    program, ports = part("haproxy"), tuple(free_port() for _ in range(3))
    bind = f"127.0.0.1:{free_port()}"
    own = section(tmp_path, ports, bind=bind, max_waiting=600, queue_timeout_s=QUEUE_S)
    assert "valid" in check(own, venue())
    plain, plain_port = tmp_path / "plain.cfg", free_port()
    servers = "".join(f"  server n{i} 127.0.0.1:{port} maxconn {SLOTS} check\n" for i, port in enumerate(ports))
    plain.write_text(PLAIN.format(port=plain_port) + servers)
    with (
        process(*load("nodes", SERVICE_S, *ports)) as nodes,
        process(program, "-f", str(write(own, venue()))),
        process(program, "-f", str(plain)),
    ):
        assert nodes.stdout is not None
        assert nodes.stdout.readline() == "ready\n"
        time.sleep(1.5)  # the checks have to find the nodes up
        yield Lab(own, plain_port)


@asynccontextmanager
async def steered(own: HAProxy) -> AsyncIterator[None]:
    """Plans from the load that HAProxy tells, twice a second."""
    plane = HAProxyPlane(own, venue())

    async def steer() -> None:
        while True:
            report = await plane.report()
            assert report is not None
            seen = Observed(time.monotonic(), report.demand_per_s or 0.0, tuple(sorted(report.queued.items())), 3, 3)
            await plane.apply(plan(venue(), None, seen))
            await asyncio.sleep(0.5)

    task = asyncio.create_task(steer())
    yield
    assert not task.done(), task.exception()
    task.cancel()
    await plane.close()


async def orders(
    port: int, times: float, seconds: float = SECONDS, warm_s: float = WARM_S
) -> dict[str, dict[str, float]]:
    rates = [f"{tier.name}={CAPACITY_PER_S * times * tier.demand_share}" for tier in venue().tiers]
    command = load("orders", port, seconds, warm_s, *rates)
    done = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await done.communicate()
    found: dict[str, dict[str, float]] = json.loads(out)
    return found


def sections(ports: tuple[int, ...]) -> str:
    """Tiers, and three nodes of which the first is worth more than the others."""
    nodes = [
        SERVER.format(place=place, port=port, slots=SLOTS, capacity=150.0 if place == 0 else 75.0)
        for place, port in enumerate(ports)
    ]
    return "".join([*map(tier_section, venue().tiers), *nodes])


def planned_units(units: int) -> Plan:
    """A plan that buys some units."""
    made = planned(venue(), 10.0)
    return replace(made, capacity=(replace(made.capacity[0], units=units),))


async def in_force(plane: HAProxyPlane) -> dict[str, str]:
    """Weights by node and quotas by tier, as HAProxy tells them."""
    session = await plane.connected()
    rows = [row for row in await session.statistics() if row["pxname"] == "nodes" and row["svname"] != "BACKEND"]
    quotas = (await session.ask(f"show map {plane.own.folder}/quotas.map")).splitlines()
    return {row["svname"]: row["weight"] for row in rows} | dict(line.split()[1:3] for line in quotas if line)


def goodput(found: dict[str, dict[str, float]]) -> float:
    return sum(tier["served"] for tier in found.values()) / (SECONDS - WARM_S) / CAPACITY_PER_S


async def test_at_ten_times_the_capacity_the_urgent_are_served_at_once_and_nothing_is_wasted(lab: Lab) -> None:
    plain = await orders(lab.plain_port, OVERLOAD)
    async with steered(lab.own):
        ours = await orders(lab.port, OVERLOAD)
    for name, found in (("plain", plain), ("ours", ours)):
        print(f"\n{name}: goodput {goodput(found):.3f}")
        for tier, row in found.items():
            print(f"  {tier:9}" + " ".join(f"{key} {value:8.1f}" for key, value in row.items()))
    assert ours["critical"]["served"] == ours["critical"]["sent"]
    assert ours["critical"]["p99_ms"] < plain["critical"]["p99_ms"] / 4
    assert plain["critical"]["served"] < 0.3 * plain["critical"]["sent"]
    assert goodput(ours) > 0.95 * goodput(plain)
    assert ours["maker"]["p50_ms"] < plain["maker"]["p50_ms"] / 2
    shares = {tier.name: ours[tier.name]["served"] / ours[tier.name]["sent"] for tier in venue().tiers}
    assert shares["bulk"] < shares["hedge"]


async def test_haproxy_itself_takes_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    part("haproxy")
    assert main(["haproxy", "check", "--config", "serving/deploy/haproxy.toml"]) == 0
    assert "valid" in capsys.readouterr().out


async def test_a_plan_outlives_the_sidecar(lab: Lab) -> None:
    plane = HAProxyPlane(lab.own, venue())
    await plane.apply(planned(venue(), 3000.0))
    await plane.close()
    told = HAProxyPlane(lab.own, venue())
    session = await told.connected()
    assert " critical 0" in await session.ask(f"show map {lab.own.folder}/classes.map")
    quotas = await session.ask(f"show map {lab.own.folder}/quotas.map")
    assert {line.split(maxsplit=1)[1] for line in quotas.splitlines()} == {
        f"{tier} {rate}" for tier, rate in maps_of(planned(venue(), 3000.0))["quotas"].items()
    }
    await told.close()


async def test_a_sidecar_that_is_frozen_and_then_killed_leaves_traffic_weights_and_quotas_as_they_were(
    tmp_path: Path,
) -> None:
    ports, bind = tuple(free_port() for _ in range(3)), free_port()
    config = tmp_path / "shaper.toml"
    config.write_text(SIDECAR.format(bind=bind) + sections(ports))
    settings = read_settings(config)
    own = settings.dataplane.haproxy
    assert own is not None
    with (
        process(*load("nodes", SERVICE_S, *ports)) as nodes,
        process(part("haproxy"), "-f", str(write(own, settings.venue))),
        running(config) as sidecar,
    ):
        assert nodes.stdout is not None
        assert nodes.stdout.readline() == "ready\n"
        await orders(bind, 0.3, 3.0, 0.0)
        await asyncio.to_thread(sidecar.wait_for, "/v1/plan")
        plane = HAProxyPlane(own, settings.venue)
        sidecar.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.3)  # whatever was under way has arrived
        told = await in_force(plane)
        assert told["n0"] != told["n1"], told  # not what HAProxy began with
        assert int(told["bulk"]) < NO_QUOTA, told
        for number in (signal.SIGSTOP, signal.SIGKILL):
            sidecar.process.send_signal(number)
            found = await orders(bind, 0.5, 2.0, 0.0)
            assert all(tier["served"] == tier["sent"] for tier in found.values()), found
            assert await in_force(plane) == told
        crowd = await orders(bind, 3.0, 2.0, 0.0)
        assert crowd["critical"]["served"] == crowd["critical"]["sent"]
        assert crowd["bulk"]["served"] < crowd["bulk"]["sent"] / 2
        await plane.close()


async def test_a_node_that_was_bought_takes_orders_and_is_let_go_without_losing_one(lab: Lab) -> None:
    plane, port = HAProxyPlane(lab.own, venue()), free_port()
    with process(*load("nodes", SERVICE_S, port)) as bought:
        assert bought.stdout is not None
        assert bought.stdout.readline() == "ready\n"
        await plane.add_server(Server("n3", f"127.0.0.1:{port}"))
        found = await orders(lab.port, 0.5, 3.0, 0.0)
        rows = {row["svname"]: row for row in await (await plane.connected()).statistics() if row["pxname"] == "nodes"}
        assert int(rows["n3"]["stot"]) > 20
        await plane.drain("n3")
        await plane.remove_server("n3")
        assert all(tier["served"] == tier["sent"] for tier in found.values())
    with pytest.raises(DataPlaneError, match="n3"):
        await plane.ready("n3")
    await plane.close()


async def test_a_process_that_is_released_and_one_that_is_bought_in_its_place_lose_no_order(tmp_path: Path) -> None:
    first, bind = free_ports(3)[0], free_port()
    own = section(tmp_path, (first, first + 1, first + 2), bind=f"127.0.0.1:{bind}")
    pool = Processes(load("cold", 0.5, 0.2, "{port}"), first)
    plane = ProcessPlane(pool, venue(), Front(own))
    with process(part("haproxy"), "-f", str(write(own, venue()))):
        await plane.apply(planned_units(2))
        while (report := await plane.report()) is None or report.ready_units != 2:
            await asyncio.sleep(0.05)
        await asyncio.sleep(3.0)  # the checks have to find one down and two up
        sent = asyncio.create_task(orders(bind, 8.0 / CAPACITY_PER_S, 6.0, 0.0))
        await asyncio.sleep(2.0)  # with the start of the clients
        await plane.apply(planned_units(1))
        await asyncio.gather(*plane.under_way)
        assert await plane.report() == Report(ready_units=1, ordered_units=1)
        await plane.apply(planned_units(2))
        found = await sent
        await plane.close()
    assert all(tier["served"] == tier["sent"] for tier in found.values()), found


async def test_the_agent_is_asked_for_the_weights(tmp_path: Path) -> None:
    from serving.haproxy.agent import Agent

    agent = Agent(0, lambda: 0.0)
    await agent.open()
    ports = tuple(free_port() for _ in range(3))
    own = section(tmp_path, ports, bind=f"127.0.0.1:{free_port()}", agent_port=agent.port)
    made = planned(venue(), 100.0)
    await agent.apply(made)
    with process(*load("nodes", SERVICE_S, *ports)), process(part("haproxy"), "-f", str(write(own, venue()))):
        plane = HAProxyPlane(own, venue())
        least = min(made.weights, key=lambda node: node.weight)
        expected = str(round(100 * least.weight / max(node.weight for node in made.weights)))
        for _ in range(50):
            await asyncio.sleep(0.2)
            rows = await (await plane.connected()).statistics() if Path(own.socket).exists() else []
            weight = next((row["weight"] for row in rows if row["svname"] == least.node), "")
            if weight == expected:
                break
        assert weight == expected
        await plane.close()
    await agent.close()
