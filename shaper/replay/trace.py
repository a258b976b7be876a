"""What a replay reads: the orders that came, and the forecasts that were current."""

import math
from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shaper.forecast import Forecast

Floats = NDArray[np.float64]
COVERED = 0.9  # share of a window that forecasts must reach for a policy to be tuned on it


class ReplayError(ValueError):
    """A replay whose inputs contradict each other."""

    exit_code = 2


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Orders by slot and tier: `work[i, k]` arrive in [start_s + i·slot_s, start_s + (i+1)·slot_s), tiers as in the venue.

    Raises ReplayError unless slots are positive and work is a finite matrix of counts of 0 or more.
    """

    slot_s: float
    start_s: float
    work: Floats

    def __post_init__(self) -> None:
        """Check the matrix and the slot."""
        if not (math.isfinite(self.slot_s) and self.slot_s > 0 and math.isfinite(self.start_s)):
            raise ReplayError(
                f"expected a positive slot_s and a finite start_s, found {self.slot_s} and {self.start_s}"
            )
        if self.work.ndim != 2 or not self.work.size:
            raise ReplayError(
                f"expected work as (slots, tiers) with at least one of each, found shape {self.work.shape}"
            )
        if not (np.isfinite(self.work).all() and (self.work >= 0).all()):
            raise ReplayError(
                "expected finite work of 0 or more orders in every slot and tier: fill unknown slots first"
            )

    @property
    def slots(self) -> int:
        """Number of slots."""
        return len(self.work)

    @property
    def total(self) -> Floats:
        """Orders per slot over all tiers."""
        return np.asarray(self.work.sum(axis=1), dtype=np.float64)

    @property
    def end_s(self) -> float:
        """End of the last slot."""
        return self.start_s + self.slots * self.slot_s


@dataclass(frozen=True, slots=True, eq=False)
class ForecastSeries:
    """Forecasts in order of issue: quantiles (issues, targets, horizons, levels), spike (issues, targets, horizons).

    An issue with any value that is not finite is no forecast: the one before stays current until `valid_s` after its issue.
    Raises ReplayError when the shapes or the order do not fit.
    """

    issued_at_s: Floats
    quantiles: Floats
    spike: Floats
    tick_s: float
    targets: tuple[str, ...]
    horizons: tuple[int, ...]
    levels: tuple[float, ...]
    valid_s: float
    origin: str = "model"
    contract_digest: str = ""
    _whole: tuple[int, ...] = field(init=False, repr=False)
    _built: dict[int, Forecast] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Check shapes and order, and find the whole forecasts."""
        shape = (len(self.issued_at_s), len(self.targets), len(self.horizons), len(self.levels))
        if self.quantiles.shape != shape or self.spike.shape != shape[:3]:
            raise ReplayError(
                f"expected quantiles {shape} and spike {shape[:3]}, found {self.quantiles.shape}, {self.spike.shape}"
            )
        if not (np.diff(self.issued_at_s) > 0).all():
            raise ReplayError("expected forecasts in ascending order of issue without duplicates")
        finite = np.isfinite(self.quantiles).all(axis=(1, 2, 3)) & np.isfinite(self.spike).all(axis=(1, 2))
        object.__setattr__(self, "_whole", tuple(int(i) for i in np.flatnonzero(finite)))

    def current(self, at_s: float) -> Forecast | None:
        """The last whole forecast issued at or before a time, None before the first."""
        position = bisect_right(self._whole, at_s, key=lambda i: float(self.issued_at_s[i])) - 1
        if position < 0:
            return None
        index = self._whole[position]
        if index not in self._built:
            self._built[index] = self.at(index)
        return self._built[index]

    def at(self, index: int) -> Forecast:
        """The forecast of one issue. Raises ForecastError if its quantiles are out of order."""
        issued = float(self.issued_at_s[index])
        return Forecast(
            issued_at_s=issued,
            valid_until_s=issued + self.valid_s,
            tick_s=self.tick_s,
            origin=self.origin,
            contract_digest=self.contract_digest,
            targets=self.targets,
            horizons=self.horizons,
            levels=self.levels,
            quantiles=tuple(tuple(tuple(curve) for curve in rows) for rows in self.quantiles[index].tolist()),
            spike=tuple(tuple(row) for row in self.spike[index].tolist()),
        )

    def covers(self, trace: Trace) -> bool:
        """Whether the span from the first issue to the end of the last one's validity holds nine tenths of a trace."""
        if not self._whole:
            return False
        first, last = float(self.issued_at_s[self._whole[0]]), float(self.issued_at_s[self._whole[-1]])
        held = min(last + self.valid_s, trace.end_s) - max(first, trace.start_s)
        return held >= COVERED * (trace.end_s - trace.start_s)
