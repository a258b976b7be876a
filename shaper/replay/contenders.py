"""Ways of running a gateway that the event replay compares: who waits where, which node is taken, how many units are wanted.

Decided here: the shape of a policy. Each sees the same stale measurements, at its own pace, and answers with settings; how
orders queue is fixed by its discipline. Limits and rates that react to latency are in `shaper.replay.limits`.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from shaper.capacity import reactive_units, wanted_units
from shaper.lines import most_waiting
from shaper.observed import Observed
from shaper.replay.gateway import Discipline
from shaper.replay.levers import Seen, Settings
from shaper.replay.limits import Pace
from shaper.replay.policies import Memory, ReactiveSettings
from shaper.replay.trace import Floats, ForecastSeries
from shaper.routing import split_orders
from shaper.steering import Steering, steer
from shaper.tiers import PARTS, share_capacity
from shaper.trust import TrustRules
from shaper.venue import Venue

SYNC_S = 15.0  # of a horizontal autoscaler, as Kubernetes has it
LATE = 3.0  # of 20 exponentially late units one is later than so many means
EVEN = 1.25  # demand is rounded to powers of this before orders are split over nodes, which is a programme to solve


class Contender(Protocol):
    """A policy: it may remember what it saw, so each run takes a new one."""

    discipline: Discipline
    every_s: float

    def settings(self, seen: Seen) -> Settings:
        """Settings until the next review."""
        ...


@dataclass(frozen=True, slots=True)
class Manner:
    """How a policy goes about it: its reactive rule, and how long lines may be, as a share of what is served in a deadline.

    These are tuned, for baselines; the lines of ours are those of `shaper.lines`. `delay_noise` is how much later than
    the pool's delay units are expected to arrive on average, as a share of it, `trust` what is decided about trust in forecasts:
    only ours asks for them.
    """

    scaling: ReactiveSettings = field(default_factory=ReactiveSettings)
    room: float = 1.0
    every_s: float = SYNC_S
    delay_noise: float = 0.1
    trust: TrustRules = field(default_factory=TrustRules)


class Autoscaled:
    """Reactive capacity below any discipline: a horizontal autoscaler with a stabilisation window.

    With `pace`, admission reacts to latency in between. Classes have room for what their share of the capacity serves.
    """

    def __init__(self, venue: Venue, discipline: Discipline, manner: Manner, pace: Pace | None = None) -> None:
        self.discipline, self._manner, self._pace = discipline, manner, pace
        self._venue = replace(venue, reactive_headroom=manner.scaling.headroom, reactive_drain_s=manner.scaling.drain_s)
        self.every_s = manner.every_s if pace is None else pace.every_s
        self._memory = Memory(manner.scaling, manner.every_s)
        self._wanted: deque[int] = deque(maxlen=max(round(manner.scaling.stabilisation_s / manner.every_s), 1))
        self._next_s = -np.inf

    def settings(self, seen: Seen) -> Settings:
        """The highest recent recommendation, and room in the lines for as many orders as can still be served."""
        observed = seen.observed
        if observed.at_s >= self._next_s:
            demand = self._memory.smoothed(observed.demand_per_s)
            self._wanted.append(reactive_units(self._venue, demand, observed.queued_orders))
            self._next_s = observed.at_s + self._manner.every_s - 1e-6
        made = Settings(max(self._wanted), seen.up, room_for(self._venue, observed, self._manner.room))
        return made if self._pace is None else self._pace.applied(made, seen)


class Ours:
    """The shaper's own plan: `wanted_units` on the leash of `steer`, weights by `split_orders`, lines by `most_waiting`.

    Queues are those of priority + LIFO. Without a usable forecast it is that policy. Units are ordered for the delay that one
    order in twenty exceeds.
    """

    def __init__(
        self, venue: Venue, manner: Manner, forecasts: ForecastSeries, lag_s: float, lifo_after_s: float
    ) -> None:
        scaling = manner.scaling
        pool = replace(venue.pool, actuation_delay_s=venue.pool.actuation_delay_s * (1 + LATE * manner.delay_noise))
        self._venue = replace(venue, pool=pool, reactive_headroom=scaling.headroom, reactive_drain_s=scaling.drain_s)
        self.discipline, self.every_s = Discipline(lifo_after_s=lifo_after_s), venue.review_s
        self._manner, self._forecasts, self._lag_s = manner, forecasts, lag_s
        self._memory, self._weigher = Memory(scaling, venue.review_s), Weigher(venue)
        self._steering: Steering | TrustRules = manner.trust
        self.reviews = self.fallbacks = 0

    def settings(self, seen: Seen) -> Settings:
        """The plan's settings for the forecast that is current."""
        observed = replace(seen.observed, held_per_s=self._memory.held(seen.observed.demand_per_s))
        forecast = self._forecasts.current(observed.at_s - self._lag_s)
        self._steering = steer(self._venue, forecast, observed, self._steering)
        need = wanted_units(self._venue, forecast, observed, self._steering.leash)
        self.reviews += 1
        self.fallbacks += need.fallback is not None
        room = np.array(most_waiting(self._venue, observed), np.float64)
        return Settings(need.units, self._weigher.weights(observed.demand_per_s, seen.up), room)


@dataclass(slots=True)
class Weigher:
    """Weights of the nodes by `split_orders`, solved anew only when demand or the nodes that are up have changed."""

    venue: Venue
    known: dict[tuple[int, tuple[bool, ...]], Floats] = field(default_factory=dict)

    def weights(self, demand_per_s: float, up: Floats) -> Floats:
        """Weights (nodes,)."""
        if not self.venue.nodes:
            return np.ones(1)
        step = round(float(np.log(max(demand_per_s, 1.0)) / np.log(EVEN)))
        key = (step, tuple(bool(value) for value in up > 0))
        if key not in self.known:
            nodes = tuple(replace(node, up=is_up) for node, is_up in zip(self.venue.nodes, key[1], strict=True))
            parts = split_orders(replace(self.venue, nodes=nodes), EVEN**step).parts
            self.known[key] = np.array(parts, dtype=np.float64)
        return self.known[key]


def room_for(venue: Venue, observed: Observed, room: float) -> Floats:
    """Most orders that may wait by class: `room` times what the class's share of the capacity serves within its deadline.

    The capacity counts what is on its way, as orders may wait for it.
    """
    rate = max(observed.ordered_units, 1) * venue.pool.unit_rate_per_s
    shares = share_capacity(venue, rate, observed.demand_per_s, dict(observed.queued))
    return np.array([room * rate * share.parts / PARTS * share.tier.deadline_s for share in shares])
