"""The plots of a comparison, and of a single run: the same drawings, so that one learns to read them once.

Decided here: which drawings there are, what their files are called, and that no more models are drawn than have colours.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from training import plots
from training.comparison import Entry, Seen
from training.curves import Curve, lead_curve, precision_recall

SHOWN = len(plots.COLOURS)
COST = "cost_change"


def draw(found: Sequence[Entry], seen: Seen, folder: Path) -> list[Path]:
    """Draw the first few models of each target into a folder; returns the files."""
    paths = []
    for target in sorted({entry.target for entry in found}):
        shown = [entry for entry in found if entry.target == target][:SHOWN]
        paths += [*accuracy(shown, folder), *alarms(shown, seen, folder), *costs(shown, folder)]
    return paths


def file(name: str, target: str, folder: Path) -> Path:
    """File of a drawing."""
    return folder / f"{name}-{re.sub('[^A-Za-z0-9_]+', '-', target)}.png"


def accuracy(shown: Sequence[Entry], folder: Path) -> list[Path]:
    """Skill by horizon and reliability."""
    target = shown[0].target
    skills = {entry.label: entry.curve("skill/h") for entry in shown}
    reached = {entry.label: entry.curve("reached/q") for entry in shown}
    title = f"{target}: skill by horizon"
    return [
        plots.skill_by_horizon(skills, shown[0].tick_s, title, file("skill", target, folder)),
        plots.reliability(reached, f"{target}: reliability", file("reliability", target, folder)),
    ]


def alarms(shown: Sequence[Entry], seen: Seen, folder: Path) -> list[Path]:
    """Precision over recall and leads, where the target has spikes and there were some."""
    target = shown[0].target
    hindsights = {entry.label: seen.get((entry.run_id, entry.target)) for entry in shown}
    onsets = {name: one.onsets for name, one in hindsights.items() if one is not None and one.onsets is not None}
    base = max((entry.values.get("base_rate", 0.0) for entry in shown), default=0.0)
    drawn = []
    if known := present({name: precision_recall(one) for name, one in onsets.items()}):
        title = f"{target}: onsets found"
        drawn.append(plots.precision_over_recall(known, base, title, file("precision", target, folder)))
    if known := present({name: lead_curve(one) for name, one in onsets.items()}):
        title = f"{target}: warning ahead of a spike, at one false alarm a day"
        drawn.append(plots.leads(known, title, file("lead", target, folder)))
    return drawn


def present(curves: Mapping[str, Curve | None]) -> dict[str, Curve]:
    """The curves that exist."""
    return {name: curve for name, curve in curves.items() if curve is not None}


def costs(shown: Sequence[Entry], folder: Path) -> list[Path]:
    """What decisions cost against how accurate they were, where a run has been priced."""
    target = shown[0].target
    points = {e.label: (e.values["skill"], e.values[COST]) for e in shown if {COST, "skill"} <= set(e.values)}
    title = f"{target}: what decisions cost, over accuracy"
    return [plots.cost_against_accuracy(points, title, file("cost", target, folder))] if points else []
