"""An axis of a small drawing: where a value lies between the least and the greatest, and the round values to mark.

Decided here: linear axes are marked at multiples of 1, 2 or 5 times a power of ten, logarithmic ones at powers and, within few
of them, at 2 and 5 times powers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_MARKS = 6


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`; both are logarithms to the base 10 when the axis is logarithmic."""

    low: float
    high: float
    is_log: bool

    @classmethod
    def of(cls, values: Sequence[float], is_log: bool) -> "Axis":
        """An axis that shows all the values it can; from 0 where none is negative and it is linear."""
        shown = [
            math.log10(value) if is_log else value
            for value in values
            if math.isfinite(value) and (value > 0 or not is_log)
        ]
        low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
        if not is_log:
            low = min(low, 0.0)
        return cls(low, high if high > low else low + 1.0, is_log)

    def shows(self, value: float) -> bool:
        """Whether a value has a place on the axis."""
        return math.isfinite(value) and (value > 0 or not self.is_log)

    def share(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high end."""
        place = math.log10(value) if self.is_log else value
        return (place - self.low) / (self.high - self.low)

    @property
    def marks(self) -> list[float]:
        """Round values on the axis."""
        return self._powers() if self.is_log else self._steps()

    def _steps(self) -> list[float]:
        """Multiples of a round step."""
        size = 10 ** math.floor(math.log10(self.high - self.low))
        fits = (
            step * size
            for step in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
            if (self.high - self.low) / (step * size) <= MOST_MARKS
        )
        step = next(fits, size)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]

    def _powers(self) -> list[float]:
        """Powers of ten, with 2 and 5 times them where there are few."""
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        factors = (1, 2, 5) if self.high - self.low < 2 else (1,)
        every = [factor * 10.0**power for power in powers for factor in factors]
        marks = [mark for mark in every if self.low - 1e-9 <= math.log10(mark) <= self.high + 1e-9]
        return marks[:: -(-len(marks) // MOST_MARKS)] if marks else []
