"""The page of a replay: what each policy cost, at each delay, and how the largest surge went for two of them side by side."""

import numpy as np
from numpy.typing import NDArray

from shaper.forecast import at_level
from shaper.replay.outcome import Outcome
from shaper.replay.scenario import Scenario
from training.replaying import Gain, Replay, gains, iso
from training.report import figures
from training.report.page import Card, Figure, Page, Section, Table

BEFORE_S, AFTER_S = 600.0, 1500.0
LED, REACTIVE, BOUND = "forecast-led", "reactive", "clairvoyant"


def page(played: Replay) -> Page:
    """The whole report of a replay."""
    scenario = played.scenarios[played.own_delay_s]
    hours, before = (trace.slots * trace.slot_s / 3600 for trace in (scenario.trace, scenario.tuning))
    subtitle = (
        f"{scenario.trace.work.sum():,.0f} orders over {hours:.3g} hours, "
        f"{iso(scenario.trace.start_s)} to {iso(scenario.trace.end_s)} UTC; "
        f"policies tuned on the {before:.3g} hours before"
    )
    return Page(f"Replay: {played.file.name}", subtitle, cards(played), sections(played))


def sections(played: Replay) -> tuple[Section, ...]:
    """The sections of a replay's report, for a page of its own or within another."""
    return (costs(played), *surges(played), delays(played), verdict(played))


def cards(played: Replay) -> tuple[Card, ...]:
    """What a reader should take away."""
    found = {outcome.policy: outcome for outcome in played.outcomes[played.own_delay_s]}
    made = []
    if LED in found and REACTIVE in found:
        change = found[LED].cost_usd / found[REACTIVE].cost_usd - 1
        made.append(
            Card(
                f"{change:+.1%}",
                f"cost of forecast-led against the tuned reactive policy at {played.own_delay_s:g} s delay",
            )
        )
    for name in (LED, REACTIVE):
        regret = found[name].regret if name in found else None
        if regret is not None:
            made.append(Card(f"{regret:.2f}", f"regret of {name}: cost above the clairvoyant bound"))
    if LED in found:
        tier, share = found[LED].service.on_time[0]
        made.append(Card(f"{share:.2%}", f"of {tier} orders on time, forecast-led"))
    return tuple(made)


def costs(played: Replay) -> Section:
    """Cost by policy and cause at the pool's own delay."""
    outcomes = played.outcomes[played.own_delay_s]
    causes = {cause: [dict(o.by_cause)[cause] for o in outcomes] for cause in ("capacity", "delay", "rejection")}
    drawing = figures.cost_bars([outcome.policy for outcome in outcomes], causes)
    delay = f"{played.own_delay_s:g} s"
    caption = (
        f"Cost by policy at an actuation delay of {delay}: capacity paid, orders that waited, orders that expired."
    )
    return Section("What each policy cost", figures=(Figure(drawing, caption),), tables=(cost_table(outcomes),))


def cost_table(outcomes: tuple[Outcome, ...]) -> Table:
    """One row a policy."""
    tier = outcomes[0].service.on_time[0][0]
    header = (
        "policy",
        "cost, USD",
        "regret",
        "capacity",
        "delay",
        "rejection",
        f"{tier} on time",
        f"{tier} p99 wait, s",
        "tuned to",
    )
    rows = tuple(
        (
            o.policy,
            f"{o.cost_usd:,.0f}",
            "–" if o.regret is None else f"{o.regret:.3f}",
            *(f"{dict(o.by_cause)[cause]:,.0f}" for cause in ("capacity", "delay", "rejection")),
            f"{o.service.on_time[0][1]:.2%}",
            "–" if o.service.wait_p99_s is None else f"{o.service.wait_p99_s:.0f}",
            o.settings,
        )
        for o in outcomes
    )
    real = [o.cost_usd if o.policy != BOUND else np.inf for o in outcomes]
    return Table(header, rows, frozenset({int(np.argmin(real))}))


def surges(played: Replay) -> tuple[Section, ...]:
    """The steepest surge of the trace, for the reactive and the forecast-led policy."""
    found = {outcome.policy: outcome for outcome in played.outcomes[played.own_delay_s]}
    shown = [found[name] for name in (REACTIVE, LED) if name in found]
    if not shown:
        return ()
    scenario = played.scenarios[played.own_delay_s]
    slot_s = scenario.trace.slot_s
    onset = steepest(scenario.trace.total / slot_s, round(60 / slot_s), round(600 / slot_s))
    stretch = slice(max(onset - round(BEFORE_S / slot_s), 0), onset + round(AFTER_S / slot_s))
    minutes = (np.arange(scenario.trace.slots)[stretch] - onset) * slot_s / 60
    drawing = figures.surge(minutes, [course(o, stretch, slot_s) for o in shown], band(scenario, stretch))
    at = iso(scenario.trace.start_s + onset * slot_s)
    below = "Below the demand: orders waiting, and orders lost because their deadline passed."
    caption = f"The steepest surge, from {at} UTC. {below}"
    delay = f"{played.own_delay_s:g} s"
    paragraph = f"The pool takes {delay} to serve what is ordered: what is to arrive in time has to be ordered that much earlier."
    return (Section("The steepest surge, twice", (paragraph,), (Figure(drawing, caption),)),)


