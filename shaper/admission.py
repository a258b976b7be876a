"""Who may enter and who is next: the gateway's decision per order, as values.

Decided here: strict class within the plan's quotas, so that a tier beyond its quota yields to those within theirs; fair turns among
accounts; newest first and CoDel while a queue is bad; memory that is bounded, where the least urgent tier's longest line loses
first; and lines as long as the plan says, in which the account that holds most yields to one that holds less. A refusal is a value;
a permit is the only way to report a latency.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shaper.buckets import Hierarchy
from shaper.codel import Codel
from shaper.fairness import FairQueue
from shaper.venue import Tier


class PermitError(ValueError):
    """A permit that was never issued, or was used before."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a verified account, in the tier of `classes.tier_of`, that arrived at a time."""

    key: str
    account: str
    tier: str
    arrived_at_s: float
    work: float = 1.0


@dataclass(frozen=True, slots=True)
class Queued:
    """An order that waits; `evicted` are those that lost their place for it."""

    order: Order
    evicted: tuple[Order, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order was not taken, and when to ask again."""

    order: Order
    reason: str
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to be served, from `issued_at_s`; give it back with `Admission.finish`."""

    number: int
    order: Order
    issued_at_s: float
    deadline_at_s: float


class Admission:
    """The state of one gateway. Times must not run back.

    `tiers` in the order of service, `rates_per_s` their quotas, `most_orders` the orders that may wait in all. `account_share` of
    the places is the most that one account may hold.
    """

    def __init__(
        self,
        tiers: tuple[Tier, ...],
        rates_per_s: Mapping[str, float],
        at_s: float,
        most_orders: int = 10_000,
        account_share: float = 0.25,
    ) -> None:
        self._order = tuple(tier.name for tier in tiers)
        self._deadlines = {tier.name: tier.deadline_s for tier in tiers}
        self._queues: dict[str, FairQueue[Order]] = {name: FairQueue() for name in self._order}
        self._codels = {tier.name: Codel(tier.deadline_s) for tier in tiers}
        self._quotas = Hierarchy({name: rates_per_s.get(name, 0.0) for name in self._order}, 1.0, at_s)
        self._lines: Mapping[str, int | None] = {}
        self._most, self._most_each = most_orders, max(int(most_orders * account_share), 1)
        self._open: dict[int, Permit] = {}
        self._issued = self.waiting = 0

    def follow(
        self, rates_per_s: Mapping[str, float], at_s: float, lines: Mapping[str, int | None] | None = None
    ) -> None:
        """Take the quotas of a new plan, orders per second by tier in the order of service; tiers it leaves out come last.

        `lines` says how many orders of a tier may wait (None, or left out: as many as in all). Who waits already may stay.
        """
        self._lines = lines or {}
        self._order = (
            *(name for name in rates_per_s if name in self._queues),
            *(name for name in self._order if name not in rates_per_s),
        )
        self._quotas.feed(rates_per_s, at_s)

    def offer(self, order: Order, at_s: float) -> Queued | Refusal:
        """Let an order wait, or refuse it."""
        queue = self._queues.get(order.tier)
        if queue is None:
            return Refusal(order, f"unknown tier {order.tier}", 0.0)
        if not 0 < order.work < 1e6:
            return Refusal(order, "work must be positive and finite", 0.0)
        if at_s - order.arrived_at_s > self._deadlines[order.tier]:
            return Refusal(order, "deadline has passed", 0.0)
        if queue.length(order.account) >= self._most_each:
            return Refusal(order, "too many orders of this account wait", self._retry_s(order.tier))
        evicted = self._place_for(order, queue)
        if isinstance(evicted, str):
            return Refusal(order, evicted, self._retry_s(order.tier))
        queue.push(order)
        self.waiting += 1
        return Queued(order, evicted)

    def next(self, at_s: float) -> tuple[Permit | None, tuple[Order, ...]]:
        """Leave for the most urgent order to be served now, and the orders dropped on the way.

        None: none waits, or the plan's capacity for now is used up.
        """
        dropped: list[Order] = []
        for borrow in (False, True):
            for name in self._order:
                queue = self._queues[name]
                if queue.size == 0 or not self._quotas.may(name, borrow, at_s):
                    continue
                order = self._take(name, queue, at_s, dropped)
                if order is not None:
                    self._quotas.spend(name, order.work)
                    return self._permit(order, at_s), tuple(dropped)
        return None, tuple(dropped)

    def finish(self, permit: Permit, at_s: float) -> float:
        """Give a permit back and learn the order's latency in seconds. Raises PermitError for one that is not open."""
        if self._open.pop(permit.number, None) is not permit:
            raise PermitError(f"expected a permit that is open, found number {permit.number}: report each once")
        return at_s - permit.order.arrived_at_s

    def give_up(self, permit: Permit) -> None:
        """Take a permit back whose order is no longer wanted, with the capacity that it was charged. Raises PermitError."""
        self.finish(permit, permit.issued_at_s)
        self._quotas.spend(permit.order.tier, -permit.order.work)

    def queued(self) -> tuple[tuple[str, float], ...]:
        """Orders waiting by tier, as `Observed.queued` takes them."""
        return tuple((name, float(self._queues[name].size)) for name in self._order)

    def _take(self, name: str, queue: FairQueue[Order], at_s: float, dropped: list[Order]) -> Order | None:
        codel, deadline = self._codels[name], self._deadlines[name]
        oldest = queue.oldest()
        if oldest is not None and codel.drops(at_s - oldest.arrived_at_s, at_s) and queue.size > 1:
            self._drop(queue.drop_oldest(), dropped)
        while True:
            order = queue.pop(newest=codel.dropping)
            if order is None:
                return None
            if at_s - order.arrived_at_s <= deadline:
                self.waiting -= 1
                return order
            self._drop(order, dropped)

    def _drop(self, order: Order | None, dropped: list[Order]) -> None:
        if order is not None:
            self.waiting -= 1
            dropped.append(order)

    def _place_for(self, order: Order, queue: FairQueue[Order]) -> tuple[Order, ...] | str:
        """The orders that make room for one; or why there is none."""
        line = self._lines.get(order.tier)
        if line is not None and queue.size >= line:
            victim, why = self._yielding(order, queue), "as many orders of the tier wait as can be served in time"
        elif self.waiting >= self._most:
            victim, why = self._victim(order), "queue full of orders as urgent"
        else:
            return ()
        return why if victim is None else (victim,)

    def _yielding(self, order: Order, queue: FairQueue[Order]) -> Order | None:
        """Who leaves a full line: the oldest order of the account that holds most, where that is fairer or the newest go first."""
        if not self._codels[order.tier].dropping and queue.longest <= queue.length(order.account) + 1:
            return None
        self.waiting -= 1
        return queue.drop_of_longest()

    def _victim(self, order: Order) -> Order | None:
        """The oldest order of the longest line of the least urgent tier, unless all are more urgent or no line is longer."""
        for name in reversed(self._order):
            queue = self._queues[name]
            if queue.size:
                victim = queue.drop_of_longest()
                self.waiting -= 1
                return victim
            if name == order.tier:
                break
        return None

    def _permit(self, order: Order, at_s: float) -> Permit:
        self._issued += 1
        permit = Permit(self._issued, order, at_s, order.arrived_at_s + self._deadlines[order.tier])
        self._open[permit.number] = permit
        return permit

    def _retry_s(self, tier: str) -> float:
        """Seconds until the tier's quota has served what waits in it, at most its deadline."""
        rate = self._quotas.tiers[tier].rate_per_s
        return min(self._queues[tier].work / rate, self._deadlines[tier]) if rate > 0 else self._deadlines[tier]
