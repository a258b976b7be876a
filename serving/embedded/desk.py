"""The way of one order through the gateway: known already? → tier → gate → upstreams → what is remembered of it.

Decided here: an order is taken once under its key, whatever its client repeats; a read queues as the least urgent tier, so that
nobody's reads hold back an order; an order once let in is carried through even if its client has gone.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256

from serving.embedded.accounts import Account, Accounts
from serving.embedded.arrivals import Arrivals
from serving.embedded.forward import Forwarder, Question
from serving.embedded.gate import Gate
from serving.embedded.ledger import Ledger, Outcome, Told
from serving.embedded.metrics import GatewayMetrics
from serving.embedded.refusals import INVALID_REQUEST, Refused, invalid, unable
from shaper.admission import Order

LOG = logging.getLogger(__name__)
OUTCOME_OF_STATUS = {429: "too_much", 503: "unable", 504: "unknown"}
Send = Callable[[str, float], Awaitable[Told]]  # tier, until when


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, what it calls its order (which may only lower its tier), and how long it will wait (None: its tier's deadline)."""

    account: Account
    label: bytes | None = None
    patience_s: float | None = None


@dataclass
class Desk:
    """The parts that an order passes. `deadlines_s` by tier."""

    accounts: Accounts
    gate: Gate
    ledger: Ledger
    forwarder: Forwarder
    metrics: GatewayMetrics
    arrivals: Arrivals
    deadlines_s: dict[str, float]
    is_well: Callable[[], bool]
    loop: asyncio.AbstractEventLoop
    stopping: bool = False
    plan_id: str | None = None  # of the plan in force

    def __post_init__(self) -> None:
        """Number the orders that have no key of their own."""
        self._numbers = itertools.count()

    @property
    def takes_orders(self) -> bool:
        """Whether there is any use in sending one."""
        return not self.stopping and self.is_well()

    async def transaction(self, client: Client, signed: str, digest: str) -> Told:
        """A signed transaction, known by its hash."""
        tier = self.accounts.tier(client.account, False, client.label)

        def send(tier: str, until_s: float) -> Awaitable[Told]:
            return self.forwarder.transaction(tier, until_s, signed, digest)

        return await self._once(client, tier, digest, b"", send)

    async def order(self, client: Client, rests: bool, body: bytes, key: str | None) -> Told:
        """A REST order, known by its idempotency key if it has one."""
        tier = self.accounts.tier(client.account, rests, client.label)
        headers = client.account.header + (b"" if key is None else b"Idempotency-Key: %b\r\n" % key.encode())

        def send(tier: str, until_s: float) -> Awaitable[Told]:
            return self.forwarder.order(tier, until_s, body, headers)

        if key is None:
            return await self._passed(client, tier, self._number(client), send)
        return await self._once(client, tier, f"key {key}", sha256(body).digest(), send)

    async def read(self, client: Client, question: Question) -> Told:
        """A read."""

        def send(tier: str, until_s: float) -> Awaitable[Told]:
            return self.forwarder.read(tier, until_s, question)

        return await self._passed(client, self.accounts.tiers[-1], self._number(client), send)

    def _number(self, client: Client) -> str:
        return f"{client.account.name} {next(self._numbers)}"

    async def _once(self, client: Client, tier: str, name: str, fingerprint: bytes, send: Send) -> Told:
        """Take an order unless it was taken before under its name."""
        key = f"{client.account.name} {name}"
        known = self.ledger.find(key, self.loop.time())
        if known is not None:
            if known.fingerprint != fingerprint:
                return invalid(INVALID_REQUEST, "another order came under this idempotency key", 422)
            self.metrics.repeats.inc()
            return await known.share()
        self.ledger.begin(key, fingerprint)
        told: Told = unable("given up", 1.0)
        try:
            told = await self._passed(client, tier, key, send)
        finally:
            self.ledger.end(key, told, self.loop.time())
        return told

    async def _passed(self, client: Client, tier: str, key: str, send: Send) -> Told:
        """Through the gate, to an upstream, and counted."""
        arrived_s = self.loop.time()
        self.arrivals.count(arrived_s)
        told = await self._admitted(Order(key, client.account.name, tier, arrived_s), client.patience_s, send)
        outcome = outcome_of(told)
        self.metrics.orders[tier, outcome].inc()
        level = logging.WARNING if outcome == "unknown" else logging.DEBUG
        if LOG.isEnabledFor(level):
            about = {"order": key, "tier": tier, "outcome": outcome, "plan": self.plan_id}
            LOG.log(level, "order %s of tier %s: %s", key, tier, outcome, extra=about)
        return told

    async def _admitted(self, order: Order, patience_s: float | None, send: Send) -> Told:
        if self.stopping:
            return unable("the gateway is stopping", 1.0)
        if not self.is_well():
            return unable("no upstream is well", 1.0)
        deadline_s = self.deadlines_s[order.tier]
        until_s = order.arrived_at_s + (deadline_s if patience_s is None else min(patience_s, deadline_s))
        permit = await self.gate.enter(order, until_s)
        if isinstance(permit, Refused):
            return permit
        try:
            return await send(order.tier, until_s)
        finally:
            latency_s = self.gate.leave(permit)
            self.metrics.seconds[order.tier].observe(latency_s)
            if latency_s > deadline_s:
                self.metrics.late[order.tier].inc()


def outcome_of(told: Told) -> str:
    """What an outcome counts as."""
    if isinstance(told, Outcome):
        return "accepted" if told.accepted else "declined"
    return OUTCOME_OF_STATUS.get(told.status, "invalid")
