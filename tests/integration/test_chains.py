"""The whole of it on real chains: a sidecar steers a real HAProxy or Envoy before three anvil nodes, beyond what they settle."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from serving.haproxy.files import write
from serving.settings import read_settings
from shaper.venue import Tier
from tests.integration.chains import (
    BURSTS,
    CHAIN_ID,
    GAS,
    GWEI,
    Bid,
    ask,
    chains,
    flood,
    funded,
    included,
    on_time,
    wait_for,
)
from tests.integration.envoys import envoy
from tests.integration.parts import free_port, part
from tests.integration.test_haproxy import process
from tests.integration.venues import tier_section
from tests.serving.haproxy.made import venue
from tests.serving.process import Running, running

pytestmark = pytest.mark.anyio
KNOWN_S = 15.0  # within which a proxy has told of its load; an Envoy does so every 5 s
Rows = dict[str, tuple[int, int, float]]  # sent, refused, share on time by tier
NODE = """
[[venue.nodes]]
name = "n{place}"
operator = "operator-{place}"
region = "region-{place}"
chain = "ethereum"
capacity_per_s = {rate}
latency_s = 0.02
fee_usd = 0.001
"""
SERVER = """
[[dataplane.haproxy.servers]]
node = "n{place}"
address = "127.0.0.1:{port}"
slots = 32
"""
ENDPOINT = """
[[dataplane.envoy.endpoints]]
node = "n{place}"
address = "127.0.0.1:{port}"
"""
HAPROXY = """
[dataplane.haproxy]
socket = "haproxy.sock"
bind = "127.0.0.1:{bind}"
beyond_quota = "refuse"
"""
ENVOY = """
[dataplane.envoy]
bind = "127.0.0.1:{bind}"
control = "127.0.0.1:{control}"
admin = "127.0.0.1:{admin}"
burst_s = 2.0
"""
CONFIG = """
[server]
port = 0
[feed]
settle_s = 0.0
[chain]
rpc = {rpc}
[venue]
review_s = 1.0
max_operator_share = 0.5
max_region_share = 0.5
[venue.demand]
coefficients = [["demand", 1.0]]
[venue.fees]
chain = "ethereum"
block_s = 1.0
gas_limit = {gas_limit}
inclusion = 0.6
targets = [["critical", 0.999], ["hedge", 0.95]]
max_fee_wei = 1000000000000
least_of_next = 1.3
[venue.pool]
name = "nodes"
unit_rate_per_s = {rate}
min_units = 3
max_units = 3
actuation_delay_s = 20.0
cost_usd_per_unit_s = 0.0004
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def tiers() -> tuple[Tier, ...]:
    return venue().tiers


@dataclass(frozen=True)
class Case:
    """What stands before the chains, how many times their capacity comes, and what each of them settles (orders a second)."""

    proxy: str
    overload: float
    rate_per_s: float
    orders: int


def settings_of(folder: Path, case: Case, ports: tuple[int, ...], bind: int) -> Path:
    """The sidecar's settings for some nodes, whose orders come to a port."""
    head, place_of = (HAPROXY, SERVER) if case.proxy == "haproxy" else (ENVOY, ENDPOINT)
    rpc = json.dumps([f"http://127.0.0.1:{port}" for port in ports])
    parts = [
        CONFIG.format(rpc=rpc, rate=case.rate_per_s, gas_limit=int(case.rate_per_s * BURSTS * GAS)),
        head.format(bind=bind, control=free_port(), admin=free_port()),
        *map(tier_section, tiers()),
        *((place_of + NODE).format(place=place, port=port, rate=case.rate_per_s) for place, port in enumerate(ports)),
    ]
    config = folder / "shaper.toml"
    config.write_text("".join(parts))
    return config


@contextmanager
def steered(folder: Path, case: Case, ports: tuple[int, ...]) -> Iterator[tuple[Running, int]]:
    """A sidecar and its proxy before some nodes; the port that orders go to."""
    bind = free_port()
    config = settings_of(folder, case, ports, bind)
    settings = read_settings(config)
    planes = settings.dataplane
    if planes.haproxy is not None:
        proxy = process(part("haproxy"), "-f", str(write(planes.haproxy, settings.venue)))
    else:
        assert planes.envoy is not None
        proxy = envoy(folder, planes.envoy, venue=settings.venue)
    with running(config) as sidecar, proxy:
        wait_for(bind)
        yield sidecar, bind


@contextmanager
def plain(folder: Path, ports: tuple[int, ...]) -> Iterator[int]:
    """A HAProxy that takes turns."""
    bind, path = free_port(), folder / "plain.cfg"
    servers = "".join(f"  server n{place} 127.0.0.1:{port} check\n" for place, port in enumerate(ports))
    path.write_text(
        "defaults\n  mode http\n  timeout connect 1s\n  timeout client 60s\n  timeout server 10s\n"
        f"frontend f\n  bind 127.0.0.1:{bind}\n  default_backend b\nbackend b\n  balance roundrobin\n{servers}"
    )
    with process(part("haproxy"), "-f", str(path)):
        wait_for(bind)
        yield bind


