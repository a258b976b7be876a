"""Liquidations as time goes on: whom the price reaches next, and how their forced orders move it.

Decided here: a forced order is worked off over some seconds from the step after the one whose price reached it; its impact on
ln price is linear in the notional (Kyle 1985), part of it lasts and the rest recovers; the other symbol feels a share.
"""

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.world.constants import Book
from data.world.noise import Series

Whole = NDArray[np.int64]
NEVER = int(np.iinfo(np.int64).max)
LONG, SHORT = 1, -1
LEAST_USD = 1.0  # smaller rests of a forced order are forgotten
NOBODY = (math.inf, -1)  # at the end of a heap, where no price comes


@dataclass(frozen=True)
class Holdings:
    """Positions of one symbol in the order of their entry: steps of entry and of leaving (if nothing happens), and sides.

    `entry` and `limit` are ln of the prices of entry and liquidation, without what impacts had added at the entry.
    """

    entered: Whole
    leaves: Whole
    side: Whole
    notional_usd: Series
    entry: Series
    limit: Series


@dataclass(frozen=True)
class Ledger:
    """What became of them: what impacts had added to ln price at each entry, and the step of each liquidation or NEVER."""

    holdings: Holdings
    shift: Series
    forced: Whole


class Desk:
    """One symbol while time goes on."""

    def __init__(self, log_price: Series, held: Holdings) -> None:
        self.held = held
        self.log_price: list[float] = log_price.tolist()
        self.entered: list[int] = [*held.entered.tolist(), NEVER]
        self.next = 0
        # Heaps of (key, place in the holdings), by which the nearest liquidation price comes first.
        self.longs, self.shorts = [NOBODY], [NOBODY]
        self.shift = np.zeros(len(held.entered))
        self.forced = np.full(len(held.entered), NEVER, np.int64)

    @property
    def ledger(self) -> Ledger:
        """What became of everybody."""
        return Ledger(self.held, self.shift, self.forced)

    def advance(self, step: int, shift: float) -> float:
        """Let newcomers in and liquidate whom the price has reached: USD to be sold, less USD to be bought."""
        while self.entered[self.next] <= step:
            self._let_in(self.next, shift)
            self.next += 1
        log_price = self.log_price[step] + shift
        sold = self._reach(self.longs, -log_price, step) if self.longs[0][0] <= -log_price else 0.0
        bought = self._reach(self.shorts, log_price, step) if self.shorts[0][0] <= log_price else 0.0
        return sold - bought

    def _let_in(self, who: int, shift: float) -> None:
        """One more position."""
        self.shift[who] = shift
        limit = float(self.held.limit[who]) + shift
        if self.held.side[who] == LONG:
            heapq.heappush(self.longs, (-limit, who))
        else:
            heapq.heappush(self.shorts, (limit, who))

    def _reach(self, heap: list[tuple[float, int]], bound: float, step: int) -> float:
        """Liquidate those of a heap up to a bound who have not left; their notional in USD."""
        total = 0.0
        while heap[0][0] <= bound:
            _, who = heapq.heappop(heap)
            if self.held.leaves[who] > step:
                self.forced[who] = step
                total += float(self.held.notional_usd[who])
        return total


class Impact:
    """What forced orders have done to ln of one price so far."""

    def __init__(self, book: Book, step_s: int) -> None:
        self.depth_usd, self.lasting = book.depth_usd, book.lasting
        self.kept = math.exp(-step_s / book.spread_s)
        self.faded = math.exp(-step_s / book.recovery_s)
        self.waiting_usd = 0.0  # still to be sold (below 0: bought)
        self.stays = self.recovers = 0.0

    def step(self, sold_usd: float) -> float:
        """Take an order in and work off part of what is waiting; the shift of ln price in the next step."""
        if self.waiting_usd or self.recovers or sold_usd:
            waiting_usd = self.waiting_usd + sold_usd
            pushed = -(1 - self.kept) * waiting_usd / self.depth_usd
            self.waiting_usd = self.kept * waiting_usd
            self.stays += self.lasting * pushed
            self.recovers = self.faded * self.recovers + (1 - self.lasting) * pushed
            if abs(self.waiting_usd) < LEAST_USD:
                self.waiting_usd = 0.0
            if abs(self.recovers) < LEAST_USD / self.depth_usd:
                self.recovers = 0.0
        return self.stays + self.recovers


def run(book: Book, desks: tuple[Desk, Desk], step_s: int) -> tuple[Series, Series]:
    """Let time go by at both desks; what impacts add to ln price at each step."""
    count = len(desks[0].log_price)
    impacts = (Impact(book, step_s), Impact(book, step_s))
    shifts = np.zeros((2, count))
    here, there = 0.0, 0.0
    for step in range(count):
        shifts[0, step], shifts[1, step] = here, there
        sold, other = desks[0].advance(step, here), desks[1].advance(step, there)
        here = impacts[0].step(sold + book.spill * other)
        there = impacts[1].step(other + book.spill * sold)
    return shifts[0], shifts[1]
