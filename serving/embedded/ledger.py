"""What became of orders, so that one that comes again is not sent again.

Decided here: an order is known by its account and its transaction's hash or idempotency key; while it is under way, whoever brings
it again shares its outcome; afterwards it is remembered for a time, as many as memory allows. The same transaction from another
account is another order, else a bystander could hold a stranger's order back in a slower tier; the chain itself takes it once.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from serving.embedded.refusals import Refused, unknown

UNKNOWN = unknown("").status


@dataclass(frozen=True, slots=True)
class Outcome:
    """An upstream's word: whether the order was accepted, the HTTP status, and the result or error as JSON."""

    accepted: bool
    status: int
    content: bytes


Told = Outcome | Refused
# When, the fingerprint, the status, the content: a tuple of plain values, which the garbage collector leaves alone.
Remembered = tuple[float, bytes, int, bytes]


@dataclass(slots=True)
class Underway:
    """An order under way; `fingerprint` tells another order that comes under the same key."""

    fingerprint: bytes
    sharers: list[asyncio.Future[Told]] = field(default_factory=list)

    async def share(self) -> Told:
        """Its outcome, once it is known."""
        future: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self.sharers.append(future)
        return await future


@dataclass(frozen=True, slots=True)
class Done:
    """An order whose outcome is remembered."""

    fingerprint: bytes
    told: Told

    async def share(self) -> Told:
        """Its outcome."""
        return self.told


class Ledger:
    """Orders under way and orders done. `now_s` must not run back."""

    def __init__(self, remember_s: float, most: int) -> None:
        self._remember_s, self._most = remember_s, most
        self._open: dict[str, Underway] = {}
        self._done: OrderedDict[str, Remembered] = OrderedDict()

    def find(self, key: str, now_s: float) -> Underway | Done | None:
        """An order of this key that is under way or remembered."""
        underway = self._open.get(key)
        if underway is not None:
            return underway
        found = self._done.get(key)
        if found is None or now_s - found[0] > self._remember_s:
            return None
        _, fingerprint, status, content = found
        told: Told = unknown(content.decode()) if status == UNKNOWN else Outcome(True, status, content)
        return Done(fingerprint, told)

    def begin(self, key: str, fingerprint: bytes = b"") -> None:
        """Note that an order is under way."""
        self._open[key] = Underway(fingerprint)

    def end(self, key: str, told: Told, now_s: float) -> None:
        """Note what became of it, and tell those who share it.

        What is remembered: an acceptance; of an order with a fingerprint also doubt, for sending it again might double it.
        """
        underway = self._open.pop(key)
        for sharer in underway.sharers:
            if not sharer.done():
                sharer.set_result(told)
        self._forget(now_s)
        if isinstance(told, Outcome) and told.accepted:
            self._done[key] = (now_s, underway.fingerprint, told.status, told.content)
        elif isinstance(told, Refused) and told.status == UNKNOWN and underway.fingerprint:
            self._done[key] = (now_s, underway.fingerprint, UNKNOWN, told.reason.encode())

    def __len__(self) -> int:
        """Orders under way and remembered."""
        return len(self._open) + len(self._done)

    def _forget(self, now_s: float) -> None:
        """Make room for one more."""
        while self._done:
            since_s = next(iter(self._done.values()))[0]
            if len(self._done) < self._most and now_s - since_s <= self._remember_s:
                return
            self._done.popitem(last=False)
