"""The embedded gateway as a data plane: it takes plans, tells its load, and listens on a port of its own in the sidecar's process.

Decided here: before the first plan each tier has its share of what the upstreams can take; the last plan stays in force whatever
becomes of the loop. On the way out nothing new is taken, what waits has its time to be sent, what was sent is answered.
"""

import asyncio
import contextlib
import logging
import math
import random
import socket
from collections.abc import Iterator, Mapping
from typing import cast

import msgspec
import uvicorn
from prometheus_client import CollectorRegistry

from data.errors import DataError
from serving.dataplane import DataPlaneError
from serving.edge import App
from serving.embedded.accounts import Accounts
from serving.embedded.app import GatewayApp
from serving.embedded.arrivals import Arrivals
from serving.embedded.desk import Desk
from serving.embedded.forward import Budget, Forwarder
from serving.embedded.gate import Gate
from serving.embedded.ledger import Ledger
from serving.embedded.metrics import GatewayMetrics
from serving.embedded.monitor import Monitor
from serving.embedded.router import Router
from serving.embedded.upstreams import Upstream
from serving.gateway import Report
from serving.gateway_settings import GatewaySettings
from serving.logs import plan_id
from serving.sockets import address, listen
from serving.wire import BoundedServer, bounds
from shaper.admission import Admission
from shaper.plan import Plan
from shaper.tiers import PARTS, share_capacity
from shaper.venue import Venue

LOG = logging.getLogger(__name__)
IDLE_S = 75  # how long a client's idle connection is kept
PIECE_S = 10.0  # an order comes in one piece, or nearly
DRAIN_STEP_S = 0.01
SURGE = 10.0  # demand over capacity


