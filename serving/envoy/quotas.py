"""The quota service (RLQS): token buckets pushed to every Envoy ahead of the surge, and what their reports say of demand.

Decided here: several Envoys share a tier's quota max-min fairly by what each reported; a new bucket begins full, so a change below
1 % is not worth one; a quota that does not change is said again before it would expire. The most urgent class is counted and never
refused: a plan may be older than the surge, and who may call an order urgent is settled before.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from envoy.service.rate_limit_quota.v3 import rlqs_pb2
from envoy.type.v3 import ratelimit_strategy_pb2
from google.protobuf.duration_pb2 import Duration

from serving.envoy.metrics import EnvoyMetrics
from serving.envoy.resources import strategy
from serving.envoy.settings import Envoy
from serving.sharing import fair_shares

DOMAIN = "shaper"
TIER_KEY = "tier"
REPORT_S = 5.0
REPORT_COUNTS_S = 3 * REPORT_S  # an Envoy that has been silent for longer is not counted
WORTH_A_CHANGE = 0.01
UNLIMITED = ratelimit_strategy_pb2.RateLimitStrategy(blanket_rule="ALLOW_ALL")


@dataclass(frozen=True)
class Usage:
    """Orders per second that an Envoy admitted and refused in a tier, reported at `at_s`."""

    at_s: float
    admitted_per_s: float
    refused_per_s: float

    @property
    def demand_per_s(self) -> float:
        """Orders that came."""
        return self.admitted_per_s + self.refused_per_s


@dataclass
class Given:
    """The rate that an Envoy was given and when; None before it was given any."""

    rate_per_s: float | None = None
    at_s: float = 0.0

    def holds(self, rate_per_s: float, now_s: float, hold_s: float) -> bool:
        """Whether it need not be said again."""
        had = self.rate_per_s
        near = had is not None and abs(rate_per_s - had) <= WORTH_A_CHANGE * had
        return near and now_s - self.at_s < hold_s / 4


@dataclass
class Meter:
    """One connected Envoy: the tiers it watches, what it was given, what it reported."""

    outbox: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    given: dict[str, Given] = field(default_factory=dict)
    usage: dict[str, Usage] = field(default_factory=dict)


class Quotas:
    """The service; its methods are called on one event loop."""

    def __init__(
        self,
        own: Envoy,
        tiers: Sequence[str],
        metrics: EnvoyMetrics,
        now_s: Callable[[], float],
        urgent: Collection[str] = (),
    ) -> None:
        self.own = own
        self.tiers = tuple(tiers)
        self.urgent = frozenset(urgent)
        self.metrics = metrics
        self.now_s = now_s
        self.rates: dict[str, float] = {}
        self.meters: list[Meter] = []

    def push(self, rates: Mapping[str, float]) -> None:
        """Give tiers their quotas (orders per second of all Envoys together) from now on."""
        self.rates = {tier: rates[tier] for tier in self.tiers if tier in rates}
        for tier, rate in self.rates.items():
            self.metrics.quota.labels(tier).set(rate)
        self.give()

    def give(self) -> None:
        """Share the quotas among those connected and tell each what is news to it."""
        for tier, rate in self.rates.items():
            watching = [meter for meter in self.meters if tier in meter.given]
            wants = [usage.demand_per_s if (usage := self.recent(meter, tier)) else 0.0 for meter in watching]
            for meter, share in zip(watching, fair_shares(rate, wants), strict=True):
                if not meter.given[tier].holds(share, self.now_s(), self.own.hold_s):
                    meter.given[tier] = Given(share, self.now_s())
                    meter.outbox.put_nowait(self.told(tier, share))

    def told(self, tier: str, rate_per_s: float) -> Any:
        """The message that assigns a tier its bucket, one without a bottom where nothing is enforced and for an urgent tier."""
        limited = self.own.enforce and tier not in self.urgent
        bucket = strategy(rate_per_s, self.own.burst_s) if limited else UNLIMITED
        action = rlqs_pb2.RateLimitQuotaResponse.BucketAction(
            bucket_id=rlqs_pb2.BucketId(bucket={TIER_KEY: tier}),
            quota_assignment_action={
                "assignment_time_to_live": Duration(seconds=round(self.own.hold_s)),
                "rate_limit_strategy": bucket,
            },
        )
        return rlqs_pb2.RateLimitQuotaResponse(bucket_action=[action])

    def recent(self, meter: Meter, tier: str) -> Usage | None:
        """What an Envoy reported of a tier, unless that is too old to count."""
        usage = meter.usage.get(tier)
        return usage if usage is not None and self.now_s() - usage.at_s <= REPORT_COUNTS_S else None

    def demand_per_s(self) -> float | None:
        """Orders per second that came to all Envoys together; None when none has reported."""
        reports = [self.recent(meter, tier) for meter in self.meters for tier in self.tiers]
        found = [usage.demand_per_s for usage in reports if usage is not None]
        return sum(found) if found else None

    async def stream(self, requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
        """The RPC of `envoy.service.rate_limit_quota.v3.RateLimitQuotaService`."""
        meter = Meter()
        self.meters.append(meter)
        self.metrics.connected.labels("rlqs").inc()
        reader = asyncio.create_task(self.read(meter, requests))
        try:
            while (response := await meter.outbox.get()) is not None:
                yield response
        finally:
            reader.cancel()
            self.meters.remove(meter)
            self.metrics.connected.labels("rlqs").dec()
            self.give()

    async def read(self, meter: Meter, requests: AsyncIterator[Any]) -> None:
        """Hear reports until the Envoy hangs up."""
        try:
            async for request in requests:
                self.hear(meter, request)
        finally:
            meter.outbox.put_nowait(None)

    def hear(self, meter: Meter, request: Any) -> None:
        """Take a report; a tier that is new to the Envoy is given its quota at once."""
        for told in request.bucket_quota_usages:
            tier = told.bucket_id.bucket.get(TIER_KEY)
            if tier not in self.tiers:
                continue
            meter.given.setdefault(tier, Given())
            elapsed_s = told.time_elapsed.ToTimedelta().total_seconds()
            if elapsed_s > 0:
                meter.usage[tier] = Usage(
                    self.now_s(), told.num_requests_allowed / elapsed_s, told.num_requests_denied / elapsed_s
                )
        self.show()
        if any(given.rate_per_s is None for given in meter.given.values()):
            self.give()

    def show(self) -> None:
        """Show the usage by tier and verdict."""
        for tier in self.tiers:
            found = [usage for meter in self.meters if (usage := self.recent(meter, tier)) is not None]
            self.metrics.usage.labels(tier, "admitted").set(sum(usage.admitted_per_s for usage in found))
            self.metrics.usage.labels(tier, "refused").set(sum(usage.refused_per_s for usage in found))
