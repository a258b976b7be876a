"""Drawings of what sidecars lived through, side by side on one axis of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from training.report.figures import BLUE, GREEN, INK, ORANGE, RED, VIOLET, Floats, drawing


@dataclass(frozen=True)
class Line:
    """One record, seconds counted from the surge: reviews (n,) in orders a second, then orders by bins (m,) of time.

    `refused` is orders a second that were not served, `on_time` the shares of the first tier and of all (2, m), NaN
    where none came. `marks` are the times at which the extra unit was ordered and warm, where it was.
    """

    name: str
    seconds: Floats
    demand: Floats
    ordered: Floats
    warm: Floats
    used: Floats
    bins: Floats
    refused: Floats
    on_time: Floats
    marks: tuple[float | None, float | None]


def timeline(lines: Sequence[Line], tier: str) -> str:
    """Demand and capacity above, what was not served and what was on time below, a column a record."""
    with drawing(10.4, 5.8) as (figure, source):
        grid = figure.subplots(3, len(lines), sharex=True, sharey="row", height_ratios=(2.2, 1, 1), squeeze=False)
        for column, line in enumerate(lines):
            draw_capacity(grid[0, column], line)
            grid[1, column].step(line.bins, line.refused, color=RED, where="post")
            grid[1, column].fill_between(line.bins, line.refused, step="post", color=RED, alpha=0.35, linewidth=0)
            for share, colour, name in zip(
                line.on_time, (BLUE, VIOLET), (f"{tier} on time", "all on time"), strict=True
            ):
                grid[2, column].step(line.bins, 100 * share, color=colour, where="post", label=name)
            grid[2, column].set(xlabel="seconds from the surge", ylim=(-4, 104))
        for row, label in zip(grid[:, 0], ("orders/s", "not served, 1/s", "on time, %"), strict=True):
            row.set_ylabel(label)
        grid[1, 0].set_ylim(0, max(1.0, 1.1 * max(float(line.refused.max(initial=0.0)) for line in lines)))
        named = dict[str, Any]()
        for axes in (*grid[0], *grid[2]):
            handles, labels = axes.get_legend_handles_labels()
            named.update(zip(labels, handles, strict=True))
        figure.legend(list(named.values()), list(named), loc="outside upper left", ncols=4, fontsize=8.5)
    return source[0]


def draw_capacity(axes: Axes, line: Line) -> None:
    """Demand beside the capacity that was ordered, warm and used, and when the extra unit was ordered and warm."""
    axes.fill_between(line.seconds, line.used, step="post", color=GREEN, alpha=0.16, linewidth=0, label="capacity used")
    axes.step(line.seconds, line.warm, color=GREEN, where="post", label="capacity warm")
    axes.step(
        line.seconds, line.ordered, color=ORANGE, linewidth=1.1, linestyle=":", where="post", label="capacity ordered"
    )
    axes.plot(line.seconds, line.demand, color=INK, linewidth=1.2, label="demand")
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=":")
    for at, colour, text in zip(line.marks, (ORANGE, GREEN), ("ordered", "warm"), strict=True):
        if at is not None:
            axes.axvline(at, color=colour, linewidth=0.8, linestyle="--")
            axes.annotate(f"{text} {at:+.0f} s", (at, 0.97), xycoords=("data", "axes fraction"), rotation=90, va="top", ha="right",
                          fontsize=8, color=colour)  # fmt: skip
    axes.set(title=line.name)
    axes.set_ylim(bottom=0)
