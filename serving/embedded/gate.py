"""The gate: the arithmetic of `shaper.admission` with a clock, and coroutines that wait at it.

Decided here: an order enters when admission lets it and an upstream has a place; one that waits is told as soon as it is let in,
dropped, evicted or too late. An order that need not wait costs neither a task nor a timer.
"""

import asyncio
from collections.abc import Callable

from serving.embedded.refusals import Refused, too_much, unable
from shaper.admission import Admission, Order, Permit, Queued, Refusal

PUMP_S = 0.002  # how often waiting orders are looked at while the plan's quotas, not the upstreams, hold them back
BUSY_S = 1.0  # when to come again after a place was lost to what is more urgent
OF_THE_ACCOUNT = "too many orders of this account wait"


class Waiting:
    """An order at the gate: its answer, or a future for it."""

    __slots__ = ("answer", "future", "timer")

    def __init__(self) -> None:
        self.answer: Permit | Refused | None = None
        self.future: asyncio.Future[Permit | Refused] | None = None
        self.timer: asyncio.TimerHandle | None = None

    def tell(self, answer: Permit | Refused) -> None:
        """Give the answer."""
        self.answer = answer
        if self.timer is not None:
            self.timer.cancel()
        if self.future is not None and not self.future.done():
            self.future.set_result(answer)


class Gate:
    """Orders that wait, and permits. `places` says how many orders upstreams take at once; times are the loop's.

    Permits are counted here, for an order that has one is under way before its upstream knows of it.
    """

    def __init__(self, admission: Admission, loop: asyncio.AbstractEventLoop, places: Callable[[], int]) -> None:
        self.admission = admission
        self._loop = loop
        self._places = places
        self._waiting: dict[str, Waiting] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.under_way = 0

    async def enter(self, order: Order, until_s: float) -> Permit | Refused:
        """Leave to be sent, or why not; waits at most until a time of the loop's."""
        waiting = self.offer(order)
        if isinstance(waiting, Refused):
            return waiting
        if waiting.answer is not None:
            return waiting.answer
        waiting.future = self._loop.create_future()
        waiting.timer = self._loop.call_at(until_s, self._late, order.key)
        try:
            return await waiting.future
        except asyncio.CancelledError:
            waiting.timer.cancel()
            self._waiting.pop(order.key, None)
            if isinstance(waiting.answer, Permit):
                self.leave(waiting.answer)
            raise

    def offer(self, order: Order) -> Waiting | Refused:
        """Put an order in the queue and let in whom there is room for, which may be this one."""
        at_s = self._loop.time()
        found = self.admission.offer(order, at_s)
        if isinstance(found, Refusal):
            return refused(found)
        waiting = self._waiting[order.key] = Waiting()
        self._lose(found)
        self.pump(at_s)
        return waiting

    def leave(self, permit: Permit) -> float:
        """Give a permit back; returns the order's latency in seconds."""
        at_s = self._loop.time()
        latency_s = self.admission.finish(permit, at_s)
        self.under_way -= 1
        if self.admission.waiting:
            self.pump(at_s)
        return latency_s

    def pump(self, at_s: float) -> None:
        """Let in as many as quotas and upstreams allow."""
        while self.admission.waiting and self.under_way < self._places():
            permit, dropped = self.admission.next(at_s)
            for order in dropped:
                self._tell(order, unable("waited too long in a queue that stands", BUSY_S))
            if permit is None:
                if self._timer is None and self.admission.waiting:
                    self._timer = self._loop.call_later(PUMP_S, self._again)
                return
            if self._tell(permit.order, permit):
                self.under_way += 1
            else:
                self.admission.give_up(permit)

    def empty(self, reason: str) -> None:
        """Refuse all that waits."""
        for waiting in list(self._waiting.values()):
            waiting.tell(unable(reason, BUSY_S))
        self._waiting.clear()

    @property
    def size(self) -> int:
        """Orders that wait for an answer."""
        return len(self._waiting)

    def _again(self) -> None:
        self._timer = None
        self.pump(self._loop.time())

    def _lose(self, queued: Queued) -> None:
        for order in queued.evicted:
            is_peer = order.tier == queued.order.tier
            why = "in a line that is full" if is_peer else "to a more urgent order"
            self._tell(order, unable(f"lost its place {why}", BUSY_S))

    def _late(self, key: str) -> None:
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.tell(unable("deadline has passed", 0.0))

    def _tell(self, order: Order, answer: Permit | Refused) -> bool:
        """Tell an order its answer; False when nobody waits for it any more."""
        waiting = self._waiting.pop(order.key, None)
        if waiting is None:
            return False
        waiting.tell(answer)
        return True


def refused(refusal: Refusal) -> Refused:
    """A refusal of admission as it is told."""
    tell = too_much if refusal.reason == OF_THE_ACCOUNT else unable
    return tell(refusal.reason, refusal.retry_after_s)