def steepest(demand: NDArray[np.float64], ahead: int, behind: int) -> int:
    """Slot after which the mean demand of a minute rises most over that of the ten minutes before."""
    total = np.concatenate([[0.0], np.cumsum(demand)])
    if len(demand) <= ahead + behind:
        return len(demand) // 2
    after = (total[behind + ahead :] - total[behind:-ahead]) / ahead
    before = (total[behind:-ahead] - total[: -behind - ahead]) / behind
    return int(np.argmax(after - before)) + behind


def course(outcome: Outcome, stretch: slice, slot_s: float) -> figures.Course:
    """A policy's series over a stretch, smoothed to what the eye can follow."""
    series = outcome.series
    calm = np.convolve(series.demand_per_s, np.full(3, 1 / 3), "same")
    return figures.Course(
        outcome.policy,
        calm[stretch],
        series.ordered_per_s[stretch],
        series.ready_per_s[stretch],
        series.queued[stretch],
        series.lost[stretch] / slot_s,
        outcome.policy == LED,
    )


def band(scenario: Scenario, stretch: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The 5-95 % range of demand, as it was forecast one planning lead before each slot of a stretch."""
    if scenario.forecasts is None:
        return None
    venue, trace = scenario.venue, scenario.trace
    low, high = [], []
    for slot in range(*stretch.indices(trace.slots)):
        at = trace.start_s + slot * trace.slot_s
        forecast = scenario.forecasts.current(at - venue.lead_s - scenario.lag_s)
        curve = None if forecast is None else venue.demand.curve(forecast, at - forecast.issued_at_s, (0.05, 0.95))
        low.append(np.nan if curve is None else at_level((0.05, 0.95), curve, 0.05))
        high.append(np.nan if curve is None else at_level((0.05, 0.95), curve, 0.95))
    return np.array(low), np.array(high)


def delays(played: Replay) -> Section:
    """Regret over the delay: where a forecast pays and where it does not."""
    policies = [o.policy for o in played.outcomes[played.own_delay_s] if o.regret is not None and o.policy != BOUND]
    regret = {name: [value(played, delay, name) for delay in played.outcomes] for name in policies}
    header = (
        "delay, s",
        *(f"{o.policy}, USD" for o in played.outcomes[played.own_delay_s]),
        "forecast-led against reactive [90 %]",
    )
    gained = {gain.delay_s: gain for gain in gains(played)}
    rows = tuple(
        (f"{delay:g}", *(f"{o.cost_usd:,.0f}" for o in outcomes), describe(gained.get(delay)))
        for delay, outcomes in played.outcomes.items()
    )
    figure = (
        ()
        if not policies
        else (Figure(figures.regret_by_delay(list(played.outcomes), regret), "Regret by delay of the pool."),)
    )
    text = (
        "The same trace and policies, each tuned anew, with pools of other delays. "
        "Intervals: paired bootstrap over hours of the replay, 2,000 draws."
    )
    return Section("When does a forecast pay?", (text,), figure, (Table(header, rows),))


def value(played: Replay, delay_s: float, policy: str) -> float:
    """A policy's regret at a delay."""
    regret = next(outcome.regret for outcome in played.outcomes[delay_s] if outcome.policy == policy)
    return float("nan") if regret is None else regret


def describe(gain: Gain | None) -> str:
    """A change of cost with its interval."""
    return "–" if gain is None else f"{gain.change:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]"


def verdict(played: Replay) -> Section:
    """In words, what was gained and what was not."""
    points = []
    for gain in gains(played):
        means = "cheaper" if gain.high < 0 else "dearer" if gain.low > 0 else "not distinguishable from"
        joint = "" if gain.high >= 0 >= gain.low else " than"
        points.append(f"At {gain.delay_s:g} s delay forecast-led was {means}{joint} reactive: {describe(gain)}.")
    return Section("What this shows, and what it does not", points=(*points, *caveats(played)))


def caveats(played: Replay) -> tuple[str, ...]:
    """What a reader must know to judge the figures."""
    scenario = played.scenarios[played.own_delay_s]
    shares = [o.fallback_share for o in played.outcomes[played.own_delay_s] if o.policy == LED]
    said = [
        "The reactive policy's headroom, smoothing, queue clearing and stabilisation, and the static policy's size, were chosen "
        "by cost on the tuning days; so was how long forecast-led takes a shortage to last. Nothing was chosen on the days "
        "reported.",
        "The clairvoyant is a linear programme that knows every order: a bound that no policy can reach.",
        f"Orders are a fluid in slots of {scenario.trace.slot_s:g} s; waits below one slot are not seen.",
    ]
    if shares:
        said.append(
            f"The forecast could not lead in {shares[0]:.1%} of the reviews; there the plan was the reactive one."
        )
    return tuple(said)
