"""What is known of the gateway: what it reported last, and what its pool must be like if it did as planned.

Decided here: which of several sources of a measurement is believed, and for how long a report counts.
"""

from dataclasses import dataclass, field

import msgspec

from serving.demand import Rate
from serving.errors import RefusedError
from shaper.fees import ChainState
from shaper.observed import Observed
from shaper.plan import Plan
from shaper.venue import Pool, Venue

MOST = 1e9  # of anything that a gateway counts: more is a fault of whoever reports, and would outlast the report in the pool
REPORT_REVIEWS = 3  # a report older than this many reviews describes a gateway that is no more


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gateway says of itself now. What it leaves out is taken from the rows and from earlier plans.

    `demand_per_s` orders arriving a second; `queued` orders waiting by tier; `ready_units` serving units of the pool,
    `ordered_units` those and the ones on their way. `chain` is the state of the chain that fees are bid on.
    """

    demand_per_s: float | None = None
    queued: dict[str, float] = {}
    ready_units: int | None = None
    ordered_units: int | None = None
    chain: ChainState | None = None


@dataclass
class Lever:
    """The pool as it is if every plan was followed: units arrive a delay after they were ordered, releasing works at once."""

    pool: Pool
    ready: int
    pending: list[tuple[float, int]] = field(default_factory=list)
    last_order_s: float | None = None

    @property
    def ordered(self) -> int:
        """Units in place and on their way."""
        return self.ready + sum(units for _, units in self.pending)

    def land(self, at_s: float) -> None:
        """Count what has arrived by a time as ready."""
        self.ready += sum(units for due, units in self.pending if due <= at_s)
        self.pending = [(due, units) for due, units in self.pending if due > at_s]

    def follow(self, units: int, at_s: float) -> None:
        """Order or release the difference; what was ordered last is released first."""
        more = units - self.ordered
        if more > 0:
            self.pending.append((at_s + self.pool.actuation_delay_s, more))
            self.last_order_s = at_s
        while more < 0 and self.pending:
            due, waiting = self.pending.pop()
            kept = max(waiting + more, 0)
            more += waiting - kept
            if kept:
                self.pending.append((due, kept))
        self.ready += min(more, 0)

    def corrected(self, ready: int | None, ordered: int | None, at_s: float) -> "Lever":
        """The pool as it is counted; units whose arrival nobody told are taken to come half a delay from now."""
        if ready is None and ordered is None:
            return self
        waiting = self.ordered - self.ready
        ready = min(self.ready, ordered or 0) if ready is None else ready
        more = waiting if ordered is None else ordered - ready
        known = more == waiting
        pending = [*self.pending] if known else [(at_s + self.pool.actuation_delay_s / 2, more)]
        return Lever(self.pool, ready, pending if more else [], self.last_order_s)


@dataclass
class Gateway:
    """The venue's measured state, for the next plan."""

    venue: Venue
    lever: Lever
    report: Report = field(default_factory=Report)
    reported_s: float = float("-inf")

    @classmethod
    def of(cls, venue: Venue) -> "Gateway":
        """A gateway that has not reported: the pool at its least, no queues."""
        return cls(venue, Lever(venue.pool, venue.pool.min_units))

    def take(self, report: Report, at_s: float) -> None:
        """Believe a report from now on. Raises RefusedError, and changes nothing, when it says what cannot be."""
        tiers = [tier.name for tier in self.venue.tiers]
        unknown = sorted(set(report.queued) - set(tiers))
        if unknown:
            raise RefusedError(
                "queued", expected=f"tiers among {tiers}", found=str(unknown), remedy="use the venue's names"
            )
        largest = max(
            report.demand_per_s or 0.0, report.ready_units or 0, report.ordered_units or 0, *report.queued.values()
        )
        if largest > MOST:
            raise RefusedError("report", expected=f"numbers up to {MOST:g}", found="a larger one", remedy="correct it")
        lever = self.lever.corrected(report.ready_units, report.ordered_units, at_s)
        try:
            observed(lever, report, Rate(report.demand_per_s or 0.0, at_s), at_s)
        except ValueError as error:
            raise RefusedError(
                "report", expected="counts that can be", found=str(error), remedy="correct the report"
            ) from error
        self.lever, self.report, self.reported_s = lever, report, at_s

    def current(self, at_s: float) -> Report:
        """The last report, or an empty one when it is too old to count."""
        return self.report if abs(at_s - self.reported_s) <= REPORT_REVIEWS * self.venue.review_s else Report()

    def demand(self, at_s: float) -> Rate | None:
        """Demand that the gateway told."""
        told = self.current(at_s).demand_per_s
        return None if told is None else Rate(told, self.reported_s)

    def observed(self, at_s: float, demand: Rate) -> Observed:
        """The measurement that a plan starts from."""
        self.lever.land(at_s)
        return observed(self.lever, self.current(at_s), demand, at_s)

    def settle(self, venue: Venue) -> None:
        """Go on with another venue; its pool has the units that the present one has."""
        lever = self.lever
        self.venue = venue
        self.lever = Lever(venue.pool, lever.ready, lever.pending, lever.last_order_s)
        known = {tier.name for tier in venue.tiers}
        queued = {tier: orders for tier, orders in self.report.queued.items() if tier in known}
        self.report = msgspec.structs.replace(self.report, queued=queued)

    def turn_back(self, at_s: float) -> None:
        """The clock went back to a time: no unit is further away than the delay, and nothing was ordered or reported later."""
        lever, latest = self.lever, at_s + self.lever.pool.actuation_delay_s
        pending = [(min(due, latest), units) for due, units in lever.pending]
        ordered = None if lever.last_order_s is None else min(lever.last_order_s, at_s)
        self.lever = Lever(lever.pool, lever.ready, pending, ordered)
        self.reported_s = min(self.reported_s, at_s)

    def follow(self, plan: Plan) -> None:
        """Take the capacity of a plan as ordered."""
        for setting in plan.capacity:
            self.lever.follow(setting.units, plan.valid_from_s)


def observed(lever: Lever, report: Report, demand: Rate, at_s: float) -> Observed:
    """A measurement made of the pool, a report's queues and a demand. Raises ObservedError for counts that cannot be."""
    return Observed(
        at_s=at_s,
        demand_per_s=demand.per_s,
        queued=tuple(sorted(report.queued.items())),
        ready_units=lever.ready,
        ordered_units=lever.ordered,
        pending=tuple(lever.pending),
        since_order_s=None if lever.last_order_s is None else at_s - lever.last_order_s,
        demand_age_s=max(at_s - demand.at_s, 0.0),
        chain=report.chain,
    )
