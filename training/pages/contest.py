"""The page of an event replay: regret and cost of each policy over the seeds, and one surge for two of them side by side."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shaper.replay.contest import BASELINES, LEARNED, ONE_SET, OURS, PERFECT, TO_BEAT, flow_of, forecasts_of, run_of
from shaper.replay.events import TICK_S
from shaper.replay.kernel import SERVED
from shaper.replay.ledger import CAUSES, SURGING
from shaper.replay.surges import Flow
from shaper.replay.trace import ForecastSeries
from shaper.venue import Venue
from training.contesting import Contest, Held, Interval
from training.recording import RecordedFile
from training.report import figures
from training.report.page import Card, Figure, Page, Section, Table

BEFORE_S, AFTER_S = 150, 330
Floats = NDArray[np.float64]


def page(contest: Contest) -> Page:
    """The whole report of a contest."""
    file = contest.file
    subtitle = (
        f"{file.about or file.name} {counted(len(file.reported), 'seed')}, each {file.market.length_s / 60:.0f} minutes; "
        f"baselines tuned on {counted(len(file.tuned), 'other seed')}"
    )
    costs = tuple(section for held in contest.held for section in (cost_section(held), tier_section(held)))
    sections = (*(surge_section(contest, held) for held in contest.held), *costs, tuning_section(contest))
    verdict = Section("What this shows, and how it was measured", points=(*verdicts(contest), *caveats(contest)))
    return Page(f"Replay: {file.name}", subtitle, cards(contest), (*sections, verdict))


def counted(count: int, noun: str) -> str:
    """A number of things, in words: 1 seed, 2 seeds."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def cards(contest: Contest) -> tuple[Card, ...]:
    """What a reader should take away."""
    return tuple(
        Card(f"{held.regret(name).value:.2f}", f"regret of {name} at {held.delay_s:g} s delay")
        for held in contest.held
        for name in (LEARNED, held.best_baseline)
        if name in held.manners
    )


def cost_section(held: Held) -> Section:
    """Cost by policy and cause."""
    names = list(held.manners)
    causes = {cause: [_mean(held, name, "by_cause", cause) for name in names] for cause in CAUSES}
    drawing = figures.cost_bars(names, causes)
    caption = (
        f"Mean cost by policy at a delay of {held.delay_s:g} s; the clairvoyant's is {held.bounds.mean():,.0f} USD."
    )
    return Section(
        f"What each policy cost, {held.delay_s:g} s delay",
        figures=(Figure(drawing, caption),),
        tables=(cost_table(held),),
    )


def cost_table(held: Held) -> Table:
    """One row a policy."""
    top = held.rounds[0].entries[0][1].on_time[0][0]
    header = (
        "policy",
        "cost, USD",
        "regret [90 %]",
        f"{top} on time",
        "p99, s",
        "goodput",
        "lead − delay, s",
        "idle, USD",
    )
    rows = tuple(_cost_row(held, name, top) for name in held.manners)
    costs = [float(held.costs(name).mean()) for name in held.manners]
    return Table(header, rows, frozenset({int(np.argmin(costs))}))


def _cost_row(held: Held, name: str, top: str) -> tuple[str, ...]:
    def shown(figure: Callable[[Any], float | None], form: str) -> str:
        value = held.mean(name, figure)
        return "–" if value is None else format(value, form)

    return (
        name,
        f"{held.costs(name).mean():,.0f}",
        described(held.regret(name), ".2f"),
        f"{_mean(held, name, 'on_time', top):.2%}",
        shown(lambda e: e.wait_p99_s, ".2f"),
        shown(lambda e: e.goodput, ".1%"),
        shown(lambda e: e.lead_less_delay_s, "+.0f"),
        shown(lambda e: e.idle_usd, ",.0f"),
    )


def tier_section(held: Held) -> Section:
    """Punctuality, cost and fairness by tier."""
    tiers = [name for name, _ in held.rounds[0].entries[0][1].on_time]
    header = ("policy", *tiers, "least Jain", "over floor")
    rows = []
    for name in held.manners:
        least = min(_mean(held, name, "fairness", tier) for tier in tiers)
        floor = held.mean(name, lambda entry: entry.floor)
        shares = (f"{_mean(held, name, 'on_time', tier):.2%}" for tier in tiers)
        rows.append((name, *shares, f"{least:.3f}", "–" if floor is None else f"{floor:.2f}"))
    text = "Shares of each tier's orders served by their deadline; Jain's index over the accounts of the least fair tier; and, "
    text += "while orders waited, the least of the tiers' shares of service over their floors (1 or more: every floor was kept)."
    return Section(f"Tier by tier, {held.delay_s:g} s delay", (text,), tables=(Table(header, tuple(rows)),))


def tuning_section(contest: Contest) -> Section:
    """What was tuned."""
    rows = tuple(
        (f"{held.delay_s:g}", name, manner.scaling.words, f"{manner.room:g}", f"{manner.every_s:g}")
        for held in contest.held
        for name, manner in held.manners.items()
        if name in BASELINES
    )
    text = "Each baseline's settings were the cheapest on the tuning seeds of this very scenario. "
    text += f"Ours keeps one set everywhere, and so does {ONE_SET}."
    return Section(
        "What the baselines were tuned to",
        (text,),
        tables=(Table(("delay, s", "policy", "scaling", "room", "every, s"), rows),),
    )