class Listener(BoundedServer):
    """Uvicorn inside a process whose signals are somebody else's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class EmbeddedGateway:
    """The data plane. `demand_window_s` is the time over which arrivals are counted."""

    name = "embedded"

    def __init__(
        self, settings: GatewaySettings, venue: Venue, registry: CollectorRegistry, demand_window_s: float = 15.0
    ) -> None:
        self._settings, self._venue, self._window_s = settings, venue, demand_window_s
        tiers = [tier.name for tier in venue.by_priority]
        self._metrics = GatewayMetrics.create(registry, tiers, [node.name for node in venue.nodes])
        self._parts: Parts | None = None
        self.url: str | None = None

    async def open(self) -> None:
        """Listen. Raises DataPlaneError when the address is taken."""
        settings = self._settings
        try:
            listener = listen(settings.host, settings.port, "gateway.port")
        except DataError as error:
            raise DataPlaneError(str(error)) from error
        self._parts = Parts(settings, self._venue, self._metrics, self._window_s)
        await self._parts.start(listener)
        self.url = address(listener)
        print(f"shaper takes orders on {self.url}", flush=True)

    async def apply(self, plan: Plan) -> None:
        """Take the quotas, the order and the lines of the tiers, the weights and the routes of a plan."""
        parts = self._open_parts()
        quotas = sorted(plan.quotas, key=lambda tier: tier.priority)
        lines = {tier.tier: tier.most_waiting for tier in quotas}
        parts.admission.follow({tier.tier: tier.rate_per_s for tier in quotas}, parts.loop.time(), lines)
        parts.router.follow(plan)
        parts.desk.plan_id = plan_id(msgspec.json.encode(plan))
        parts.gate.pump(parts.loop.time())

    async def report(self) -> Report:
        """Orders that arrive a second, and those that wait by tier."""
        parts = self._open_parts()
        return Report(parts.desk.arrivals.per_s(parts.loop.time()), dict(parts.admission.queued()))

    async def close(self) -> None:
        """Take nothing new, send what waits while there is time, answer, and let go."""
        parts, self._parts = self._parts, None
        if parts is not None:
            await parts.stop(self._settings.drain_s)

    def _open_parts(self) -> "Parts":
        if self._parts is None:
            raise DataPlaneError("expected the embedded gateway to be open; found it closed; open it first")
        return self._parts


class Parts:
    """What lives while the gateway is open, in the running event loop."""

    def __init__(self, settings: GatewaySettings, venue: Venue, metrics: GatewayMetrics, window_s: float) -> None:
        self.loop = asyncio.get_running_loop()
        at_s = self.loop.time()
        upstreams = [Upstream(each, self.loop) for each in settings.upstreams]
        capacity = {node.name: node.capacity_per_s for node in venue.nodes}
        self.router = Router(upstreams, capacity, random.Random().random)  # noqa: S311 — it spreads load, it keeps no secret
        self.admission = Admission(
            venue.by_priority, first_rates(venue), at_s, settings.max_waiting, settings.account_share
        )
        self.gate = Gate(self.admission, self.loop, self.router.places)
        tiers = tuple(tier.name for tier in venue.by_priority)
        self.desk = Desk(
            accounts=Accounts(settings.keys, tiers, settings.resting_tiers),
            gate=self.gate,
            ledger=Ledger(settings.remember_s, settings.max_remembered),
            forwarder=Forwarder(
                self.router, metrics, settings.attempts, settings.hedge_s, Budget(settings.retry_share)
            ),
            metrics=metrics,
            arrivals=Arrivals(window_s, at_s),
            deadlines_s={tier.name: tier.deadline_s for tier in venue.tiers},
            is_well=lambda: any(not up.open for up in upstreams),
            loop=self.loop,
        )
        self.monitor = Monitor(self.router, settings.check_s, settings.open_after, settings.max_blocks_behind)
        self.server = Listener(configured(GatewayApp(self.desk, settings.max_body_bytes, settings.max_batch), settings))
        self.tasks: list[asyncio.Task[None]] = []
        self.watch(metrics, upstreams)

    def watch(self, metrics: GatewayMetrics, upstreams: list[Upstream]) -> None:
        """Let the metrics ask for queues and loads."""
        for tier in self.desk.deadlines_s:
            metrics.watch(tier, lambda tier=tier: dict(self.admission.queued())[tier])  # type: ignore[misc]
        for up in upstreams:
            metrics.watch_node(up.name, lambda up=up: up.in_flight, lambda up=up: float(up.open))  # type: ignore[misc]

    async def start(self, listener: socket.socket) -> None:
        """Serve and check in the background; returns once requests are answered."""
        self.tasks = [
            asyncio.create_task(self.server.serve([listener]), name="embedded gateway"),
            asyncio.create_task(self.monitor.run(), name="upstream checks"),
        ]
        while not self.server.started:
            if self.tasks[0].done():
                self.tasks[0].result()
                raise DataPlaneError("expected the gateway to listen; found that its server ended; see the log")
            await asyncio.sleep(DRAIN_STEP_S)

    async def stop(self, drain_s: float) -> None:
        """Drain and end."""
        self.desk.stopping = True
        until_s = self.loop.time() + drain_s
        while self.gate.size and self.loop.time() < until_s:
            await asyncio.sleep(DRAIN_STEP_S)
        self.gate.empty("the gateway is stopping")
        self.server.should_exit = True
        await self.tasks[0]  # answers every request that it has read
        self.tasks[1].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.tasks[1]
        for up in self.router.upstreams:
            up.connections.close()


def configured(app: GatewayApp, settings: GatewaySettings) -> uvicorn.Config:
    """Uvicorn as the gateway needs it; at its end it waits for answers as long as all attempts of an order may take."""
    return uvicorn.Config(
        cast("App", app),
        **bounds(PIECE_S),
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=math.ceil(settings.longest_attempts_s) + 1,
    )


def first_rates(venue: Venue) -> Mapping[str, float]:
    """Quotas by tier before any plan: as a plan would set them for all that the nodes can take in a surge.

    While there is no surge they do not bind, for a tier borrows what the others leave.
    """
    capacity_per_s = sum(node.capacity_per_s for node in venue.nodes if node.up)
    shares = share_capacity(venue, capacity_per_s, SURGE * capacity_per_s, {})
    return {share.tier.name: capacity_per_s * share.parts / PARTS for share in shares}
