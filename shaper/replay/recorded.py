"""Recorded orders in the event replay: each seed plays another stretch of them, with the forecasts that a model issued then.

Decided here: which stretch a seed plays. Counts by second become single orders that come at random within it.
"""

from dataclasses import dataclass, replace

from shaper.replay.orders import Clients, from_trace
from shaper.replay.surges import STEP_S, Flow
from shaper.replay.trace import Floats, ForecastSeries, ReplayError, Trace
from shaper.venue import Venue


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """Orders by second and tier (seconds, tiers) from `start_s` on, and a model's forecasts (None: there is no model).

    The stretches of `length_s` follow each other in the order of `seeds`.
    """

    work: Floats
    start_s: float
    length_s: float
    seeds: tuple[int, ...]
    forecasts: ForecastSeries | None = None

    def flow(self, venue: Venue, clients: Clients, seed: int) -> Flow:
        """The stretch of a seed. Raises ReplayError for another one."""
        first, seconds = self._first(seed), round(self.length_s / STEP_S)
        work = self.work[first : first + seconds]
        return Flow(work / STEP_S, (), from_trace(venue, clients, Trace(STEP_S, 0.0, work), seed))

    def series(self, seed: int) -> ForecastSeries:
        """The forecasts of a seed's stretch, in seconds from its start. Raises ReplayError where there is no model."""
        if self.forecasts is None:
            raise ReplayError(
                "expected a model's forecasts, found none: add --model, or leave out the policy ours, learned"
            )
        moved = self.forecasts.issued_at_s - (self.start_s + self._first(seed) * STEP_S)
        within = (moved >= -self.forecasts.valid_s) & (moved < self.length_s)
        return replace(
            self.forecasts,
            issued_at_s=moved[within],
            quantiles=self.forecasts.quantiles[within],
            spike=self.forecasts.spike[within],
        )

    def _first(self, seed: int) -> int:
        if seed not in self.seeds:
            raise ReplayError(f"expected a seed among {self.seeds}, found {seed}")
        return self.seeds.index(seed) * round(self.length_s / STEP_S)
