"""One run of a policy over single orders: measure, decide, set, and let a second of events pass.

Decided here: what is measured and how late it is known, that whoever runs the pool replaces units of nodes seen to fail or to
slow down (for every policy alike), and that a released unit is paid until it has done what it had in hand.
"""

from dataclasses import dataclass

import numpy as np

from shaper.observed import Observed
from shaper.replay.contenders import Contender
from shaper.replay.gateway import Gateway
from shaper.replay.kernel import Book
from shaper.replay.levers import Seen, Settings
from shaper.replay.orders import Orders
from shaper.replay.pipeline import Pipeline
from shaper.replay.trace import Floats
from shaper.venue import Venue

TICK_S = 1.0
SAVED_S = 5.0  # of a quota that a class may save up


@dataclass(frozen=True, slots=True)
class Fault:
    """A node's units work at `speed` times their rate (0: not at all) from `start_s` to `end_s` after the start."""

    node: int
    start_s: float
    end_s: float
    speed: float


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What every policy of a replay finds: the orders, the faults, and how it measures.

    Demand is measured over `observe_s`; it, queues and the nodes' state are known `lag_s` late, waits at once, as the gateway
    has them. `noise` stretches actuation delays (see Pipeline) with draws from `seed`. At the start `initial_units` are ready
    and demand was `before_per_s`.
    """

    venue: Venue
    orders: Orders
    initial_units: int
    before_per_s: float
    observe_s: float = 15.0
    lag_s: float = 5.0
    noise: float = 0.0
    seed: int = 0
    faults: tuple[Fault, ...] = ()

    @property
    def ticks(self) -> int:
        """Seconds of the stretch, the last one whole."""
        return int(np.ceil(self.orders.length_s / TICK_S - 1e-9))

    def speeds(self) -> Floats:
        """Share of its rate at which each node's units work, by tick: (ticks, nodes)."""
        speeds = np.ones((self.ticks, max(len(self.venue.nodes), 1)))
        for fault in self.faults:
            speeds[round(fault.start_s / TICK_S) : round(fault.end_s / TICK_S), fault.node] *= fault.speed
        return speeds


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What happened: the orders' fates, units ready and paid by tick (ticks,), orders waiting by tick and class."""

    book: Book
    ready: Floats
    ordered: Floats
    paid: Floats
    waiting: Floats


def play(stage: Stage, contender: Contender) -> Run:
    """Run a policy over a stretch."""
    return _Player(stage, contender).run()


class _Player:
    def __init__(self, stage: Stage, contender: Contender) -> None:
        self._stage, self._contender = stage, contender
        self._gateway = Gateway(stage.venue, stage.orders, contender.discipline, stage.seed)
        self._pipeline = Pipeline(stage.venue.pool, TICK_S, stage.initial_units, stage.noise, stage.seed)
        self._names = [tier.name for tier in stage.venue.by_priority]
        self._lag, self._demand = round(stage.lag_s / TICK_S), demand_by_tick(stage)
        self._speeds, classes = stage.speeds(), len(self._names)
        self._waiting = np.zeros((stage.ticks, classes))
        self._tally = np.zeros((stage.ticks + 1, 2, classes))
        self._units = np.zeros((3, stage.ticks))

    def run(self) -> Run:
        every = max(round(self._contender.every_s / TICK_S), 1)
        for tick in range(self._stage.ticks):
            self._pipeline.land(tick)
            if tick % every == 0:
                self._review(tick)
            self._pass(tick)
        return Run(self._gateway.book, self._units[0], self._units[1], self._units[2], self._waiting)

    def _review(self, tick: int) -> None:
        seen = self._seen(tick)
        settings = self._contender.settings(seen)
        self._pipeline.set(tick, settings.units + self._lost(tick))
        apply(self._gateway, settings, seen.up)

    def _pass(self, tick: int) -> None:
        speeds = self._speeds[tick]
        if tick == 0 or (speeds != self._speeds[tick - 1]).any():
            self._gateway.speed(speeds)
        self._gateway.place(self._pipeline.ready)
        ordered = self._pipeline.ordered
        self._units[:, tick] = self._pipeline.ready, ordered, ordered + self._gateway.excess
        self._gateway.advance((tick + 1) * TICK_S)
        self._waiting[tick], self._tally[tick + 1] = self._gateway.waiting, self._gateway.tally

    def _lost(self, tick: int) -> int:
        """Units' worth of capacity that is known to be lost to faults."""
        nodes = self._gateway.nodes
        known = self._speeds[max(tick - self._lag, 0)]
        share = sum(node.capacity_per_s * (1 - speed) for node, speed in zip(nodes, known, strict=True))
        return int(self._pipeline.ready * share / sum(node.capacity_per_s for node in nodes))

    def _seen(self, tick: int) -> Seen:
        known, stage, lost = max(tick - self._lag, 0), self._stage, self._lost(tick)
        waiting = self._waiting[known - 1] if known else np.zeros(len(self._names))
        queued = tuple(zip(self._names, waiting.tolist(), strict=True))
        seen = self._pipeline.observed(
            tick, tick * TICK_S, float(self._demand[tick]), queued, stage.lag_s + stage.observe_s / 2
        )
        healthy = Observed(
            seen.at_s,
            seen.demand_per_s,
            queued,
            max(seen.ready_units - lost, 0),
            max(seen.ordered_units - lost, 0),
            seen.pending,
            seen.since_order_s,
            seen.demand_age_s,
        )
        begun, waits = self._tally[tick] - self._tally[max(tick - 1, 0)]
        return Seen(healthy, (self._speeds[known] > 0).astype(np.float64), begun, waits / np.maximum(begun, 1))


def apply(gateway: Gateway, settings: Settings, up: Floats) -> None:
    """Set the levers that a policy set."""
    gateway.see(up)
    if settings.weights is not None:
        gateway.weigh(settings.weights)
    if settings.room is not None:
        gateway.hold(settings.room)
    if settings.quota_per_s is not None:
        gateway.admit(settings.quota_per_s, SAVED_S)
    if settings.limit is not None:
        gateway.limit(settings.limit)


def demand_by_tick(stage: Stage) -> Floats:
    """Orders per second known at each tick: the mean over `observe_s` that ended `lag_s` before. Returns are not new orders."""
    window, lag = max(round(stage.observe_s / TICK_S), 1), round(stage.lag_s / TICK_S)
    before = np.full(window + lag, stage.before_per_s * TICK_S)
    total = np.concatenate(
        [[0.0], np.cumsum(np.concatenate([before, stage.orders.by_slot(TICK_S, 1 << 7).sum(axis=1)]))]
    )
    ends = np.arange(stage.ticks) + window
    return np.asarray((total[ends] - total[ends - window]) / (window * TICK_S))
