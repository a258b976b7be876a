"""Drawings of what features do before a spike: what a classifier loses without them, their paths, and who moves first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from training.report.figures import BLUE, GREY, INK, ORANGE, SOFT, Floats, drawing

SHARES = LinearSegmentedColormap.from_list("shares", ["#d9802e", "#ffffff", "#2864b4"])
COLUMNS = 3


@dataclass(frozen=True)
class Track:
    """One feature around onsets, by offset: quartiles (3, offsets) over onsets and over controls, and the lead in minutes."""

    name: str
    onset: Floats
    control: Floats
    lead_min: float


def importance(names: Sequence[str], drop: Floats, interval: Floats) -> str:
    """Average precision lost by shuffling each feature, with its interval (2, n)."""
    with drawing(9.5, 0.29 * len(names) + 0.9) as (figure, source):
        axes = figure.subplots()
        axes.barh(names, drop, color=BLUE, height=0.62)
        axes.hlines(names, interval[0], interval[1], color=INK, linewidth=1.1)
        axes.axvline(0, color=SOFT, linewidth=0.8)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="average precision lost when the feature is shuffled (line: 90 % interval)")
    return source[0]


def paths(minutes: Floats, tracks: Sequence[Track]) -> str:
    """Median and middle half of each feature before and after onsets, beside quiet times at the same time of day."""
    rows = -(-len(tracks) // COLUMNS)
    with drawing(10.4, 2.25 * rows + 0.5) as (figure, source):
        grid = figure.subplots(rows, COLUMNS, sharex=True, squeeze=False)
        for axes, track in zip(grid.ravel(), tracks, strict=False):
            draw_track(axes, minutes, track)
        for axes in grid.ravel()[len(tracks) :]:
            axes.set_visible(False)
        for axes in grid[-1]:
            axes.set(xlabel="minutes from the onset")
        for axes in grid[:, 0]:
            axes.set(ylabel="standardised")
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=5, fontsize=8.5)
    return source[0]


def draw_track(axes: Axes, minutes: Floats, track: Track) -> None:
    """One small drawing."""
    axes.fill_between(minutes, track.control[0], track.control[2], color=GREY, alpha=0.25, linewidth=0)
    axes.plot(minutes, track.control[1], color=GREY, linewidth=1.2, label="quiet times, median and middle half")
    axes.fill_between(minutes, track.onset[0], track.onset[2], color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(minutes, track.onset[1], color=BLUE, label="onsets, median and middle half")
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=":", label="onset")
    if track.lead_min:
        axes.axvspan(-track.lead_min, 0, ymax=0.035, color=ORANGE, linewidth=0, label="lead")
    axes.set(title=track.name)
    axes.title.set_fontsize(8.5)
    axes.set_xlim(minutes[0], minutes[-1])


def movers(minutes: Floats, names: Sequence[str], share: Floats, lead_min: Sequence[float]) -> str:
    """Share of comparisons (n, offsets) in which onsets lie above quiet times, a row a feature; the lead as a line."""
    step = minutes[1] - minutes[0]
    edges = np.append(minutes, minutes[-1] + step) - step / 2
    with drawing(10.4, 0.29 * len(names) + 1.1) as (figure, source):
        axes = figure.subplots()
        mesh = axes.pcolormesh(edges, np.arange(len(names) + 1), share, cmap=SHARES, vmin=0, vmax=1, edgecolor="white")
        for place, lead in enumerate(lead_min):
            axes.plot([-lead - step / 2, -step / 2], [place + 0.5] * 2, color=INK, linewidth=1.6, solid_capstyle="butt")
        axes.axvline(0, color=INK, linewidth=0.8, linestyle=":")
        axes.set_yticks(np.arange(len(names)) + 0.5, names)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.invert_yaxis()
        axes.set(xlabel="minutes from the onset")
        axes.spines[["left", "bottom"]].set_visible(False)
        figure.colorbar(mesh, ax=axes, label="share above quiet times", pad=0.01, aspect=30)
    return source[0]