def surge_section(contest: Contest, held: Held) -> Section:
    """The first seed for the policy to beat and for ours, side by side."""
    setting, seed = contest.file.setting(held.delay_s), contest.file.reported[0]
    flow = flow_of(setting, seed)
    rival = TO_BEAT if TO_BEAT in held.manners else ONE_SET
    shown = [name for name in (rival, LEARNED) if name in held.manners] or list(held.manners)[:2]
    onset = onset_tick(flow, contest.file.market.calm_per_s)
    stretch = slice(max(onset - BEFORE_S, 0), onset + AFTER_S)
    courses = []
    for name in shown:
        stage, run = run_of(setting, name, held.manners[name], flow, seed)
        rate = setting.venue.pool.unit_rate_per_s
        lost = lost_by_tick(stage.ticks, run.book)
        demand = np.convolve(
            stage.orders.by_slot(TICK_S, len(setting.venue.tiers)).sum(axis=1), np.full(5, 0.2), "same"
        )
        queued = run.waiting.sum(axis=1)
        series = [values[stretch] for values in (demand, run.ordered * rate, run.ready * rate, queued, lost)]
        courses.append(figures.Course(name, series[0], series[1], series[2], series[3], series[4], name in OURS))
    minutes = (np.arange(*stretch.indices(len(flow.intensity))) - onset) / 60
    foreseen = LEARNED if LEARNED in held.manners else PERFECT
    told = forecasts_of(setting, flow, foreseen, seed)
    band = fan(told, setting.venue, setting.lag_s, len(flow.intensity), stretch)
    text = f"Units take {held.delay_s:g} s to serve after they are ordered. Below the demand: orders waiting, and orders lost."
    caption = f"Seed {seed}, from {BEFORE_S} s before the surge to {AFTER_S} s into it."
    return Section(
        f"One seed, twice, {held.delay_s:g} s delay", (text,), (Figure(figures.surge(minutes, courses, band), caption),)
    )


def onset_tick(flow: Flow, calm_per_s: float) -> int:
    """Second at which the intensity first exceeds the calm's by far, else the middle of the stretch."""
    above = np.flatnonzero(flow.intensity.sum(axis=1) > SURGING * calm_per_s)
    return int(above[0]) if len(above) else len(flow.intensity) // 2


def lost_by_tick(ticks: int, book: Any) -> Floats:
    """Orders that left unserved, by second."""
    lost = (book.fate != SERVED) & np.isfinite(book.ended)
    second = np.minimum((book.ended[lost] / TICK_S).astype(np.int64), ticks - 1)
    return np.bincount(second, minlength=ticks).astype(np.float64)


def fan(series: ForecastSeries, venue: Venue, lag_s: float, ticks: int, stretch: slice) -> tuple[Floats, Floats]:
    """The 5-95 % range of demand as it was forecast one planning lead before each second."""
    edges = np.full((2, ticks), np.nan)
    for tick in range(*stretch.indices(ticks)):
        forecast = series.current(tick - venue.lead_s - lag_s)
        curve = None if forecast is None else venue.demand.curve(forecast, tick - forecast.issued_at_s, (0.05, 0.95))
        edges[:, tick] = np.nan if curve is None else curve
    return edges[0, stretch], edges[1, stretch]


def verdicts(contest: Contest) -> tuple[str, ...]:
    """In words, how ours did against the best baseline and the policy to beat at each delay."""
    lines = []
    for held in contest.held:
        rivals = {name for name in (held.best_baseline, TO_BEAT, ONE_SET) if name in held.manners}
        for rival in sorted(rivals):
            for name in (policy for policy in OURS if policy in held.manners):
                change, ratio = held.change(name, rival), held.regret_ratio(name, rival)
                lines.append(
                    f"At {held.delay_s:g} s, {name}: cost {described(change, '+.1%')} against {rival}, "
                    f"regret {described(ratio, '.2f')} times its."
                )
    return tuple(lines)


def caveats(contest: Contest) -> tuple[str, ...]:
    """What a reader must know to judge the figures."""
    return (
        "The clairvoyant is a linear programme that knows every order and needs no whole units: a bound that no policy can reach.",
        foresight(contest),
        "Intervals: seeds resampled in pairs, 2,000 draws.",
        "Waiting is charged beyond the order's own work and the quickest node's latency, for which nobody can be blamed.",
    )


def foresight(contest: Contest) -> str:
    """Where the learned forecasts come from."""
    file, sight = contest.file, contest.file.sight
    if isinstance(file, RecordedFile):
        forecaster = (
            "No model forecasts them." if file.model is None else f"The learned forecasts are those of {file.model}."
        )
        return f"Orders were recorded; each seed plays another stretch, all scaled to the venue's calm. {forecaster}"
    return (
        f"The learned forecast is a stated one: {sight.recall:.0%} of heralded surges are warned of, about "
        f"{sight.lead_s:.0f} s ahead, and {sight.precision:.0%} of its warnings come true. It is not a trained model's."
    )


def described(interval: Interval, form: str) -> str:
    """A figure with its interval."""
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def _mean(held: Held, name: str, field: str, key: str) -> float:
    return float(np.mean([dict(getattr(dict(one.entries)[name], field))[key] for one in held.rounds]))
