"""When a queue has stood too long, and which orders to give up then: CoDel (RFC 8289) with a target from the tier's deadline.

A queue whose oldest order has waited more than the target for a whole interval is bad: one order is dropped at once, the next ones
at times interval/√count apart, until the wait is below the target. While it is bad, the newest orders are served first.
"""

import math

TARGET_SHARE = 0.05  # of the deadline: how long an order of the tier may usually wait
INTERVAL_SHARE = 0.5  # of the deadline: how long a wait may stand above the target


class Codel:
    """The state of one queue."""

    __slots__ = ("_count", "_drop_next_s", "_first_above_s", "dropping", "interval_s", "target_s")

    def __init__(self, deadline_s: float) -> None:
        self.target_s, self.interval_s = TARGET_SHARE * deadline_s, INTERVAL_SHARE * deadline_s
        self.dropping, self._count = False, 0
        self._first_above_s: float | None = None
        self._drop_next_s = 0.0

    def drops(self, waited_s: float, at_s: float) -> bool:
        """Whether to drop an order now, the oldest one having waited so long (0 for an empty queue)."""
        if waited_s < self.target_s:
            self._first_above_s, self.dropping = None, False
            return False
        if self._first_above_s is None:
            self._first_above_s = at_s + self.interval_s
            return False
        if not self.dropping:
            return at_s >= self._first_above_s and self._begin(at_s)
        if at_s < self._drop_next_s:
            return False
        self._count += 1
        self._drop_next_s += self.interval_s / math.sqrt(self._count)
        return True

    def _begin(self, at_s: float) -> bool:
        """Enter the dropping state, at the last rate if it was left within 16 intervals, else from one."""
        recent = at_s - self._drop_next_s < 16 * self.interval_s and self._count > 2
        self._count = self._count - 2 if recent else 1
        self.dropping = True
        self._drop_next_s = at_s + self.interval_s / math.sqrt(self._count)
        return True
