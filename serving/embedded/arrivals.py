"""How many orders arrive a second, counted as they come.

Decided here: the rate is over a window of whole seconds, shorter while the gateway is young; without any arrival
there is none to tell.
"""

from collections import deque


class Arrivals:
    """Counts by second. Times must not run back."""

    __slots__ = ("_counts", "_since_s", "_window_s")

    def __init__(self, window_s: float, at_s: float) -> None:
        self._window_s, self._since_s = window_s, at_s
        self._counts: deque[list[int]] = deque()  # [second, count]

    def count(self, at_s: float) -> None:
        """One more."""
        second = int(at_s)
        if self._counts and self._counts[-1][0] == second:
            self._counts[-1][1] += 1
        else:
            self._counts.append([second, 1])
            self._forget(at_s)

    def per_s(self, at_s: float) -> float | None:
        """Arrivals a second over the window, None when there were none."""
        self._forget(at_s)
        total = sum(count for _, count in self._counts)
        return total / max(min(self._window_s, at_s - self._since_s), 1.0) if total else None

    def _forget(self, at_s: float) -> None:
        while self._counts and self._counts[0][0] < int(at_s - self._window_s):
            self._counts.popleft()
