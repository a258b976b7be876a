"""One simulated surge, and sidecars that buy real units for it: each is a process that is cold for a while."""

import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from serving.haproxy.files import write
from serving.settings import read_settings
from tests.integration.load import Clients
from tests.integration.parts import free_port, free_ports, part
from tests.integration.test_haproxy import process
from tests.integration.venues import tier_section
from tests.serving.haproxy.made import venue
from tests.serving.process import Running, running

SURGE = datetime(2024, 1, 3, 9, tzinfo=UTC)
SLOTS, UNITS, RATE_PER_S = 2, 5, 15.0
CALM = {"critical": 1.0, "hedge": 1.0, "maker": 6.0, "taker": 3.0, "bulk": 1.6}
WORLD = """
summary = "Every hour an auction settles: within seconds three to four times the orders, for a minute."
[world.orders]
hour_rush = 0.0
funding_rush = 0.0
[[world.episodes]]
first_h = 1.0
every_h = 1.0
rise_s = 6.0
hold_s = 60.0
fade_s = 60.0
spread = 0.1
demand = 1.3
"""
CALM_TIER = """
[[world.orders.tiers]]
name = "{name}"
rate_per_s = {rate}
heat = 0.3
fees = 0.0
frenzy = 0.0
cascade = 0.0
clock = 0.0
"""
CONFIG = """
[server]
port = 0
[model]
artefact = "{artefact}"
[feed]
kind = "history"
folder = "{world}"
start = {start}
until = {until}
demand_window_s = 5.0
[trust]
{trust}
[dataplane.haproxy]
socket = "haproxy.sock"
bind = "127.0.0.1:{bind}"
queue_timeout_s = 1.0
[dataplane.processes]
command = {command}
first_port = {first_port}
[venue]
review_s = 5.0
persistence = 0.0                 # an auction comes whatever the demand was before it
[venue.demand]
coefficients = [["demand", 1.0]]
[venue.pool]
name = "nodes"
unit_rate_per_s = {rate}
min_units = 2
max_units = {units}
actuation_delay_s = {warm_s}
cost_usd_per_unit_s = 0.0004
"""
NODE = """
[[dataplane.haproxy.servers]]
node = "n{place}"
address = "127.0.0.1:{port}"
slots = {slots}
[[venue.nodes]]
name = "n{place}"
operator = "operator-{place}"
region = "region-{place}"
chain = "ethereum"
capacity_per_s = {rate}
latency_s = 0.02
fee_usd = 0.001
"""
TRUST = {"forecast-led": "proven = true\nallowance_usd = 1.0", "reactive": "prior = 0.001"}


@dataclass(frozen=True)
class Spell:
    """What is played: history from `start` to `until`, orders from `orders` on."""

    start: datetime = SURGE - timedelta(seconds=60)
    orders: datetime = SURGE - timedelta(seconds=35)
    until: datetime = SURGE + timedelta(seconds=35)
    warm_s: float = 20.0  # that a unit takes to be warm


SHORT = Spell(SURGE - timedelta(seconds=25), SURGE - timedelta(seconds=9), SURGE + timedelta(seconds=13), 10.0)


def scenario() -> str:
    """The world as a scenario file."""
    return WORLD + "".join(CALM_TIER.format(name=name, rate=CALM[name]) for name in sorted(CALM))


@contextlib.contextmanager
def bought(folder: Path, policy: str, world: Path, artefact: Path, spell: Spell) -> Iterator[tuple[Running, int]]:
    """A sidecar of a policy with its HAProxy and its pool; the port that orders go to."""
    folder.mkdir()
    bind, ports = free_port(), free_ports(UNITS)
    command = [
        sys.executable,
        "-m",
        "tests.integration.load",
        "cold",
        str(spell.warm_s),
        str(SLOTS / RATE_PER_S),
        "{port}",
    ]
    text = CONFIG.format(
        artefact=artefact, world=world, start=spell.start.isoformat(), until=spell.until.isoformat(), trust=TRUST[policy],
        bind=bind, command=json.dumps(command), first_port=ports[0], rate=RATE_PER_S, units=UNITS, warm_s=spell.warm_s,
    )  # fmt: skip
    text += "".join(tier_section(tier) for tier in venue().tiers)
    text += "".join(NODE.format(place=i, port=port, slots=SLOTS, rate=RATE_PER_S) for i, port in enumerate(ports))
    config = folder / "shaper.toml"
    config.write_text(text)
    settings = read_settings(config)
    assert settings.dataplane.haproxy is not None
    cfg = write(settings.dataplane.haproxy, settings.venue)
    with process(part("haproxy"), "-f", str(cfg)), running(config) as sidecar:
        yield sidecar, bind


async def play(sidecar: Running, bind: int, world: Path, spell: Spell) -> pl.DataFrame:
    """Send the world's own orders at their own times; returns what became of each (ts, tier, served, took_s)."""
    begun_s = json.loads((await asyncio.to_thread(sidecar.ask, "GET", "/v1/series"))[1])["now_s"] - time.time()
    clients = Clients(bind)
    due = orders_of(world, spell)
    tasks = []
    for at_s, tier in due:
        await asyncio.sleep(max(at_s - (time.time() + begun_s), 0))
        tasks.append(asyncio.create_task(clients.order(tier)))
    done = await asyncio.gather(*tasks)
    clients.close()
    return pl.DataFrame(
        {
            "ts": [datetime.fromtimestamp(at_s, UTC) for at_s, _ in due],
            "tier": [tier for _, tier in due],
            "served": [status == 200 for status, _ in done],
            "took_s": [took_s for _, took_s in done],
        },
        schema_overrides={"ts": pl.Datetime("ms", "UTC")},
    )


def orders_of(world: Path, spell: Spell) -> list[tuple[float, str]]:
    """Time (s since 1970) and tier of each order of a spell, spread within their seconds by chance."""
    draws = random.Random(5)  # noqa: S311
    counts = pl.read_parquet(world / "request_counts.parquet").filter(
        pl.col("ts").is_between(spell.orders, spell.until, closed="left")
    )
    rows = counts.select(pl.col("ts").dt.epoch("s"), "tier", "count").iter_rows()
    return sorted((at_s + draws.random(), tier) for at_s, tier, count in rows for _ in range(count))
