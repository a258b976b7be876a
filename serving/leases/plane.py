"""A data plane that enforces this sidecar's share of each plan, and changes it when the lease does, between plans too.

Decided here: what is scaled are the quotas and lines; weights, priorities and capacity are of the whole venue and stay as planned.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from prometheus_client import CollectorRegistry, Counter, Gauge

from serving.dataplane import DataPlane, DataPlaneError
from serving.gateway import Report
from serving.leases.settings import Leases
from serving.leases.share import Share
from serving.leases.store import Asked, Store
from shaper.plan import Plan, TierSetting

LOG = logging.getLogger(__name__)
RENEWALS = 3  # in the time of a lease
WORTH_A_CHANGE = 0.01


class LeasedPlane:
    """Another data plane, given a share of the quotas of every plan."""

    def __init__(
        self,
        inner: DataPlane,
        own: Leases,
        registry: CollectorRegistry | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inner = inner
        self.name = inner.name
        self.own = own
        self.now_s = now_s
        self.store = Store(own, uuid.uuid4().hex, now_s)
        self.share = Share.begun(own.replicas, own.ttl_s, now_s())
        self.plan: Plan | None = None
        self.enforced: float | None = None
        self.demand_per_s: float | None = None
        self.fault: str | None = None
        self.lock = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None
        told = registry or CollectorRegistry()
        self.shown = Gauge("shaper_lease_share_ratio", "Part of the quotas to use here", ["plane"], registry=told)
        self.failures = Counter("shaper_lease_renewal_failures", "Renewals that failed", ["plane"], registry=told)

    async def open(self) -> None:
        """Open the data plane and begin to renew. Raises DataPlaneError."""
        await self.inner.open()
        self.share = Share.begun(self.own.replicas, self.own.ttl_s, self.now_s())
        self.task = asyncio.create_task(self.keep())

    async def keep(self) -> None:
        """Renew, and have the share enforced whenever it changes: on an answer, and when a lease ends without one."""
        renew_s = self.now_s()
        while True:
            if self.now_s() >= renew_s:
                renew_s = self.now_s() + self.own.ttl_s / RENEWALS
                await self.renew()
            try:
                await self.enforce()
            except DataPlaneError as error:
                LOG.warning("the share of %s could not be changed: %s", self.name, error)
            except Exception:
                LOG.exception("the share of %s could not be changed", self.name)
            turns = [at_s for at_s in (self.share.until_s, self.share.rise_s) if at_s > self.now_s()]
            await asyncio.sleep(max(min([renew_s, *turns]) - self.now_s(), 0.0))

    async def renew(self) -> None:
        """Ask the store for a share, by the demand that comes here."""
        report = await self.local()
        demand = 0.0 if report is None or report.demand_per_s is None else report.demand_per_s
        whole = 0.0 if self.plan is None else sum(setting.rate_per_s for setting in self.plan.quotas)
        want = demand / whole if whole > 0 else self.share.safe
        self.share, self.demand_per_s, fault = await self.store.renew(self.share, Asked(want, demand))
        if fault is not None:
            self.failures.labels(self.name).inc()
        if (fault is None) != (self.fault is None):
            LOG.warning("leases: %s", fault or "renewed again")
        self.fault = fault

    async def local(self) -> Report | None:
        """What the data plane reports; None when it fails, which its own calls say."""
        with suppress(DataPlaneError):
            return await self.inner.report()
        return None

    async def enforce(self) -> None:
        """Have the share enforced if it is another. Raises DataPlaneError."""
        async with self.lock:
            part = self.share.now(self.now_s())
            self.shown.labels(self.name).set(part)
            had = self.enforced
            if self.plan is None or (had is not None and had <= part <= had * (1 + WORTH_A_CHANGE)):
                return
            self.enforced = None
            await self.inner.apply(scaled(self.plan, part))
            self.enforced = part

    async def apply(self, plan: Plan) -> None:
        """Enforce this sidecar's share of a plan. Raises DataPlaneError."""
        self.plan, self.enforced = plan, None
        await self.enforce()

    async def report(self) -> Report | None:
        """What the data plane reports, with the demand of all sidecars together, which is unknown without a lease."""
        report = await self.inner.report()
        if report is None:
            return None
        return Report(self.demand_per_s, report.queued, report.ready_units, report.ordered_units)

    async def close(self) -> None:
        """Renew no more and let go of the data plane."""
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
        await self.store.close()
        await self.inner.close()


def scaled(plan: Plan, part: float) -> Plan:
    """A plan with a part of its quotas, and of the lines that these are to work off."""
    return replace(plan, quotas=tuple(_scaled(setting, part) for setting in plan.quotas))


def _scaled(setting: TierSetting, part: float) -> TierSetting:
    line = None if setting.most_waiting is None else max(int(setting.most_waiting * part), 1)
    return replace(setting, rate_per_s=setting.rate_per_s * part, most_waiting=line)