async def settled(client: httpx.AsyncClient, ports: tuple[int, ...], seconds: float = 11.0) -> None:
    """Let the chains include what they will."""
    await asyncio.sleep(seconds)
    for port in ports:
        (status,) = await ask(client, port, ("txpool_status", []))
        assert isinstance(status, dict)
        assert int(status["queued"], 16) == 0, "a nonce is stuck"


async def first_bids(client: httpx.AsyncClient, sidecar: Running, bind: int, rate_per_s: float) -> dict[str, Bid]:
    """The bids of a plan that knows the load: calls come as orders will until the proxy has told of them."""
    draws = random.Random(4)  # noqa: S311
    names, shares = [tier.name for tier in tiers()], [tier.demand_share for tier in tiers()]
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
    told, calls, begun = 0.0, set(), time.monotonic()
    while told < rate_per_s / 2 and time.monotonic() - begun < KNOWN_S:
        for _ in range(20):
            headers = {"x-tier": draws.choices(names, shares)[0]}
            calls.add(asyncio.create_task(client.post(f"http://127.0.0.1:{bind}", json=call, headers=headers)))
            await asyncio.sleep(1 / rate_per_s)
        points = (await asyncio.to_thread(sidecar.get, "/v1/series"))["points"]
        told = points[-1]["demand_per_s"] if points else 0.0
    await asyncio.gather(*calls)
    return await bids_of(sidecar)


async def bids_of(sidecar: Running) -> dict[str, Bid]:
    """Most and tip a gas by tier as the newest plan has them, nothing before there is one."""
    status, body = await asyncio.to_thread(sidecar.ask, "GET", "/v1/plan")
    fees = json.loads(body)["fees"] if status == 200 else []
    return {one["tier"]: (one["max_fee_wei"], one["tip_wei"]) for one in fees}


async def through_proxy(client: httpx.AsyncClient, folder: Path, case: Case) -> Rows:
    """What becomes of orders that bid as the sidecar's plans say."""
    with chains(case.rate_per_s) as ports, steered(folder, case, ports) as (sidecar, bind):
        rate = case.overload * case.rate_per_s * len(ports)
        accounts = await funded(client, ports, case.orders, 2 * CHAIN_ID)
        bids = await first_bids(client, sidecar, bind, rate)

        async def follow() -> None:
            while True:
                bids.update(await bids_of(sidecar))
                await asyncio.sleep(0.5)

        follower = asyncio.create_task(follow())
        sent = await flood(client, bind, accounts, tiers(), rate, lambda tier: bids[tier])
        follower.cancel()
        await settled(client, ports)
        return on_time(sent, await included(client, ports), tiers())


async def through_nothing(client: httpx.AsyncClient, folder: Path, case: Case) -> Rows:
    """What becomes of the same orders behind a HAProxy that takes turns, all bidding alike."""
    with chains(case.rate_per_s) as ports, plain(folder, ports) as bind:
        accounts = await funded(client, ports, case.orders, CHAIN_ID)
        rate = case.overload * case.rate_per_s * len(ports)
        sent = await flood(client, bind, accounts, tiers(), rate, lambda _: (3 * GWEI, GWEI))
        await settled(client, ports)
        return on_time(sent, await included(client, ports), tiers())


AT_3X = Case("haproxy", 3.0, 5.0, 700)
CASES = (
    pytest.param(AT_3X, marks=pytest.mark.integration),
    pytest.param(Case("envoy", 3.0, 5.0, 700), marks=pytest.mark.long),
    pytest.param(Case("haproxy", 10.0, 2.0, 800), marks=pytest.mark.long),
)


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=500, max_keepalive_connections=100))


def show(name: str, rows: Rows) -> None:
    print(f"\n{name}")
    for tier, (count, refused, share) in rows.items():
        print(f"  {tier:9} sent {count:4} refused {refused:4} on time {share:6.1%}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.proxy}-{case.overload:g}x")
async def test_beyond_what_the_chains_settle_the_critical_are_included_in_time_and_bulk_is_shed_first(
    tmp_path: Path, case: Case
) -> None:
    async with client() as http:
        rows = await through_proxy(http, tmp_path, case)
    show(str(case), rows)
    assert rows["critical"][2] >= 0.97
    shed = {tier: refused / max(count, 1) for tier, (count, refused, _) in rows.items()}
    assert shed["critical"] == 0
    assert shed["hedge"] < shed["maker"] < shed["bulk"]


@pytest.mark.long
async def test_taking_turns_includes_the_critical_no_better_than_the_rest(tmp_path: Path) -> None:
    async with client() as http:
        rows = await through_nothing(http, tmp_path, AT_3X)
    show("taking turns", rows)
    assert rows["critical"][2] < 0.97
