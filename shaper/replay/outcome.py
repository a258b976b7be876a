"""What a replay reports of one policy: money by cause and tier, punctuality, and the series behind it."""

from dataclasses import dataclass

import numpy as np

from shaper.replay.clairvoyant import Optimum
from shaper.replay.course import Course, Price, cost_by_slot
from shaper.replay.trace import Floats, Trace
from shaper.venue import Venue


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """For plots and intervals, by slot: orders per second that came, could be served and were provided for, orders waiting,
    orders lost, and what the slot cost.
    """  # noqa: D205 - one sentence

    demand_per_s: Floats
    ready_per_s: Floats
    ordered_per_s: Floats
    queued: Floats
    lost: Floats
    cost_usd: Floats


@dataclass(frozen=True, slots=True)
class Service:
    """Share of each tier's orders served by their deadline, of those whose fate is known, and the top tier's waits in seconds."""

    on_time: tuple[tuple[str, float], ...]
    wait_p50_s: float | None
    wait_p99_s: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One policy's result in USD; tiers in the order of service.

    `by_cause` is delay, rejection and capacity, `by_tier` delay and rejection of each tier; `regret` is cost over the
    clairvoyant's, less 1 (None where that was not asked for). Waits are of orders served or expired; the clairvoyant has
    none, as its programme does not say which order waits. `fallback_share` is the share of reviews at which the forecast
    could not lead (0 for other policies); `settings` says what was tuned.
    """

    policy: str
    settings: str
    cost_usd: float
    by_cause: tuple[tuple[str, float], ...]
    by_tier: tuple[tuple[str, float], ...]
    regret: float | None
    service: Service
    fallback_share: float
    series: Series


@dataclass(frozen=True, slots=True, eq=False)
class Books:
    """Units ready and ordered by slot (slots,), and orders waiting and lost by slot and tier (slots, tiers)."""

    ready: Floats
    ordered: Floats
    queue: Floats
    lost: Floats


@dataclass(frozen=True, slots=True)
class Label:
    """What an outcome is called, how it was tuned, what it is compared with (USD), and how often a forecast could not lead."""

    policy: str
    settings: str
    bound_usd: float | None
    fallback_share: float = 0.0


def of_course(venue: Venue, trace: Trace, course: Course, price: Price, label: Label) -> Outcome:
    """The outcome of a policy that the simulator played."""
    queues = course.queues
    served, expired = queues.served.sum(axis=0), queues.expired.sum(axis=0)
    waits = queues.waits[venue.tiers.index(venue.by_priority[0])]
    service = Service(
        on_time=by_tier(venue, served / np.maximum(served + expired, 1e-12)),
        wait_p50_s=quantile_slots(waits, 0.5) * trace.slot_s,
        wait_p99_s=quantile_slots(waits, 0.99) * trace.slot_s,
    )
    return _outcome(
        venue,
        label,
        price,
        service,
        _series(venue, trace, Books(course.ready, course.ordered, queues.backlog, queues.expired)),
    )


def of_optimum(venue: Venue, trace: Trace, best: Optimum) -> Outcome:
    """The outcome of the clairvoyant bound."""
    orders = np.maximum(trace.work.sum(axis=0), 1e-12)
    service = Service(by_tier(venue, 1 - best.given_up.sum(axis=0) / orders), None, None)
    label = Label("clairvoyant", "knows every order in advance", best.price.total)
    return _outcome(
        venue,
        label,
        best.price,
        service,
        _series(venue, trace, Books(best.ready, best.ordered, best.queue, best.given_up)),
    )


def by_tier(venue: Venue, values: Floats) -> tuple[tuple[str, float], ...]:
    """Values of the venue's tiers, named, in the order of service."""
    named = {tier.name: float(value) for tier, value in zip(venue.tiers, values, strict=True)}
    return tuple((tier.name, named[tier.name]) for tier in venue.by_priority)


def quantile_slots(counts: Floats, level: float) -> int:
    """Fewest slots that a share `level` of the orders waited at most, from orders counted by slots waited; 0 for none."""
    total = np.cumsum(counts)
    return int(np.searchsorted(total, level * total[-1] - 1e-9))


def _outcome(venue: Venue, label: Label, price: Price, service: Service, series: Series) -> Outcome:
    bound = label.bound_usd
    return Outcome(
        policy=label.policy,
        settings=label.settings,
        cost_usd=price.total,
        by_cause=(
            ("delay", float(price.delay.sum())),
            ("rejection", float(price.rejection.sum())),
            ("capacity", price.capacity),
        ),
        by_tier=by_tier(venue, price.delay + price.rejection),
        regret=None if bound is None or bound <= 0 else price.total / bound - 1,
        service=service,
        fallback_share=label.fallback_share,
        series=series,
    )


def _series(venue: Venue, trace: Trace, books: Books) -> Series:
    rate = venue.pool.unit_rate_per_s
    return Series(
        demand_per_s=trace.total / trace.slot_s,
        ready_per_s=books.ready * rate,
        ordered_per_s=books.ordered * rate,
        queued=np.asarray(books.queue.sum(axis=1), dtype=np.float64),
        lost=np.asarray(books.lost.sum(axis=1), dtype=np.float64),
        cost_usd=cost_by_slot(venue, trace.slot_s, books.queue, books.lost, books.ordered),
    )
