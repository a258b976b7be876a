"""A fair queue inside a tier: accounts in turn, each by the work it asks for.

Deficit round robin (Shreedhar, Varghese 1995): each turn adds a quantum to an account's credit, and its orders are served while the
credit lasts. Splitting an order into small ones gains nothing, for credit is work; flooding fills only the flooder's own line,
and when memory is short it is the longest line that loses (as in FQ-CoDel, RFC 8290 §4.1).
"""

import math
from collections import deque
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """What a queue must know of an order."""

    @property
    def account(self) -> str:
        """Whose it is: the verified owner, not a name a client may choose."""

    @property
    def work(self) -> float:
        """Capacity it takes."""


Item = TypeVar("Item", bound=Sized)


class FairQueue(Generic[Item]):
    """Orders by account. `quantum` is the credit of one turn, best the work of a usual order."""

    __slots__ = ("_credit", "_lengths", "_lines", "_longest", "_quantum", "size", "work")

    def __init__(self, quantum: float = 1.0) -> None:
        self._quantum, self.size, self.work = quantum, 0, 0.0
        self._lines: dict[str, deque[Item]] = {}  # in the order of turns
        self._credit: dict[str, float] = {}
        self._lengths: dict[int, dict[str, None]] = {}  # accounts by the length of their line
        self._longest = 0

    def push(self, item: Item) -> None:
        """Queue an order at the end of its account's line."""
        line = self._lines.get(item.account)
        if line is None:
            line = self._lines[item.account] = deque()
            self._credit[item.account] = 0.0
        line.append(item)
        self._moved(item.account, len(line) - 1, len(line))
        self.size += 1
        self.work += item.work

    def pop(self, newest: bool = False) -> Item | None:
        """The next order: of the account whose turn it is, its oldest or its newest."""
        tried = 0
        while self._lines:
            account = next(iter(self._lines))
            line, credit = self._lines[account], self._credit[account]
            item = line[-1] if newest else line[0]
            if credit >= item.work:
                self._credit[account] = credit - item.work
                return self._taken(account, newest)
            self._credit[account] = credit + self._quantum
            self._lines[account] = self._lines.pop(account)  # to the end of the turns
            tried += 1
            if tried == len(self._lines):
                self._skip_turns(newest)
        return None

    def oldest(self) -> Item | None:
        """The order that has waited longest in the line whose turn it is."""
        for line in self._lines.values():
            return line[0]
        return None

    def drop_oldest(self) -> Item | None:
        """Remove `oldest`."""
        return self._taken(next(iter(self._lines)), False) if self._lines else None

    def drop_of_longest(self) -> Item | None:
        """Remove the oldest order of the account with the longest line; ties go to the first that became as long."""
        return self._taken(next(iter(self._lengths[self._longest])), False) if self.size else None

    @property
    def longest(self) -> int:
        """Orders of the account that has most waiting."""
        return self._longest if self.size else 0

    def length(self, account: str) -> int:
        """Orders that an account has waiting."""
        return len(self._lines.get(account, ()))

    def _skip_turns(self, newest: bool) -> None:
        """Give every account the turns that pass until the first of them can be served: large orders need many."""
        lacks = ((line[-1] if newest else line[0]).work - self._credit[name] for name, line in self._lines.items())
        turns = max(math.ceil(min(lacks) / self._quantum) - 1, 0)
        for name in self._credit:
            self._credit[name] += turns * self._quantum

    def _taken(self, account: str, newest: bool) -> Item:
        line = self._lines[account]
        item = line.pop() if newest else line.popleft()
        self._moved(account, len(line) + 1, len(line))
        if not line:
            del self._lines[account], self._credit[account]
        self.size -= 1
        self.work -= item.work
        return item

    def _moved(self, account: str, before: int, after: int) -> None:
        if before:
            del self._lengths[before][account]
            if not self._lengths[before]:
                del self._lengths[before]
        if after:
            self._lengths.setdefault(after, {})[account] = None
        if after > self._longest or self._longest not in self._lengths:
            self._longest = after
