"""Units between order and arrival: what a pool has, what is on its way, and what each slot can serve."""

from collections import deque

import numpy as np

from shaper.observed import Observed
from shaper.replay.trace import Floats
from shaper.venue import Pool


class Pipeline:
    """A pool over time in slots of `slot_s`: ordered units arrive after the delay, released ones leave at once.

    With `noise` > 0 an order takes (1 + noise·E) times the delay, E exponential with mean 1 from `seed`; orders do not
    overtake each other. Less is set by cancelling the newest order first, then by releasing ready units.
    """

    def __init__(self, pool: Pool, slot_s: float, units: int, noise: float = 0.0, seed: int = 0) -> None:
        self._pool, self._slot_s, self._noise = pool, slot_s, noise
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._pending: deque[tuple[int, int]] = deque()
        self._last_order: int | None = None
        self.ready = units

    @property
    def ordered(self) -> int:
        """Units in place and on their way."""
        return self.ready + sum(units for _, units in self._pending)

    def land(self, slot: int) -> None:
        """Make ready what arrives by the start of a slot."""
        while self._pending and self._pending[0][0] <= slot:
            self.ready += self._pending.popleft()[1]

    def set(self, slot: int, wanted: int) -> None:
        """Order or release towards `wanted` units, as far as the pool's limits for one review allow."""
        change = self._pool.reachable(self.ordered, wanted, self.since_order_s(slot)) - self.ordered
        if change > 0:
            self._last_order = slot
            self._pending.append(
                (max(slot + self._delay_slots(), self._pending[-1][0] if self._pending else 0), change)
            )
            self.land(slot)
        elif change < 0:
            self._release(-change)

    def since_order_s(self, slot: int) -> float | None:
        """Seconds since units were last ordered, None if never."""
        return None if self._last_order is None else (slot - self._last_order) * self._slot_s

    def ready_by_slot(self, first: int, count: int) -> Floats:
        """Ready units in each of the next slots; afterwards the units that arrived in them are in place."""
        units = np.empty(count)
        for i in range(count):
            self.land(first + i)
            units[i] = self.ready
        return units

    def observed(
        self, slot: int, at_s: float, demand_per_s: float, queued: tuple[tuple[str, float], ...], age_s: float
    ) -> Observed:
        """What the gateway would measure at the start of a slot."""
        pending = tuple((at_s + (due - slot) * self._slot_s, units) for due, units in self._pending)
        return Observed(at_s, demand_per_s, queued, self.ready, self.ordered, pending, self.since_order_s(slot), age_s)

    def _delay_slots(self) -> int:
        stretch = 1 + self._noise * float(self._random.exponential()) if self._noise > 0 else 1.0
        return int(np.ceil(self._pool.actuation_delay_s * stretch / self._slot_s - 1e-9))

    def _release(self, units: int) -> None:
        while units and self._pending:
            due, newest = self._pending.pop()
            if newest > units:
                self._pending.append((due, newest - units))
            units -= min(newest, units)
        self.ready -= units
