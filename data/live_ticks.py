"""The tick table of a running process: columns that grow by a tick and lose their oldest without being copied each time.

Decided here: tables of one process may share memory. Forgetting gives another, shorter table; what is appended to one is not
for those that were longer, so of the tables made of one another only the newest may be appended to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.spans import Columns
from data.timeline import TICK


@dataclass(frozen=True)
class LiveTicks:
    """`length` ticks of `names`, contiguous, the newest ending at `end_ms`; `memory` is (columns, places)."""

    names: Sequence[str]
    tick_ms: int
    memory: NDArray[np.float64]
    length: int = 0
    end_ms: int = 0

    @property
    def start_ms(self) -> int:
        """END of the oldest tick."""
        return self.end_ms - (self.length - 1) * self.tick_ms

    def table(self, ticks: int) -> dict[str, NDArray[Any]]:
        """The columns up to the tick at which so many are there, and `tick` in ms since 1970."""
        columns = dict(zip(self.names, self.memory[:, :ticks], strict=True))
        return {**columns, TICK: np.arange(self.start_ms, self.start_ms + ticks * self.tick_ms, self.tick_ms)}

    def row(self, place: int, names: Sequence[str]) -> list[float]:
        """Values of some columns, or of `tick`, at the tick before which so many are there."""
        found = dict(zip(self.names, self.memory[:, place].tolist(), strict=True))
        found[TICK] = self.start_ms + place * self.tick_ms
        return [found[name] for name in names]

    def without(self, ticks: int) -> "LiveTicks":
        """This table without the newest so many ticks."""
        return replace(self, length=max(0, self.length - ticks), end_ms=self.end_ms - ticks * self.tick_ms)

    def followed(self, found: Columns, end: NDArray[np.int64], keep: int) -> "LiveTicks":
        """This table and the ticks that follow (`end` in ms); all of it, or the newest `keep` ticks if it has to be moved."""
        memory, length = self.memory, self.length
        if length + len(end) > memory.shape[1]:
            length = min(length, max(0, keep - len(end)))
            memory = np.empty((len(self.names), 2 * max(keep, len(end))))
            memory[:, :length] = self.memory[:, self.length - length : self.length]
        for column, name in zip(memory, self.names, strict=True):
            column[length : length + len(end)] = found.get(name, np.nan)
        return replace(self, memory=memory, length=length + len(end), end_ms=int(end[-1]))


def empty(names: Sequence[str], tick_s: int) -> LiveTicks:
    """A table without a tick, for columns of some names."""
    own = tuple(name for name in names if name != TICK)
    return LiveTicks(own, 1000 * tick_s, np.empty((len(own), 0)))
