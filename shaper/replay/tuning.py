"""Settings of the policies, chosen by simulated cost on a window before the one that is reported.

Every policy is given the same favour: the reactive one its headroom, smoothing, queue clearing and hesitation, the
static one its constant, the forecast-led one what it takes a shortage to last, how it reads measurements, and its hedge.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from shaper.replay.course import Circumstances, price, simulate
from shaper.replay.policies import ForecastLed, Policy, Reactive, ReactiveSettings, Static
from shaper.replay.trace import ForecastSeries, Trace
from shaper.venue import Venue

HEADROOMS = (-0.1, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0)
SMOOTHINGS_S = (15.0, 30.0, 60.0, 120.0)
DRAINS_S = (15.0, 30.0, 60.0, 120.0, 300.0, 1e9)
STABILISATIONS_S = (0.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
SHORTAGES = (0.2, 0.5, 1.0, 2.0, 5.0, 20.0)  # times the planning lead
PERSISTENCES = (0.0, 0.5, 0.8)
HEDGES = (0.25, 0.5, 0.75, 1.0)  # times the reactive headroom
ROUNDS = 2  # passes over the reactive settings, one at a time

Cost = Callable[[Policy], float]


def cost_on(given: Circumstances, trace: Trace) -> Cost:
    """The cost in USD of a policy on a trace."""
    return lambda policy: price(given, trace, simulate(given, trace, policy)).total


def tune_static(venue: Venue, cost: Cost) -> Static:
    """The cheapest constant, by thirds of the pool's range (where the cost is not quite convex in the constant, one near it)."""
    low, high = venue.pool.min_units, venue.pool.max_units
    while high - low > 2:
        left, right = low + (high - low) // 3, high - (high - low) // 3
        low, high = (low, right) if cost(Static(left)) <= cost(Static(right)) else (left, high)
    return min((Static(units) for units in range(low, high + 1)), key=cost)


def tune_reactive(venue: Venue, cost: Cost) -> ReactiveSettings:
    """The cheapest settings by coordinate descent over the grids of this module, from two starts."""

    @cache
    def tried(settings: ReactiveSettings) -> float:
        return cost(Reactive(venue, settings))

    def settled(start: ReactiveSettings) -> tuple[float, ReactiveSettings]:
        best = (tried(start), start)
        for _ in range(ROUNDS):
            before = best
            for coordinate in range(len(_neighbours(start))):
                best = _cheapest(best, _neighbours(best[1])[coordinate], tried)
            if best == before:
                break
        return best

    starts = (ReactiveSettings(), ReactiveSettings(headroom=1.0, stabilisation_s=60.0))
    return min((settled(start) for start in starts), key=lambda found: found[0])[1]


def tune_forecast_led(
    given: Circumstances, settings: ReactiveSettings, forecasts: ForecastSeries, trace: Trace
) -> Venue:
    """The venue with the reactive settings and its own: `shortage_s`, `persistence`, `hedge_headroom`, one after the other.

    The hedge is what keeps a forecast that knows nothing of surges from costing more than the reactive rule: hedged as far
    as that rule's own headroom, the plan holds no less than the rule would for the same demand. Its own are unchanged
    where the forecasts do not cover the trace.
    """
    venue = replace(given.venue, reactive_headroom=settings.headroom, reactive_drain_s=settings.drain_s)
    if not forecasts.covers(trace):
        return venue
    cost = cost_on(given, trace)

    @cache
    def tried(option: Venue) -> float:
        return cost(ForecastLed(option, settings, forecasts, given.lag_s))

    def cheapest(options: list[Venue]) -> Venue:
        return min(options, key=tried)

    venue = cheapest([replace(venue, shortage_s=venue.lead_s * factor) for factor in SHORTAGES])
    venue = cheapest([replace(venue, persistence=value) for value in PERSISTENCES])
    hedges = sorted({0.0, *(share * max(venue.reactive_headroom, 0.0) for share in HEDGES)})
    venue = cheapest([replace(venue, hedge_headroom=hedge) for hedge in hedges])
    if venue.hedge_headroom == 0:
        return venue
    return cheapest([replace(venue, shortage_s=venue.lead_s * factor) for factor in SHORTAGES])


def _neighbours(settings: ReactiveSettings) -> tuple[list[ReactiveSettings], ...]:
    """Settings that differ in one value, by value."""
    return (
        [replace(settings, headroom=value) for value in HEADROOMS],
        [replace(settings, stabilisation_s=value) for value in STABILISATIONS_S],
        [replace(settings, drain_s=value) for value in DRAINS_S],
        [replace(settings, smoothing_s=value) for value in SMOOTHINGS_S],
    )


def _cheapest(
    best: tuple[float, ReactiveSettings], options: Sequence[ReactiveSettings], cost: Callable[[ReactiveSettings], float]
) -> tuple[float, ReactiveSettings]:
    """The best of what was found and the options; on a tie what was found first stays."""
    for option in options:
        if option != best[1]:
            found = cost(option)
            best = (found, option) if found < best[0] else best
    return best
