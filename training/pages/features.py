"""The page of a feature study: what onsets need to be foreseen, what moves before them, and how the world compares."""

import numpy as np

from training.featuring import Studied, Study, ratio
from training.foreseeing import Foreseen
from training.importance import SHOWN, Importance
from training.leading import AFTER, BEFORE, CONTROLS, DIFFERS, NEAR_DAYS, Lead
from training.report import events
from training.report.page import Card, Figure, Page, Section, Table

PATHS = 6
TITLES = {"volatility": "Spikes of volatility", "congestion": "Surges of the base fee"}


def page(study: Study) -> Page:
    """The whole report."""
    subtitle = f"{study.where}, {study.since:%Y-%m-%d} to {study.until:%Y-%m-%d}, every {study.tick_s // 60} minutes"
    sections = [part for one in study.targets for part in (needed(one), moving(one, study.tick_s))]
    compared = [foreseeability(study)] if len(study.sides) > 1 else []
    return Page("What moves before a surge", subtitle, cards(study), (*sections, *compared, caveats()))


def cards(study: Study) -> tuple[Card, ...]:
    """What a reader should take away."""
    made = []
    for one in study.targets:
        score = one.foreseen
        made.append(Card(f"{score.pr_auc:.3f}", f"PR-AUC of {one.target} onsets; chance gets {score.base_rate:.3f}"))
        first = [lead for lead in one.leads if lead.ticks]
        if first:
            made.append(Card(length(first[0].ticks, study.tick_s), f"before {one.target} onsets: {first[0].feature}"))
    return tuple(made)


def needed(one: Studied) -> Section:
    """Importance, drawn."""
    top = one.importance[:SHOWN]
    interval = np.array([i.interval or (i.drop, i.drop) for i in top]).T
    drawn = events.importance([i.feature for i in top], np.array([i.drop for i in top]), interval)
    low, high = one.foreseen.interval
    text = (
        f"Gradient boosting, judged on days that it was not fitted on, foresees an onset within the hour with an average "
        f"precision of {one.foreseen.pr_auc:.3f} [{low:.3f}, {high:.3f}], where chance gets {one.foreseen.base_rate:.3f}."
    )
    caption = f"The {len(top)} features of {len(one.importance)} that it can spare least. Features that tell the same share it."
    return Section(f"{title(one)}: what the classifier needs", (text,), (Figure(drawn, caption),))


def moving(one: Studied, tick_s: int) -> Section:
    """The event study, drawn: paths of the most important features, and who moves first."""
    heading = f"{title(one)}: what moves before"
    if not one.leads:
        return Section(heading, ("Too few onsets follow a quiet hour and have quiet times to be held against.",))
    minutes = np.arange(-BEFORE, AFTER + 1) * tick_s / 60
    first, by_name = one.leads[:SHOWN], {lead.feature: lead for lead in one.leads}
    chosen = [by_name[i.feature] for i in one.importance if i.feature in by_name][:PATHS] or list(first[:PATHS])
    tracks = [events.Track(c.feature, c.path, c.usual, c.ticks * tick_s / 60) for c in chosen]
    ahead = [lead.ticks * tick_s / 60 for lead in first]
    heat = events.movers(minutes, [lead.feature for lead in first], np.stack([lead.auc[1] for lead in first]), ahead)
    text = (
        f"{one.onsets} onsets after a quiet hour, each beside {CONTROLS} quiet times at the same time of day within "
        f"{NEAR_DAYS} days of it. Values are standardised by those quiet times."
    )
    figures = (
        Figure(events.paths(minutes, tracks), f"The {len(tracks)} most important features around onsets."),
        Figure(heat, f"Who moves first. The line is the lead: the unbroken time with a share beyond {DIFFERS:.0%}."),
    )
    return Section(heading, (text,), figures, (table(first, one.importance, tick_s),))


def table(first: tuple[Lead, ...], importance: tuple[Importance, ...], tick_s: int) -> Table:
    """Lead, separation at the last tick before, and importance of the first movers."""
    drop = {one.feature: one for one in importance}
    header = ("feature", "lead [90 %], min", "before onsets it is", "share, last tick [90 %]", "importance [90 %]")
    rows = []
    for lead in first:
        low, point, high = lead.auc[:, BEFORE - 1]
        ends = " to ".join(f"{end * tick_s / 60:.0f}" for end in lead.interval)
        side = "higher" if point > 0.5 else "lower"
        cell = f"{point:.2f} [{low:.2f}, {high:.2f}]"
        rows.append(
            (lead.feature, f"{lead.ticks * tick_s / 60:.0f} [{ends}]", side, cell, loss(drop.get(lead.feature)))
        )
    return Table(header, tuple(rows))


def loss(one: Importance | None) -> str:
    """Importance, with its interval where it has one; a dash for a feature that the classifier did not have."""
    if one is None or one.interval is None:
        return "–" if one is None else f"{one.drop:+.4f}"
    return f"{one.drop:+.4f} [{one.interval[0]:+.4f}, {one.interval[1]:+.4f}]"


def foreseeability(study: Study) -> Section:
    """Average precision on the history and on the worlds."""
    names = [one.target for one in study.targets]
    rows = [(side, *(cell for one in found for cell in cells(one))) for side, found in study.sides]
    ratios = {name: ratio(study, name) for name in names}
    over = [cell for name in names for cell in ("–" if ratios[name] is None else f"{ratios[name]:.2f}", "")]
    header = ("", *(cell for name in names for cell in (f"{name}: PR-AUC [90 %]", "chance")))
    text = (
        "The same classifier, on the same features of the panel models, fitted and judged on each side alone. A world that were "
        "easier to foresee than history would flatter whatever is tried on it."
    )
    last = ("mean of the worlds / history", *over)
    return Section(
        "Is the world as hard to foresee?", (text,), tables=(Table(header, (*rows, last), frozenset({len(rows)})),)
    )


def cells(one: Foreseen) -> tuple[str, str]:
    """A score and what chance gets."""
    low, high = one.interval
    return f"{one.pr_auc:.3f} [{low:.3f}, {high:.3f}]", f"{one.base_rate:.3f}"


def caveats() -> Section:
    """What a reader must know to judge the figures."""
    return Section(
        "How to read this",
        points=(
            "A tick is labelled by its end: the tick before an onset is known when the tick that crosses begins.",
            "A lead of the whole hour means that the feature differed throughout what was looked at, not that it began then.",
            "Some features are made of the threshold or of each other; that they differ is then arithmetic.",
            "Intervals come from days drawn with replacement. Many features were tried: the one that leads the list is "
            "partly there by luck, and its interval does not know that.",
        ),
    )


def title(one: Studied) -> str:
    """What the spikes of a target are called."""
    return TITLES.get(one.target, f"Onsets of {one.target}")


def length(ticks: int, tick_s: int) -> str:
    """A lead in minutes; one that fills the window may be longer."""
    return f"{ticks * tick_s // 60} min" + (" or more" if ticks == BEFORE else "")
