"""A replay: one trace, several policies tuned before it, and the outcome of each in money."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shaper.replay.clairvoyant import optimum
from shaper.replay.course import Circumstances, Progress, price, silent, simulate
from shaper.replay.outcome import Label, Outcome, of_course, of_optimum
from shaper.replay.policies import ForecastLed, Policy, Reactive, ReactiveSettings
from shaper.replay.trace import ForecastSeries, ReplayError, Trace
from shaper.replay.tuning import cost_on, tune_forecast_led, tune_reactive, tune_static
from shaper.venue import Venue

POLICIES = ("static", "reactive", "forecast-led", "clairvoyant")
SETTLED_S = 60.0  # demand before a trace is the mean of the last minute before it


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """What is replayed: `trace` is priced, policies are tuned on `tuning`, which ends at or before its start.

    Measurements cover `observe_s` and are known, like forecasts, `lag_s` late. `noise` stretches actuation delays at random
    (see Pipeline) from `seed`. Raises ReplayError if the tuning window is not before the trace or differs in slot or tiers.
    """

    venue: Venue
    trace: Trace
    tuning: Trace
    forecasts: ForecastSeries | None = None
    observe_s: float = 15.0
    lag_s: float = 5.0
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that the two traces fit and follow each other."""
        if self.tuning.end_s > self.trace.start_s + 1e-6:
            raise ReplayError(
                f"expected tuning to end by {self.trace.start_s:.0f}, the start of the trace, found {self.tuning.end_s:.0f}"
            )
        found = [(trace.slot_s, trace.work.shape[1]) for trace in (self.tuning, self.trace)]
        if found != [(self.trace.slot_s, len(self.venue.tiers))] * 2:
            raise ReplayError(f"expected both traces with one slot_s and {len(self.venue.tiers)} tiers, found {found}")


def run(scenario: Scenario, policies: Sequence[str] = POLICIES, progress: Progress = silent) -> tuple[Outcome, ...]:
    """Outcomes of the named policies, in their order.

    Raises ReplayError for an unknown policy, forecasts that are missing, or inputs that contradict each other.
    """
    unknown = sorted(set(policies) - set(POLICIES))
    if unknown:
        raise ReplayError(f"expected policies among {', '.join(POLICIES)}, found {', '.join(unknown)}")
    if "forecast-led" in policies and scenario.forecasts is None:
        raise ReplayError("expected forecasts for the policy forecast-led, found none")
    best = optimum(scenario.venue, scenario.trace, progress=progress) if "clairvoyant" in policies else None
    bound = best.price.total if best is not None else None
    tuned = tune(scenario, policies, progress)
    outcomes = []
    for done, name in enumerate(policies):
        progress(done / len(policies), name)
        if best is not None and name == "clairvoyant":
            outcomes.append(of_optimum(scenario.venue, scenario.trace, best))
        else:
            outcomes.append(_play(scenario, name, tuned[name], bound))
    progress(1.0, "done")
    return tuple(outcomes)


@dataclass(frozen=True, slots=True)
class Tuned:
    """How to start a policy with the settings that were cheapest on the tuning window, and these in words."""

    start: Callable[[], Policy]
    settings: str


def tune(scenario: Scenario, policies: Sequence[str], progress: Progress = silent) -> dict[str, Tuned]:
    """The named policies, the clairvoyant left out, each tuned by simulated cost on the window before the trace."""
    tuned: dict[str, Tuned] = {}
    given = circumstances(scenario, scenario.tuning)
    if "static" in policies:
        progress(0.0, "tuning static")
        static = tune_static(scenario.venue, cost_on(given, scenario.tuning))
        tuned["static"] = Tuned(lambda: static, f"{static.constant} units")
    if {"reactive", "forecast-led"} & set(policies):
        progress(0.0, "tuning reactive")
        settings = tune_reactive(scenario.venue, cost_on(given, scenario.tuning))
        tuned["reactive"] = Tuned(lambda: Reactive(scenario.venue, settings), settings.words)
    if "forecast-led" in policies and scenario.forecasts is not None:
        progress(0.0, "tuning forecast-led")
        tuned["forecast-led"] = _forecast_led(scenario, scenario.forecasts, settings, given)
    return tuned


def circumstances(scenario: Scenario, trace: Trace) -> Circumstances:
    """What every policy finds on one of the scenario's traces: demand before it, and units enough for that demand."""
    before = scenario.tuning if trace is scenario.trace else trace
    minute = max(round(SETTLED_S / trace.slot_s), 1)
    orders = before.total[-minute:] if before is not trace else before.total[:minute]
    before_per_s = float(orders.mean()) / trace.slot_s
    return Circumstances(
        venue=scenario.venue,
        observe_s=scenario.observe_s,
        lag_s=scenario.lag_s,
        noise=scenario.noise,
        seed=scenario.seed,
        initial_units=scenario.venue.pool.units_for(2 * before_per_s),
        before_per_s=before_per_s,
    )


def _forecast_led(
    scenario: Scenario, forecasts: ForecastSeries, settings: ReactiveSettings, given: Circumstances
) -> Tuned:
    venue = tune_forecast_led(given, settings, forecasts, scenario.tuning)
    shortage = "the planning lead" if venue.shortage_s is None else f"{venue.shortage_s:.0f} s"
    words = f"a shortage lasts {shortage}, persistence {venue.persistence:.1f}, hedge {venue.hedge_headroom:.0%}"
    return Tuned(lambda: ForecastLed(venue, settings, forecasts, scenario.lag_s), words)


def _play(scenario: Scenario, name: str, tuned: Tuned, bound: float | None) -> Outcome:
    given, policy = circumstances(scenario, scenario.trace), tuned.start()
    course = simulate(given, scenario.trace, policy)
    fallbacks = policy.fallbacks / policy.reviews if isinstance(policy, ForecastLed) else 0.0
    label = Label(name, tuned.settings, bound, fallbacks)
    return of_course(scenario.venue, scenario.trace, course, price(given, scenario.trace, course), label)
