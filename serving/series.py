"""The recent past for those who look: measurements, plans, and the bands that were promised for each time.

Decided here: how much is kept (bounded, in memory only) and what a point is. Of each forecast one lead is remembered, the one at
which capacity is planned, so that what was promised can be laid over what came.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from serving.pipeline import Pipeline
from serving.state import Update
from serving.tallies import Tallies, Tally
from shaper.forecast import Forecast

POINTS_KEPT = 1440  # six hours of reviews of 15 s


class Point(msgspec.Struct, frozen=True):
    """One review: demand measured (orders a second), units ready, ordered by its plan and in use, and what led the plan.

    `units_used` is demand over a unit's rate, at most what is ready; `trust` the forecast's weight, 0..1.
    """

    at_s: float
    demand_per_s: float
    units_ready: int
    units_ordered: int
    units_used: float
    queued: float
    stage: str
    trust: float


class Promise(msgspec.Struct, frozen=True):
    """What a forecast said of one time, and what the target was at the forecast's issue; None where it was unknown."""

    target: str
    issued_at_s: float
    for_s: float
    levels: tuple[float, ...]
    quantiles: tuple[float, ...]
    spike: float
    value_at_issue: float | None


class ShownTarget(msgspec.Struct, frozen=True):
    """A target and its unit."""

    name: str
    unit: str


class ShownNode(msgspec.Struct, frozen=True):
    """What does not change about a node."""

    name: str
    operator: str
    region: str
    chain: str
    capacity_per_s: float
    latency_s: float


class Recent(msgspec.Struct, frozen=True):
    """The series after a time, oldest first, and what stays the same of the venue."""

    now_s: float
    lead_s: float
    review_s: float
    model: str
    pool: str
    unit_rate_per_s: float
    min_units: int
    max_units: int
    targets: tuple[ShownTarget, ...]
    nodes: tuple[ShownNode, ...]
    tiers: tuple[Tally, ...]
    points: tuple[Point, ...]
    promises: tuple[Promise, ...]


@dataclass
class Series:
    """Bounded rings of points and promises, written and read on the event loop alone."""

    pipeline: Pipeline
    points: deque[Point] = field(default_factory=lambda: deque(maxlen=POINTS_KEPT))
    promises: deque[Promise] = field(default_factory=lambda: deque(maxlen=POINTS_KEPT))
    issued_at_s: float | None = None
    tallies: Tallies = field(init=False)

    def __post_init__(self) -> None:
        """Count what the gateway of this process counts."""
        self.tallies = Tallies(self.pipeline.metrics.registry, [tier.name for tier in self.pipeline.venue.tiers])

    def take(self, update: Update) -> None:
        """Remember a step; a clock that went back begins anew."""
        at_s = update.at.timestamp()
        if self.points and at_s < self.points[-1].at_s:
            self.points.clear()
            self.promises.clear()
        if update.forecast is not None and update.forecast.issued_at_s != self.issued_at_s:
            self.issued_at_s = update.forecast.issued_at_s
            lead_s = self.pipeline.venue.lead_s
            self.promises.extend(promises(update.forecast, lead_s, self.pipeline.current))
        if update.plan is not None and self.pipeline.demand is not None:
            self.points.append(self.point(at_s, update.plan.capacity[0].units, update.plan.stage))
            self.tallies.turn()

    def point(self, at_s: float, ordered: int, stage: str) -> Point:
        """The point of a plan that orders so many units."""
        pipeline = self.pipeline
        demand, lever, leash = pipeline.demand, pipeline.gateway.lever, pipeline.steering and pipeline.steering.leash
        per_s = 0.0 if demand is None else demand.per_s
        queued = sum(pipeline.gateway.current(at_s).queued.values())
        used = min(per_s / pipeline.venue.pool.unit_rate_per_s, float(lever.ready))
        return Point(at_s, per_s, lever.ready, ordered, used, queued, stage, leash.weight if leash else 0.0)

    def since(self, after_s: float, now_s: float) -> Recent:
        """What came after a time, and the state of the tiers now."""
        venue, contract = self.pipeline.venue, self.pipeline.forecaster.contract
        return Recent(
            now_s=now_s,
            lead_s=venue.lead_s,
            review_s=venue.review_s,
            model=contract.name,
            pool=venue.pool.name,
            unit_rate_per_s=venue.pool.unit_rate_per_s,
            min_units=venue.pool.min_units,
            max_units=venue.pool.max_units,
            targets=tuple(ShownTarget(target.name, target.unit) for target in contract.targets),
            nodes=tuple(
                ShownNode(n.name, n.operator, n.region, n.chain, n.capacity_per_s, n.latency_s) for n in venue.nodes
            ),
            tiers=self.tallies.read(self.pipeline.gateway.current(now_s).queued),
            points=tuple(point for point in self.points if point.at_s > after_s),
            promises=tuple(promise for promise in self.promises if promise.issued_at_s > after_s),
        )


def promises(forecast: Forecast, lead_s: float, current: Mapping[str, float]) -> list[Promise]:
    """What a forecast says of each target at the horizon nearest to a lead."""
    place = min(range(len(forecast.horizons)), key=lambda i: abs(forecast.horizons[i] * forecast.tick_s - lead_s))
    for_s = forecast.issued_at_s + forecast.horizons[place] * forecast.tick_s
    found = []
    for name, quantiles, spike in zip(forecast.targets, forecast.quantiles, forecast.spike, strict=True):
        value = current.get(name)
        known = None if value is None or value != value else value
        found.append(Promise(name, forecast.issued_at_s, for_s, forecast.levels, quantiles[place], spike[place], known))
    return found
