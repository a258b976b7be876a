"""Drawings of forecasts and replays as SVG source: no pyplot, no global state, equal input gives equal bytes."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, SOFT, GRID = "#1b2530", "#5b6875", "#e3e8ed"
BLUE, ORANGE, GREEN, RED, VIOLET, GREY = "#2864b4", "#d9802e", "#2a8f6b", "#bf4a3a", "#7b5ea7", "#9aa7b4"
POLICY_COLOURS = {"static": GREY, "reactive": ORANGE, "forecast-led": BLUE, "clairvoyant": GREEN}
CAUSE_COLOURS = {"capacity": "#8fb3dc", "delay": "#e7b27a", "rejection": "#cf7567", "fees": "#9cc7ae"}
STYLE = Path(__file__).with_name("house.mplstyle")
Floats = NDArray[np.floating]


@contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Figure, list[str]]]:
    """A figure of the house style (inches), and a list that holds its SVG source when the block ends."""
    source: list[str] = []
    with style.context(STYLE):
        figure = Figure(figsize=(width, height))
        yield figure, source
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    source.append(text[text.index("<svg") :])


@dataclass(frozen=True)
class Fan:
    """Quantiles issued at one time: `hours` (H,) of the horizons on the axis of the drawing, `quantiles` (H, levels)."""

    issued_hour: float
    hours: Floats
    quantiles: Floats


def forecast_fan(hours: Floats, truth: Floats, fans: Sequence[Fan], threshold: Floats, names: tuple[str, str]) -> str:
    """Truth over time, the fans issued on the way, and the level whose crossing is a spike; names = (title, unit)."""
    with drawing(10, 3.2) as (figure, source):
        axes = figure.subplots()
        for fan in fans:
            half = fan.quantiles.shape[1] // 2
            for k in range(half):
                label = f"forecast, {('5-95', '10-90', '25-75')[k]} %" if fan is fans[0] and half == 3 else None
                axes.fill_between(
                    fan.hours,
                    fan.quantiles[:, k],
                    fan.quantiles[:, -1 - k],
                    color=BLUE,
                    alpha=0.16,
                    linewidth=0,
                    label=label,
                )
            axes.plot(fan.hours, fan.quantiles[:, half], color=BLUE, linewidth=1.1)
            axes.axvline(fan.issued_hour, color=BLUE, linewidth=0.7, linestyle=":")
        axes.plot(hours, threshold, color=RED, linewidth=0.9, linestyle="--", label="spike threshold")
        axes.plot(hours, truth, color=INK, linewidth=1.2, label="what came")
        axes.set(title=names[0], ylabel=names[1], xlabel="hours from the surge")
        axes.legend(loc="upper left", ncols=5, fontsize=8.5)
    return source[0]


@dataclass(frozen=True)
class Course:
    """How one policy went through a stretch of time; all arrays are (slots,), rates in orders a second."""

    policy: str
    demand: Floats
    ordered: Floats
    ready: Floats
    queued: Floats
    refused: Floats
    foreseen: bool = False  # whether the policy reads the forecast that the drawing shows


def surge(minutes: Floats, courses: Sequence[Course], band: tuple[Floats, Floats] | None) -> str:
    """Two or more policies side by side through one surge: demand and capacity above, queue and refusals below."""
    with drawing(10.4, 5.4) as (figure, source):
        grid = figure.subplots(3, len(courses), sharex=True, sharey="row", height_ratios=(2.2, 1, 1), squeeze=False)
        for column, course in enumerate(courses):
            top, middle, bottom = grid[:, column]
            if band is not None and course.foreseen:
                top.fill_between(
                    minutes, *band, color=BLUE, alpha=0.18, linewidth=0, label="forecast at the lead, 5-95 %"
                )
            top.plot(minutes, course.demand, color=INK, linewidth=1.1, label="demand")
            top.step(
                minutes,
                course.ordered,
                color=ORANGE,
                linewidth=1.0,
                linestyle=":",
                where="post",
                label="capacity ordered",
            )
            top.step(minutes, course.ready, color=GREEN, where="post", label="capacity arrived")
            top.set(title=course.policy)
            middle.fill_between(minutes, course.queued, color=VIOLET, alpha=0.5, linewidth=0)
            bottom.fill_between(minutes, course.refused, color=RED, alpha=0.6, linewidth=0)
            bottom.set(xlabel="minutes from the surge")
            bottom.set_ylim(0, max(1.0, 1.1 * bottom.dataLim.ymax))
        grid[0, 0].set_ylim(0, 1.1 * max(max(course.demand.max(), course.ready.max()) for course in courses))
        named = dict[str, Any]()
        for axes in grid[0]:
            handles, labels = axes.get_legend_handles_labels()
            named.update(zip(labels, handles, strict=True))
        figure.legend(list(named.values()), list(named), loc="outside upper left", ncols=len(named), fontsize=8.5)
        for row, label in zip(grid[:, 0], ("orders/s", "queued orders", "lost orders/s"), strict=True):
            row.set_ylabel(label)
    return source[0]


def cost_bars(policies: Sequence[str], costs: Mapping[str, Sequence[float]]) -> str:
    """Cost of each policy in USD, stacked by cause."""
    with drawing(9.5, 0.55 * len(policies) + 1.1) as (figure, source):
        axes = figure.subplots()
        left = np.zeros(len(policies))
        for cause, values in costs.items():
            axes.barh(policies, values, left=left, color=CAUSE_COLOURS.get(cause, GREY), label=cause, height=0.62)
            left += np.asarray(values)
        for place, total in enumerate(left):
            axes.text(total, place, f"  {total:,.0f}", va="center", color=SOFT, fontsize=9)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="cost, USD")
        axes.margins(x=0.12)
        figure.legend(loc="outside upper left", ncols=len(costs), fontsize=8.5)
    return source[0]


def regret_by_delay(delays_s: Sequence[float], regret: Mapping[str, Sequence[float]]) -> str:
    """Regret of each policy over the actuation delay of the capacity lever."""
    with drawing(9.5, 3.2) as (figure, source):
        axes = figure.subplots()
        draw_lines(axes, delays_s, regret)
        axes.set(xlabel="actuation delay of the capacity lever, s", ylabel="regret (cost / clairvoyant − 1)")
        axes.set_ylim(bottom=0)
        axes.legend(loc="best")
    return source[0]


def draw_lines(axes: Axes, x: Sequence[float], lines: Mapping[str, Sequence[float]]) -> None:
    """One marked line a name, in the policies' colours."""
    for name, values in lines.items():
        axes.plot(x, values, marker="o", markersize=4, color=POLICY_COLOURS.get(name, VIOLET), label=name)
