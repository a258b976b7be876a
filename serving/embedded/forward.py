"""Sending on what was let in: to one upstream, to another where that is safe, to two for a read that takes long.

Decided here: a signed transaction may be sent again, for its hash makes it the same one ("already known" is success); a REST order
only when the request certainly was not sent; a read always. Retries and hedges spend from one budget, so that an upstream in
trouble is not met with a multiple of the load.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from serving.embedded import rpc
from serving.embedded.ledger import Outcome, Told
from serving.embedded.metrics import GatewayMetrics
from serving.embedded.refusals import unable, unknown
from serving.embedded.router import NONE, Router
from serving.embedded.upstreams import Answered, Attempt, Failed, Upstream

BUDGET = 20.0  # retries that may be had at once before orders have paid for them
AGAIN_S = 1.0
BUSY = 429


@dataclass(frozen=True, slots=True)
class Question:
    """A read: what is asked, and what makes an answer sound (None: it is not)."""

    method: str
    body: bytes
    path: str
    judge: Callable[[Answered], Outcome | None]


class Budget:
    """Each order pays a share of a retry; a retry takes a whole one."""

    def __init__(self, share: float) -> None:
        self._share, self._left = share, BUDGET if share else 0.0

    def pay(self) -> None:
        """An order pays its share."""
        self._left = min(self._left + self._share, BUDGET)

    def take(self) -> bool:
        """Whether there may be one more."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Forwarder:
    """Attempts at upstreams for orders that hold a permit."""

    def __init__(self, router: Router, metrics: GatewayMetrics, attempts: int, hedge_s: float, budget: Budget) -> None:
        self._router, self._metrics, self._attempts = router, metrics, attempts
        self._hedge_s, self._budget = hedge_s, budget

    async def transaction(self, tier: str, until_s: float, signed: str, digest: str) -> Told:
        """Send a signed transaction until an upstream says that it is in, or that it cannot be."""
        body, tried, doubt = rpc.transaction_request(signed), NONE, ""
        self._budget.pay()
        for number in range(self._attempts):
            chosen = self._next(tier, tried, number)
            if chosen is None:
                break
            up, tried = self._router.upstreams[chosen], tried | {chosen}
            attempt = await self._send(up, "POST", body, until_s)
            if isinstance(attempt, Answered):
                told = self._verdict(up, attempt, digest)
                if told is None:
                    doubt = doubt or f"{up.name} gave no sound answer"
                elif told.accepted or (told.status != BUSY and not doubt):
                    return told
            elif attempt.sent:
                doubt = doubt or f"{up.name}: {attempt.why}"
        if doubt:
            return unknown(
                f"sent, but whether it is in is unknown ({doubt}); send the same transaction again or ask for its hash"
            )
        return unable("no upstream took it", AGAIN_S)

    async def order(self, tier: str, until_s: float, body: bytes, headers: bytes) -> Told:
        """Send a REST order; again only if the upstream was never reached."""
        tried = NONE
        self._budget.pay()
        for number in range(self._attempts):
            chosen = self._next(tier, tried, number)
            if chosen is None:
                break
            up, tried = self._router.upstreams[chosen], tried | {chosen}
            attempt = await self._send(up, "POST", body, until_s, "/orders", headers)
            if isinstance(attempt, Answered):
                if attempt.status < 500 and is_json(attempt.body):
                    up.trust(attempt)
                    return Outcome(attempt.status < 300, attempt.status, attempt.body)
                up.distrust()
                return unknown(
                    f"{up.name} answered {attempt.status} without saying what became of the order; ask it by its key"
                )
            if attempt.sent:
                return unknown(f"sent to {up.name}, no answer ({attempt.why}); ask it by its key")
        return unable("no upstream took it", AGAIN_S)

    async def read(self, tier: str, until_s: float, question: Question) -> Told:
        """The first sound answer of one upstream, or of two when the first takes long."""
        self._budget.pay()
        under_way: set[asyncio.Task[Outcome | None]] = set()
        tried = NONE
        try:
            for number in range(self._attempts):
                chosen = self._next(tier, tried, number)
                if chosen is None:
                    break
                if under_way:
                    self._metrics.hedges.inc()
                up, tried = self._router.upstreams[chosen], tried | {chosen}
                under_way.add(asyncio.create_task(self._asked(up, question, until_s)))
                told, under_way = await first_sound(under_way, self._hedge_s)
                if told is not None:
                    return told
            told, under_way = await first_sound(under_way, None)
        finally:
            for task in under_way:
                task.cancel()
        return told or unable("no upstream answered", AGAIN_S)

    def _next(self, tier: str, tried: frozenset[int], number: int) -> int | None:
        """Where to try next, None when the budget or the upstreams are used up."""
        if number == 0:
            return self._router.pick(tier)
        chosen = self._router.pick(tier, tried)
        if chosen is None or not self._budget.take():
            return None
        self._metrics.retries.inc()
        return chosen

    async def _send(
        self, up: Upstream, method: str, body: bytes, until_s: float, path: str = "", headers: bytes = b""
    ) -> Attempt:
        attempt = await up.send(method, body, until_s, path, headers)
        outcome = "answered"
        if isinstance(attempt, Failed):
            outcome = "failed" if attempt.sent else "unsent"
            if attempt.blame:
                up.distrust()
        self._metrics.attempts[up.name, outcome].inc()
        return attempt

    async def _asked(self, up: Upstream, question: Question, until_s: float) -> Outcome | None:
        attempt = await self._send(up, question.method, question.body, until_s, question.path)
        if not isinstance(attempt, Answered):
            return None
        told = question.judge(attempt)
        if told is None:
            up.distrust()
        else:
            up.trust(attempt)
        return told

    def _verdict(self, up: Upstream, answer: Answered, digest: str) -> Outcome | None:
        """What an answer says of a transaction; None for one that says nothing one may rely on."""
        reply = rpc.read_reply(answer.body) if answer.status < 500 else None
        if answer.status == BUSY or (reply is not None and rpc.is_busy(reply)):
            up.distrust()
            return Outcome(False, BUSY, b"")
        if reply is None or not (rpc.has_error(reply) or rpc.is_accepted(reply, digest)):
            up.distrust()
            return None
        up.trust(answer)
        if rpc.is_accepted(reply, digest):
            return Outcome(True, 200, b'"%b"' % digest.encode())
        return Outcome(False, 200, bytes(reply.error))


async def first_sound(
    tasks: set[asyncio.Task[Outcome | None]], within_s: float | None
) -> tuple[Outcome | None, set[asyncio.Task[Outcome | None]]]:
    """The first answer among tasks that is one, within a time (None: all of theirs), and the tasks that still run."""
    left = set(tasks)
    while left:
        done, left = await asyncio.wait(left, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        found = next((told for told in (task.result() for task in done) if told is not None), None)
        if found is not None or not done:
            return found, left
    return None, left


def judged_rpc(answer: Answered) -> Outcome | None:
    """A read's answer by JSON-RPC; a node's error is an answer too."""
    reply = rpc.read_reply(answer.body) if answer.status < 500 else None
    if reply is None:
        return None
    return Outcome(False, 200, bytes(reply.error)) if rpc.has_error(reply) else Outcome(True, 200, bytes(reply.result))


def judged_rest(answer: Answered) -> Outcome | None:
    """A read's answer by REST."""
    if answer.status >= 500 or not is_json(answer.body):
        return None
    return Outcome(answer.status < 300, answer.status, answer.body)


def is_json(body: bytes) -> bool:
    """Whether a body is JSON."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
