"""Ways of setting capacity that the replay compares. Each sees what the gateway measures, at the same time as the others."""

from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol

from shaper.capacity import reactive_units, wanted_units
from shaper.observed import Observed
from shaper.replay.trace import ForecastSeries
from shaper.venue import Venue


class Policy(Protocol):
    """What the replay asks at every review; a policy may remember what it saw, so each run takes a new one."""

    def units(self, observed: Observed) -> int:
        """Units wanted, before the pool's limits."""
        ...


@dataclass(frozen=True, slots=True)
class Static:
    """The same units always."""

    constant: int

    def units(self, observed: Observed) -> int:  # noqa: ARG002 - a constant needs no measurement
        """The constant."""
        return self.constant


@dataclass(frozen=True, slots=True)
class ReactiveSettings:
    """What is tuned in a reactive autoscaler: a headroom over demand, and three spans in seconds.

    Demand is averaged over `smoothing_s`, a queue is cleared within `drain_s`, lower recommendations wait `stabilisation_s`.
    """

    headroom: float = 0.3
    smoothing_s: float = 15.0
    drain_s: float = 60.0
    stabilisation_s: float = 300.0

    @property
    def words(self) -> str:
        """The settings for a reader."""
        drain = f"a queue cleared in {self.drain_s:.0f} s" if self.drain_s < 1e6 else "queues left to themselves"
        held = f"demand over {self.smoothing_s:.0f} s, {drain}, scaled down after {self.stabilisation_s:.0f} s"
        return f"headroom {self.headroom:.0%}, {held}"


class Memory:
    """What a reactive rule remembers: the demand of the last `smoothing_s`, and its means of the last `stabilisation_s`."""

    def __init__(self, settings: ReactiveSettings, review_s: float) -> None:
        self._recent: deque[float] = deque(maxlen=max(round(settings.smoothing_s / review_s), 1))
        self._held: deque[float] = deque(maxlen=max(round(settings.stabilisation_s / review_s), 1))

    def smoothed(self, demand_per_s: float) -> float:
        """Mean demand, this one included."""
        self._recent.append(demand_per_s)
        return sum(self._recent) / len(self._recent)

    def held(self, demand_per_s: float) -> float:
        """Highest mean demand that is still held, this one included."""
        self._held.append(self.smoothed(demand_per_s))
        return max(self._held)


class Reactive:
    """A horizontal autoscaler: demand with headroom plus queue clearing, scaled up at once and down with hesitation.

    As the Kubernetes HPA does with its stabilisation window, it follows the highest recommendation of the last
    `stabilisation_s`.
    """

    def __init__(self, venue: Venue, settings: ReactiveSettings) -> None:
        self._venue = replace(venue, reactive_headroom=settings.headroom, reactive_drain_s=settings.drain_s)
        self._memory = Memory(settings, venue.review_s)
        self._wanted: deque[int] = deque(maxlen=max(round(settings.stabilisation_s / venue.review_s), 1))

    def units(self, observed: Observed) -> int:
        """Highest recent recommendation."""
        demand = self._memory.smoothed(observed.demand_per_s)
        self._wanted.append(reactive_units(self._venue, demand, observed.queued_orders))
        return max(self._wanted)


class ForecastLed:
    """The capacity of `shaper.plan.plan` for the forecast that was current, `lag_s` after its issue at the earliest.

    Its reactive side smooths and holds demand as `settings` say.
    """

    def __init__(self, venue: Venue, settings: ReactiveSettings, forecasts: ForecastSeries, lag_s: float) -> None:
        self._venue, self._forecasts, self._lag_s = venue, forecasts, lag_s
        self._memory = Memory(settings, venue.review_s)
        self.reviews = self.fallbacks = 0

    def units(self, observed: Observed) -> int:
        """Units of the plan, reactive where the forecast cannot lead."""
        seen = replace(observed, held_per_s=self._memory.held(observed.demand_per_s))
        need = wanted_units(self._venue, self._forecasts.current(observed.at_s - self._lag_s), seen)
        self.reviews += 1
        self.fallbacks += need.fallback is not None
        return need.units
