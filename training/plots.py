"""Drawings that travel with runs: forecasts against what came true, skill by horizon, reliability, alarms. Files, no windows.

Decided here: every comparison uses the same colours in the same order, so that a model keeps its colour from plot to plot.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from training.curves import Curve
from training.metrics import Issued
from training.report.figures import BLUE, GREEN, GREY, INK, ORANGE, RED, STYLE, VIOLET

STRETCH = 288  # issue times shown of a forecast: enough to see a surge and the calm around it
DPI = 130
COLOURS = (BLUE, ORANGE, GREEN, VIOLET, RED, "#3aa7b8", "#8a6d3b", GREY)
Drawn = TypeVar("Drawn")
OUTSIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}  # a legend that covers no line


@contextmanager
def drawing(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of the house style (inches), written to `path` when the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with style.context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        partial = path.with_name(f".{path.name}")
        figure.savefig(partial, dpi=DPI, format=path.suffix[1:])
        partial.replace(path)


def fan(issued: Issued, horizon: int, title: str, path: Path) -> Path:
    """Bands and median of one horizon (index) beside the truth, over the stretch around the largest truth."""
    known = issued.complete()
    peak = int(np.argmax(known.truth[:, horizon])) if len(known.issued_s) else 0
    start = max(0, min(peak - STRETCH // 2, len(known.issued_s) - STRETCH))
    shown = slice(start, start + STRETCH)
    hours = (known.issued_s[shown] - known.issued_s[peak : peak + 1].sum()) / 3600
    quantiles = known.quantiles[shown, horizon]
    middle = quantiles.shape[1] // 2
    with drawing(path, 9, 3.4) as figure:
        axes = figure.subplots()
        for place in range(middle):
            axes.fill_between(hours, quantiles[:, place], quantiles[:, -1 - place], color=BLUE, alpha=0.15, linewidth=0)
        axes.plot(hours, quantiles[:, middle], color=BLUE, linewidth=1, label="median and bands")
        axes.plot(hours, known.truth[shown, horizon], color=INK, linewidth=1, label="what came")
        axes.set(title=title, xlabel="hours from the largest value")
        axes.legend(loc="upper left")
    return path


def skill_by_horizon(curves: Mapping[str, Mapping[float, float]], tick_s: int, title: str, path: Path) -> Path:
    """Skill over the time ahead, one line a model; a first step that is nearly arithmetic does not flatten the rest."""
    lines = {name: sorted(curve.items()) for name, curve in curves.items()}
    longest = max((step for line in lines.values() for step, _ in line), default=1) * tick_s
    unit, name = (60, "minutes") if longest >= 600 else (1, "seconds")
    with drawing(path, 7.6, 3.8) as figure:
        axes = figure.subplots()
        for colour, (model, line) in coloured(lines):
            axes.plot([h * tick_s / unit for h, _ in line], [v for _, v in line], marker=".", color=colour, label=model)
        axes.axhline(0, color=GREY, linewidth=1)
        tallest, top = towering(lines.values())
        if top is not None:
            axes.set_ylim(top=top)
            note = f"first step: up to {tallest:.2f}"
            axes.annotate(note, (tick_s / unit, top), (8, -12), textcoords="offset points", color=INK, fontsize="small")
        axes.set(title=title, xlabel=f"{name} ahead", ylabel="skill against persistence")
        axes.legend(**OUTSIDE)
    return path


def towering(lines: Iterable[Sequence[tuple[float, float]]]) -> tuple[float, float | None]:
    """The largest value of any line, and where to end the axis (None: nowhere) if the first steps are beyond twice all others."""
    values = [(step, value) for line in lines for step, value in line]
    first, rest = ([v for step, v in values if (step == 1) == wanted] for wanted in (True, False))
    tallest, other = max(first, default=0.0), max(rest, default=0.0)
    return tallest, 1.25 * other if tallest > 2 * other > 0 else None


def skill_by_hour(curves: Mapping[str, Mapping[float, float]], title: str, path: Path) -> Path:
    """Skill over the hour of the UTC day at issue, one line a model."""
    with drawing(path, 7.6, 3.8) as figure:
        axes = figure.subplots()
        for colour, (model, curve) in coloured(curves):
            hours = sorted(curve)
            axes.plot(hours, [curve[hour] for hour in hours], marker=".", color=colour, label=model)
        axes.axhline(0, color=GREY, linewidth=1)
        axes.set(title=title, xlabel="hour, UTC", ylabel="skill against persistence", xlim=(0, 23))
        axes.legend(**OUTSIDE)
    return path


def reliability(curves: Mapping[str, Mapping[float, float]], title: str, path: Path) -> Path:
    """Share of truths at or below each quantile over its level, one line a model; the diagonal is calibrated."""
    with drawing(path, 6.2, 4.0) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        for colour, (name, curve) in coloured(curves):
            levels = sorted(curve)
            axes.plot(levels, [curve[level] for level in levels], marker=".", color=colour, label=name)
        axes.set(
            title=title, xlabel="level", ylabel="share of truths at or below", xlim=(0, 1), ylim=(0, 1), aspect="equal"
        )
        axes.legend(**OUTSIDE)
    return path


def precision_over_recall(curves: Mapping[str, Curve], base_rate: float, title: str, path: Path) -> Path:
    """Precision over recall of spike probabilities, one line a model; chance has the base rate."""
    with drawing(path, 7.0, 3.8) as figure:
        axes = figure.subplots()
        axes.axhline(base_rate, color=GREY, linewidth=1, linestyle="--", label="chance")
        for colour, (name, (recall, precision)) in coloured(curves):
            axes.step(recall, precision, where="post", linewidth=1.2, color=colour, label=name)
        axes.set(title=title, xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(**OUTSIDE)
    return path


def leads(curves: Mapping[str, Curve], title: str, path: Path) -> Path:
    """Share of spike episodes warned of at least so early, at one false alarm a day, one line a model."""
    longest = max((float(lead[-1]) for lead, _ in curves.values()), default=0.0)
    unit, name = (60, "minutes") if longest >= 600 else (1, "seconds")
    with drawing(path, 7.0, 3.8) as figure:
        axes = figure.subplots()
        for colour, (model, (lead, share)) in coloured(curves):
            axes.step(lead / unit, share, where="pre", color=colour, label=model)
        axes.set(title=title, xlabel=f"{name} of lead, at least", ylabel="share of episodes", ylim=(0, None))
        axes.set_xlim(0, longest / unit)
        axes.legend(**OUTSIDE)
    return path


def cost_against_accuracy(points: Mapping[str, tuple[float, float]], title: str, path: Path) -> Path:
    """One point a model: (skill, what decisions led by it cost against the reactive policy, as a share)."""
    with drawing(path, 7.0, 3.8) as figure:
        axes = figure.subplots()
        axes.axhline(0, color=GREY, linewidth=1)
        for colour, (name, (skill, change)) in coloured(points):
            axes.plot(skill, 100 * change, marker="o", linestyle="", color=colour, label=name)
        axes.margins(0.15)
        axes.set(title=title, xlabel="skill against persistence", ylabel="cost against reactive, %")
        axes.legend(**OUTSIDE)
    return path


def bars(values: Mapping[str, float], limit: float, title: str, path: Path) -> Path:
    """One bar a name, the first on top, and a line at a limit."""
    with drawing(path, 7.6, 1.0 + 0.26 * max(1, len(values))) as figure:
        axes = figure.subplots()
        colours = [RED if value > limit else BLUE for value in values.values()]
        axes.barh(list(values), list(values.values()), color=colours, height=0.7)
        axes.axvline(limit, color=INK, linewidth=1, linestyle="--")
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(title=title)
    return path


Course = tuple[Sequence[float], float | None]  # by day, and what was promised


def over_days(days: Sequence[str], coverage: Course, loss: Course, path: Path) -> Path:
    """Coverage and loss by day, each with what was promised."""
    with drawing(path, 7.6, 4.2) as figure:
        for axes, (values, promised), name in zip(
            figure.subplots(2, 1, sharex=True), (coverage, loss), ("coverage", "loss"), strict=True
        ):
            axes.plot(range(len(days)), values, marker=".", color=BLUE, label="each day")
            if promised is not None:
                axes.axhline(promised, color=INK, linewidth=1, linestyle="--", label="promised")
            axes.set_ylabel(name)
            axes.legend(**OUTSIDE)
        step = max(1, len(days) // 8)
        axes.set_xticks(range(0, len(days), step), list(days)[::step])
    return path


def coloured(lines: Mapping[str, Drawn]) -> Iterator[tuple[str, tuple[str, Drawn]]]:
    """Each name and what is drawn of it, with its colour."""
    return zip(cycle(COLOURS), lines.items(), strict=False)
