"""The study behind the feature report: which features a classifier of onsets needs, and which of them move first.

Decided here: by default every family of a market panel is asked (those without a table say nothing); how foreseeable onsets
are is measured by the question that never changes (`foreseeing.PANEL`), on the history and on simulated worlds alike.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.errors import UsageError
from data.history import History, Memory
from data.world.generate import LONGEST_DAYS, outline
from training.foreseeing import PANEL, Foreseen, Laid, common, foresee, judge, lay
from training.importance import Importance, importances
from training.leading import Lead, events, leads

FAMILIES = ("volatility", "realised", "congestion", "blockspace", "mempool", "funding", "positions", "calendar")
Told = Callable[[float, str], None]
Side = tuple[str, tuple[Foreseen, ...]]


@dataclass(frozen=True)
class Studied:
    """What was found about one target: its score with every family, importance and lead by feature, onsets studied."""

    target: str
    foreseen: Foreseen
    importance: tuple[Importance, ...]
    leads: tuple[Lead, ...]
    onsets: int


@dataclass(frozen=True)
class Study:
    """A whole study; `sides` names the history and the worlds, each with the scores of both targets; empty without worlds."""

    where: str
    since: dt.datetime
    until: dt.datetime
    tick_s: int
    targets: tuple[Studied, ...]
    sides: tuple[Side, ...]


def study(history: History, families: Sequence[str], worlds: int, told: Told) -> Study:
    """Everything about a history, and as many worlds of seeds 1, 2, … to hold it against; `told` hears (share, what).

    The families of the targets are always among those asked. Raises DataError for a history without bars or blocks or with
    too few onsets, UsageError for one too long for a world.
    """
    since, until = common(history)
    told(0.0, "features")
    laid = lay(history, replace(PANEL, families=tuple(dict.fromkeys((*PANEL.targets, *families)))))
    found = tuple(studied(laid, place, told) for place in range(len(PANEL.targets)))
    sides = compared(history, (since, until), worlds, told) if worlds else ()
    return Study(history.where, since, until, PANEL.panel.tick_s, found, sides)


def studied(laid: Laid, place: int, told: Told) -> Studied:
    """One target."""
    share = 0.6 / len(PANEL.targets)
    judged = judge(laid, place, PANEL.folds)
    begun = 0.1 + share * place
    ranked = importances(judged, lambda done, of: told(begun + share * done / of, f"importance for {judged.target}"))
    around = events(laid.rows, laid.contract.targets[place], PANEL.panel.tick_s)
    return Studied(judged.target, judged.foreseen, ranked, leads(laid.rows, around), len(around.onset))


def compared(history: History, ends: tuple[dt.datetime, dt.datetime], worlds: int, told: Told) -> tuple[Side, ...]:
    """The scores of the history, and of worlds that are as long."""
    days = (ends[1] - ends[0]) / dt.timedelta(days=1)
    if days > LONGEST_DAYS:
        remedy = "leave out --worlds"
        raise UsageError("--worlds", expected=f"at most {LONGEST_DAYS:g} days", found=f"{days:.0f}", remedy=remedy)
    told(0.7, "foreseeability")
    sides = [("history", foresee(history, PANEL))]
    for seed in range(1, worlds + 1):
        told(0.7 + 0.3 * seed / (worlds + 1), f"world {seed} of {worlds}")
        sides.append((f"world, seed {seed}", foresee(Memory(outline(days, seed)), PANEL)))
    return tuple(sides)


def ratio(study: Study, target: str) -> float | None:
    """Mean score of the worlds over that of the history; None without worlds."""
    scores = [one.pr_auc for _, found in study.sides for one in found if one.target == target]
    return float(np.mean(scores[1:]) / scores[0]) if len(scores) > 1 else None


def results(study: Study) -> dict[str, object]:
    """The study as JSON knows it."""
    minutes = study.tick_s / 60
    return {
        "history": study.where,
        "since": study.since.isoformat(),
        "until": study.until.isoformat(),
        "targets": {
            one.target: {
                "onsets": one.onsets,
                "foreseen": plain(one.foreseen),
                "importance": [{"feature": i.feature, "drop": i.drop, "interval": i.interval} for i in one.importance],
                "leads": [
                    {
                        "feature": lead.feature,
                        "lead_min": lead.ticks * minutes,
                        "interval_min": [end * minutes for end in lead.interval],
                        "share_above": lead.auc[1].tolist(),
                    }
                    for lead in one.leads
                ],
            }
            for one in study.targets
        },
        "foreseeability": {name: {one.target: plain(one) for one in found} for name, found in study.sides},
        "world_over_history": {one.target: ratio(study, one.target) for one in study.targets},
    }


def plain(one: Foreseen) -> dict[str, object]:
    """A score as JSON knows it."""
    return {"pr_auc": one.pr_auc, "interval": one.interval, "base_rate": one.base_rate, "issues": one.issues}
