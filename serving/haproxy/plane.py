"""Plans put into force at HAProxy: weights of the nodes, classes and quotas of the tiers; and the load read back.

Decided here: which setting becomes which knob, and that a HAProxy that was restarted gets everything again.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serving.dataplane import DataPlaneError
from serving.gateway import Report
from serving.haproxy.render import BACKEND, FRONTEND, NO_QUOTA, WINDOW_S, maps, options
from serving.haproxy.runtime import Session
from serving.haproxy.settings import HAProxy, Server
from shaper.plan import Plan
from shaper.venue import Venue

LOG = logging.getLogger(__name__)
FULL_WEIGHT = 256  # HAProxy's largest
RATE = "http_req_rate(1000)"


@dataclass
class HAProxyPlane:
    """A HAProxy that runs the rendered configuration."""

    own: HAProxy
    venue: Venue
    name: str = "haproxy"
    session: Session | None = None
    weights: dict[str, int] = field(default_factory=dict)
    entries: dict[str, Mapping[str, int]] = field(default_factory=dict)

    async def open(self) -> None:
        """Nothing yet: a HAProxy that is not there now may be there for the next plan."""

    async def apply(self, plan: Plan) -> None:
        """Set what differs from what was set last. Raises DataPlaneError; the next call begins with everything again."""
        try:
            session = await self.connected()
            for node, weight in weights_of(plan).items():
                if self.weights.get(node) != weight:
                    await session.tell(f"set server {BACKEND}/{node} weight {weight}")
                    self.weights[node] = weight
            for name, entries in maps_of(plan).items():
                if self.entries.get(name) != entries:
                    await session.replace_map(str(Path(self.own.folder) / f"{name}.map"), entries)
                    self.entries[name] = entries
        except DataPlaneError:
            await self.close()
            raise

    async def report(self) -> Report | None:
        """Orders a second and those that wait, by tier. Raises DataPlaneError."""
        try:
            session = await self.connected()
            rows = await session.statistics()
            tiers = await session.table("tiers")
        except DataPlaneError:
            await self.close()
            raise
        front = next(row for row in rows if (row["pxname"], row["svname"]) == (FRONTEND, "FRONTEND"))
        back = next(row for row in rows if (row["pxname"], row["svname"]) == (BACKEND, "BACKEND"))
        here = {tier.name: tiers.get(tier.name, {}).get("conn_cur", 0) for tier in self.venue.tiers}
        return Report(demand_per_s=float(front["req_rate"]), queued=self.waiting(int(back["qcur"]), here))

    def waiting(self, total: int, here: Mapping[str, int]) -> dict[str, float]:
        """Orders that wait by tier, of `total`: HAProxy tells only how many of each are here, and serves the urgent ones first."""
        found = {}
        for tier in sorted(self.venue.tiers, key=lambda tier: -tier.priority):
            found[tier.name] = float(min(total, here[tier.name]))
            total -= int(found[tier.name])
        return found

    async def add_server(self, server: Server) -> None:
        """Give a node that was bought a place; it takes orders from now on. Raises DataPlaneError."""
        session = await self.connected()
        weight = max(self.weights.values(), default=100)
        said = await session.ask(f"add server {BACKEND}/{options(server, weight)}")
        if "New server registered" not in said:
            raise DataPlaneError(f"haproxy refused server {server.node}: {said}")
        await session.tell(f"enable health {BACKEND}/{server.node}")
        await session.tell(f"enable server {BACKEND}/{server.node}")

    async def drain(self, node: str) -> None:
        """Give a node no more orders; it finishes those that it has. Raises DataPlaneError."""
        await (await self.connected()).tell(f"set server {BACKEND}/{node} state drain")

    async def ready(self, node: str) -> None:
        """Give a drained node orders again. Raises DataPlaneError."""
        await (await self.connected()).tell(f"set server {BACKEND}/{node} state ready")

    async def remove_server(self, node: str) -> None:
        """Take away a node that was added and has been drained. Raises DataPlaneError while it still has orders."""
        session = await self.connected()
        await session.tell(f"set server {BACKEND}/{node} state maint")
        said = await session.ask(f"del server {BACKEND}/{node}")
        if "Server deleted" not in said:
            raise DataPlaneError(f"haproxy refused to remove {node}: {said}")

    async def connected(self) -> Session:
        """The session; a new one knows of no plan."""
        if self.session is None:
            self.session = await Session.open(self.own.socket)
            self.weights, self.entries = {}, {"depths": maps(self.own, self.venue)["depths"]}
            LOG.info("connected to HAProxy at %s", self.own.socket)
        return self.session

    async def close(self) -> None:
        """End the session. HAProxy goes on with what it was told."""
        session, self.session = self.session, None
        if session is not None:
            await session.close()


def weights_of(plan: Plan) -> dict[str, int]:
    """Weights 0..256 by node; a node with any share at all has at least 1."""
    most = max((node.weight for node in plan.weights), default=0.0)
    return {node.node: share_of(node.weight, most) for node in plan.weights}


def share_of(weight: float, most: float) -> int:
    """A weight in 256ths of the largest."""
    return 0 if weight <= 0 else max(round(FULL_WEIGHT * weight / most), 1)


def maps_of(plan: Plan) -> dict[str, dict[str, int]]:
    """Classes, and quotas in orders a window, by tier.

    The most urgent class has no quota here: a plan may be a review old, and what comes beyond it in a surge must not wait
    behind the floors of the others. Who may call an order urgent is settled before (`tier_from`).
    """
    first = min((tier.priority for tier in plan.quotas), default=0)
    return {
        "classes": {tier.tier: tier.priority for tier in plan.quotas},
        "quotas": {
            tier.tier: NO_QUOTA if tier.priority == first else window_of(tier.rate_per_s) for tier in plan.quotas
        },
    }


def window_of(rate_per_s: float) -> int:
    """Orders that a window may bring of a rate: as many as chance brings in five of six windows (Poisson, one deviation)."""
    mean = max(rate_per_s, 0.0) * WINDOW_S
    return min(math.ceil(mean + math.sqrt(mean)), NO_QUOTA)
