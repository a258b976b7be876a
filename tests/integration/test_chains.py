"""The whole of it on real chains: a sidecar steers a real HAProxy before three anvil nodes, at three times what they settle."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from serving.haproxy.files import write
from serving.settings import read_settings
from shaper.venue import Tier
from tests.integration.chains import CHAIN_ID, GWEI, Bid, ask, chains, flood, funded, included, on_time, wait_for
from tests.integration.parts import free_port, part
from tests.integration.test_haproxy import process
from tests.serving.haproxy.made import venue
from tests.serving.process import Running, running

pytestmark = [pytest.mark.integration, pytest.mark.anyio]
RATE_PER_S, OVERLOAD, ORDERS = 5.0, 3.0, 700
SERVERS = """
[[dataplane.haproxy.servers]]
node = "n{place}"
address = "127.0.0.1:{port}"
slots = 32
[[venue.nodes]]
name = "n{place}"
operator = "operator-{place}"
region = "region-{place}"
chain = "ethereum"
capacity_per_s = 5.0
latency_s = 0.02
fee_usd = 0.001
"""
TIER = """
[[venue.tiers]]
name = "{tier.name}"
priority = {tier.priority}
delay_cost_usd_per_s = {tier.delay_cost_usd_per_s}
reject_cost_usd = {tier.reject_cost_usd}
deadline_s = {tier.deadline_s}
floor_share = {tier.floor_share}
demand_share = {tier.demand_share}
"""
CONFIG = """
[server]
port = 0
[feed]
settle_s = 0.0
[chain]
rpc = {rpc}
[dataplane.haproxy]
socket = "haproxy.sock"
bind = "127.0.0.1:{bind}"
beyond_quota = "refuse"
[venue]
review_s = 1.0
max_operator_share = 0.5
max_region_share = 0.5
[venue.demand]
coefficients = [["demand", 1.0]]
[venue.fees]
chain = "ethereum"
block_s = 1.0
gas_limit = 210000
inclusion = 0.6
targets = [["critical", 0.999], ["hedge", 0.95]]
max_fee_wei = 1000000000000
least_of_next = 1.3
[venue.pool]
name = "nodes"
unit_rate_per_s = 5.0
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


@contextmanager
def steered(folder: Path, ports: tuple[int, ...]) -> Iterator[tuple[Running, int]]:
    """A sidecar and its HAProxy before some nodes; the port that orders go to."""
    bind = free_port()
    text = CONFIG.format(rpc=json.dumps([f"http://127.0.0.1:{port}" for port in ports]), bind=bind) + "".join(
        TIER.format(tier=tier) for tier in tiers()
    )
    config = folder / "shaper.toml"
    config.write_text(text + "".join(SERVERS.format(place=place, port=port) for place, port in enumerate(ports)))
    settings = read_settings(config)
    assert settings.dataplane.haproxy is not None
    with (
        process(part("haproxy"), "-f", str(write(settings.dataplane.haproxy, settings.venue))),
        running(config) as sidecar,
    ):
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


async def settled(client: httpx.AsyncClient, ports: tuple[int, ...], seconds: float = 12.0) -> None:
    """Let the chains include what they will."""
    await asyncio.sleep(seconds)
    for port in ports:
        (status,) = await ask(client, port, ("txpool_status", []))
        assert isinstance(status, dict)
        assert int(status["queued"], 16) == 0, "a nonce is stuck"


async def test_at_three_times_what_the_chains_settle_the_critical_are_included_in_time(tmp_path: Path) -> None:
    rate = OVERLOAD * RATE_PER_S * 3
    limits = httpx.Limits(max_connections=500, max_keepalive_connections=100)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client:
        with chains(RATE_PER_S) as ports, plain(tmp_path, ports) as bind:
            accounts = await funded(client, ports, ORDERS, CHAIN_ID)
            sent = await flood(client, bind, accounts, tiers(), rate, lambda _: (3 * GWEI, GWEI))
            await settled(client, ports, 6.0)
            before = on_time(sent, await included(client, ports), tiers())
        with chains(RATE_PER_S) as ports, steered(tmp_path, ports) as (sidecar, bind):
            bids: dict[str, Bid] = {}

            async def follow() -> None:
                while True:
                    status, body = await asyncio.to_thread(sidecar.ask, "GET", "/v1/plan")
                    if status == 200:
                        bids.update(
                            {one["tier"]: (one["max_fee_wei"], one["tip_wei"]) for one in json.loads(body)["fees"]}
                        )
                    await asyncio.sleep(0.5)

            follower = asyncio.create_task(follow())
            accounts = await funded(client, ports, ORDERS, 2 * CHAIN_ID)
            while not bids:
                await asyncio.sleep(0.1)
            sent = await flood(client, bind, accounts, tiers(), rate, lambda tier: bids[tier])
            follower.cancel()
            await settled(client, ports)
            after = on_time(sent, await included(client, ports), tiers())
    for name, rows in (("plain", before), ("steered", after)):
        print(f"\n{name}")
        for tier, (count, refused, share) in rows.items():
            print(f"  {tier:9} sent {count:4} refused {refused:4} on time {share:6.1%}")
    assert after["critical"][2] >= 0.97
    assert after["critical"][2] >= before["critical"][2]
    shed = {tier: refused / max(count, 1) for tier, (count, refused, _) in after.items()}
    assert shed["critical"] == 0
    assert shed["hedge"] < shed["maker"] < shed["bulk"]
