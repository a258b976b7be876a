"""One run of a policy over a trace: the loop of measuring, setting and serving, and its price."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shaper.replay.pipeline import Pipeline
from shaper.replay.policies import Policy
from shaper.replay.simulator import Queues, advance, open_queues
from shaper.replay.trace import Floats, ReplayError, Trace
from shaper.venue import Venue

Progress = Callable[[float, str], None]  # share done, 0..1, and what is being done


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is the same for every policy of a replay.

    Demand is measured over `observe_s` and known `lag_s` later, as are forecasts. `noise` stretches actuation delays (see
    Pipeline) with draws from `seed`; `initial_units` are ready at the start; `before_per_s` is the demand before the trace.
    """

    venue: Venue
    observe_s: float
    lag_s: float
    noise: float
    seed: int
    initial_units: int
    before_per_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What happened: units ordered and ready by slot (slots,), and the books of the queues."""

    ordered: Floats
    ready: Floats
    queues: Queues


@dataclass(frozen=True, slots=True, eq=False)
class Price:
    """Costs in USD: delay and rejection by tier (tiers,), as in the venue, and capacity."""

    delay: Floats
    rejection: Floats
    capacity: float

    @property
    def total(self) -> float:
        """All costs together."""
        return float(self.delay.sum() + self.rejection.sum() + self.capacity)


def review_slots(venue: Venue, slot_s: float) -> int:
    """Slots per review. Raises ReplayError unless the review is a whole number of slots."""
    count = round(venue.review_s / slot_s)
    if count < 1 or abs(count * slot_s - venue.review_s) > 1e-6:
        raise ReplayError(f"expected a review_s that is a multiple of the slot of {slot_s} s, found {venue.review_s}")
    return count


def simulate(given: Circumstances, trace: Trace, policy: Policy) -> Course:
    """Run a policy over a trace.

    Raises ReplayError when the review is no multiple of the slot or the trace has other tiers than the venue.
    """
    venue, step = given.venue, review_slots(given.venue, trace.slot_s)
    if trace.work.shape[1] != len(venue.tiers):
        raise ReplayError(f"expected work of {len(venue.tiers)} tiers, found {trace.work.shape[1]}")
    queues = open_queues(venue, trace)
    pipeline = Pipeline(venue.pool, trace.slot_s, given.initial_units, given.noise, given.seed)
    ordered, ready = np.empty(trace.slots), np.empty(trace.slots)
    measured = measured_demand(given, trace)
    names = [tier.name for tier in venue.tiers]
    for review, first in enumerate(range(0, trace.slots, step)):
        last = min(first + step, trace.slots)
        pipeline.land(first)
        waiting = queues.backlog[first - 1].tolist() if first else [0.0] * len(names)
        seen = (
            first,
            trace.start_s + first * trace.slot_s,
            float(measured[review]),
            tuple(zip(names, waiting, strict=True)),
        )
        pipeline.set(first, policy.units(pipeline.observed(*seen, given.lag_s + given.observe_s / 2)))
        ready[first:last] = pipeline.ready_by_slot(first, last - first)
        ordered[first:last] = pipeline.ordered
        advance(queues, first, ready[first:last] * venue.pool.unit_rate_per_s * trace.slot_s)
    return Course(ordered, ready, queues)


def measured_demand(given: Circumstances, trace: Trace) -> Floats:
    """Orders per second known at each review: the mean over `observe_s` that ended `lag_s` before it."""
    window, lag = max(round(given.observe_s / trace.slot_s), 1), round(given.lag_s / trace.slot_s)
    before = np.full(window + lag, given.before_per_s * trace.slot_s)
    total = np.concatenate([[0.0], np.cumsum(np.concatenate([before, trace.total]))])
    ends = np.arange(0, trace.slots, review_slots(given.venue, trace.slot_s)) + window
    return np.asarray(np.maximum(total[ends] - total[ends - window], 0.0) / (window * trace.slot_s))


def price(given: Circumstances, trace: Trace, course: Course) -> Price:
    """What a course costs: orders waiting at the end of each slot, orders expired, units ordered."""
    return price_of(given.venue, trace.slot_s, course.queues.backlog, course.queues.expired, course.ordered)


def price_of(venue: Venue, slot_s: float, backlog: Floats, lost: Floats, ordered: Floats) -> Price:
    """The price of queues and losses (slots, tiers) and of units ordered (slots,)."""
    delay = np.array([tier.delay_cost_usd_per_s for tier in venue.tiers])
    reject = np.array([tier.reject_cost_usd for tier in venue.tiers])
    return Price(
        delay=backlog.sum(axis=0) * slot_s * delay,
        rejection=lost.sum(axis=0) * reject,
        capacity=float(ordered.sum() * slot_s * venue.pool.cost_usd_per_unit_s),
    )


def cost_by_slot(venue: Venue, slot_s: float, backlog: Floats, lost: Floats, ordered: Floats) -> Floats:
    """The same price slot by slot (slots,), in USD: it sums to the total."""
    delay = np.array([tier.delay_cost_usd_per_s for tier in venue.tiers])
    reject = np.array([tier.reject_cost_usd for tier in venue.tiers])
    return np.asarray((backlog @ delay + ordered * venue.pool.cost_usd_per_unit_s) * slot_s + lost @ reject, np.float64)


def silent(done: float, doing: str) -> None:
    """A progress callback that says nothing."""
