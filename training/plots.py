"""Drawings that travel with runs: forecasts against what came true, skill by horizon, reliability. Files, no windows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from training.metrics import Issued
from training.report.figures import BLUE, GREY, INK, STYLE

STRETCH = 288  # issue times shown of a forecast: enough to see a surge and the calm around it
DPI = 130


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
    """Skill over minutes ahead, one line a model."""
    with drawing(path, 6.4, 3.8) as figure:
        axes = figure.subplots()
        for name, curve in curves.items():
            steps = sorted(curve)
            axes.plot([step * tick_s / 60 for step in steps], [curve[step] for step in steps], marker=".", label=name)
        axes.axhline(0, color=GREY, linewidth=1)
        axes.set(title=title, xlabel="minutes ahead", ylabel="skill against persistence")
        axes.legend(loc="best")
    return path


def reliability(curves: Mapping[str, Mapping[float, float]], title: str, path: Path) -> Path:
    """Share of truths at or below each quantile over its level, one line a model; the diagonal is calibrated."""
    with drawing(path, 4.6, 4.2) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        for name, curve in curves.items():
            levels = sorted(curve)
            axes.plot(levels, [curve[level] for level in levels], marker=".", label=name)
        axes.set(title=title, xlabel="level", ylabel="share of truths at or below")
        axes.legend(loc="upper left")
    return path
