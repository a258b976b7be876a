"""A gateway and the nodes of its chain in one event loop, for tests of what it does rather than how fast."""

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from prometheus_client import CollectorRegistry

from serving.embedded.plane import EmbeddedGateway, Listener
from serving.gateway_settings import GatewaySettings, KeySettings, UpstreamSettings
from shaper.venue import Node, Pool, Tier, Venue
from tests.serving.embedded import upstream
from tests.serving.embedded.load import transaction

NAMES = ("n0", "n1", "n2")
TIERS = (
    Tier("critical", 0, 2.0, 40.0, 2.0, 0.1, 0.1),
    Tier("maker", 1, 0.05, 0.4, 2.0, 0.2, 0.4),
    Tier("taker", 2, 0.03, 0.3, 2.0, 0.1, 0.3),
    Tier("bulk", 3, 0.001, 0.01, 2.0, 0.02, 0.2),
)
KEYS = {  # by the key's text, which is also the account
    "liquidator": ("critical", "taker"),
    "desk": ("maker", "taker"),
    "crowd": ("taker",),
    "export": ("bulk",),
}


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def venue(capacity_per_s: float = 1e5) -> Venue:
    nodes = tuple(Node(name, name, "eu", "c", capacity_per_s / 3, 0.02, 0.001) for name in NAMES)
    return Venue(TIERS, Pool("matching", 12.0, 2, 60, 60.0, 0.0004), nodes)


def settings(ports: dict[str, int], timeout_s: float = 1.5, **changes: Any) -> GatewaySettings:
    made = GatewaySettings(
        upstreams=tuple(
            UpstreamSettings(name, f"http://127.0.0.1:{port}", timeout_s=timeout_s) for name, port in ports.items()
        ),
        keys=tuple(KeySettings(digest(key), key, tiers) for key, tiers in KEYS.items()),
        port=0,
        resting_tiers=("maker",),
        check_s=0.05,
    )
    return replace(made, **changes)


@dataclass
class World:
    """A gateway that is open, its nodes by name, and a client of it."""

    gateway: EmbeddedGateway
    nodes: dict[str, upstream.Node]
    http: httpx.AsyncClient
    registry: CollectorRegistry
    ledger: Path

    async def send(self, number: int, key: str = "crowd", **headers: str) -> httpx.Response:
        """Send a transaction."""
        call = {"jsonrpc": "2.0", "id": number, "method": "eth_sendRawTransaction", "params": [transaction(number)]}
        return await self.http.post("/", json=call, headers={"X-Api-Key": key, **headers})

    async def order(self, body: object, key: str = "crowd", **headers: str) -> httpx.Response:
        """Send a REST order."""
        return await self.http.post("/orders", json=body, headers={"X-Api-Key": key, **headers})

    async def call(self, method: str, *params: object, key: str = "crowd") -> httpx.Response:
        """Send any call."""
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await self.http.post("/", json=call, headers={"X-Api-Key": key})

    def taken(self) -> list[str]:
        """What all nodes together took, each time it was taken."""
        return [line for log in self.ledger.glob("*.log") for line in log.read_text().split("\n") if line]

    def trouble(self, **troubles: str) -> None:
        """Trouble by node."""
        for name, trouble in troubles.items():
            self.nodes[name].trouble = trouble

    def count(self, name: str, **labels: str) -> float:
        """The value of a metric."""
        return self.registry.get_sample_value(f"shaper_gateway_{name}", labels) or 0.0


@contextlib.asynccontextmanager
async def world(
    ledger: Path, capacity_per_s: float = 1e5, dead: tuple[str, ...] = (), **changes: Any
) -> AsyncIterator[World]:
    """Nodes (all but the dead ones), the gateway before them, and a client."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = {name: upstream.Node(name, ledger) for name in NAMES}
        served_ports = await stack.enter_async_context(served([nodes[name] for name in NAMES if name not in dead]))
        ports = {name: closed_port() if name in dead else served_ports[name] for name in NAMES}
        registry = CollectorRegistry()
        gateway = EmbeddedGateway(settings(ports, **changes), venue(capacity_per_s), registry)
        await gateway.open()
        stack.push_async_callback(gateway.close)
        assert gateway.url is not None
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=gateway.url, timeout=10))
        yield World(gateway, nodes, http, registry, ledger)


@contextlib.asynccontextmanager
async def served(nodes: list[upstream.Node]) -> AsyncIterator[dict[str, int]]:
    """The ports of nodes that listen in this event loop."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in nodes]
    servers = [
        Listener(uvicorn.Config(node, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=0))
        for node in nodes
    ]
    running = asyncio.gather(*(server.serve([at]) for server, at in zip(servers, listeners, strict=True)))
    try:
        yield {node.name: at.getsockname()[1] for node, at in zip(nodes, listeners, strict=True)}
    finally:
        for server in servers:
            server.should_exit = True
        await running


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def play(story: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine, at most half a minute."""
    asyncio.run(asyncio.wait_for(story, 30))
