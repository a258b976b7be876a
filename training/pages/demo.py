"""The report of the demo: the forecasts around the largest surge, the models, the closed loop, and where to look further.

Decided here: the surge that is shown is the largest of the held-out days, whatever the model made of it.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data import panel
from data.contract import Contract
from data.history import History
from training.artefact import Artefact
from training.fitting import METRICS
from training.forecasting import Forecasts, issue
from training.report import figures
from training.report.page import Card, Figure, Page, Section, Table, read_page, write_page
from training.story import MODELS, Periods, Story, best

AROUND_S = 4 * 3600
ISSUED_S = (-5400, -1800, 0, 3600, 7200)
TITLES = {
    "volatility": ("Volatility of the market", "ln of Parkinson volatility per 5 min"),
    "congestion": ("Congestion of the chain", "ln of the base fee in gwei"),
}


def write_report(story: Story, periods: Periods, origin: str) -> Path:
    """Write `report.html` into the demo's folder; returns its path."""
    return write_page(page(story, periods, origin), story.home / "report.html")


def page(story: Story, periods: Periods, origin: str) -> Page:
    """The whole report."""
    replayed, told = (read_page(folder / "report.json") for folder in (story.replay, story.told))
    tables = (models(story, "panel"), models(story, "demand"))
    sections = (
        forecasts(story, periods),
        Section("The models, on days that none of them had seen", (MODEL_TEXT,), tables=tables),
        Section("The closed loop, on these orders", (replayed.subtitle + ".", LOOP_TEXT)),
        *replayed.sections,
        Section("The closed loop, when a surge is told", (told.subtitle + ".", TOLD_TEXT)),
        *told.sections,
        Section("Look further", code="\n".join(look_further(story))),
    )
    subtitle = f"On {origin}. Held out: the panel from {periods.panel:%Y-%m-%d}, orders from {periods.demand:%Y-%m-%d %H:%M} UTC."
    return Page(
        "Predictive traffic shaper: the whole story", subtitle, (*cards(story), *told.cards, *replayed.cards), sections
    )


MODEL_TEXT = (
    "Skill is 1 − pinball loss / loss of the reference, which is the last known value plus its past changes; the 90 % interval "
    "comes from resampling whole days. Coverage is the share of truths within the 5-95 % band. The bold model was exported: it "
    "was the better learned one on its validation period, not on the days reported here."
)
LOOP_TEXT = (
    "Every policy sees the same orders, measured at the same time, and orders capacity that arrives after the delay. "
    "What differs is only how much it orders, and when. Where nothing in the history tells of a surge, a forecast cannot lead it."
)
TOLD_TEXT = (
    "Here the forecast is a stated one in place of a trained one, so that it can be asked what a warning is worth: it comes 90 s "
    "ahead of nine surges in ten, and half of the warnings are false."
)


def cards(story: Story) -> tuple[Card, ...]:
    """Skill of the exported panel model on the held-out days."""
    metrics = read_metrics(story, "panel", best(story, "panel"))
    found = [(name, metrics.get(f"test/{name}/skill")) for name in ("volatility", "congestion")]
    return tuple(
        Card(f"{skill:.2f}", f"skill for {name}, an hour ahead in 5-min steps")
        for name, skill in found
        if skill is not None
    )


def read_metrics(story: Story, task: str, model: str) -> dict[str, float]:
    """Metrics of a fitted run."""
    found: dict[str, float] = json.loads((story.run_folder(task, model) / METRICS).read_text("utf-8"))
    return found


def models(story: Story, task: str) -> Table:
    """The models of a task, one row a target; the exported one is marked."""
    rows: list[tuple[str, ...]] = []
    chosen, marked = best(story, task), []
    for model in MODELS:
        metrics = read_metrics(story, task, model)
        for target in sorted({key.split("/")[1] for key in metrics if key.startswith("test/")}):
            if model == chosen:
                marked.append(len(rows))
            rows.append((f"{task}-{model}", target, *scores(metrics, f"test/{target}/")))
    header = (
        "model",
        "target",
        "skill [90 %]",
        "coverage 5-95 %",
        "onset PR-AUC",
        "base rate",
        "recall at 1 false alarm a day",
    )
    return Table(header, tuple(rows), frozenset(marked))


def scores(metrics: dict[str, float], where: str) -> tuple[str, ...]:
    """The cells of one model and target."""

    def shown(name: str, form: str = ".3f") -> str:
        value = metrics.get(where + name)
        return "–" if value is None else format(value, form)

    skill = f"{shown('skill')} [{shown('skill_low')}, {shown('skill_high')}]"
    return skill, shown("coverage", ".1%"), shown("pr_auc"), shown("base_rate"), shown("recall", ".0%")


def forecasts(story: Story, periods: Periods) -> Section:
    """Fans against the truth around the largest surge of each panel target."""
    artefact, history = Artefact.open(story.artefact("panel")), History.open(story.history)
    contract = artefact.contract
    rows = panel.build(history, contract.panel, contract.feature_names, periods.panel, periods.panel_end)
    issued = issue(artefact, history, periods.panel, periods.panel_end)
    drawn = tuple(fan(contract, rows, issued, place) for place in range(len(contract.targets)))
    text = (
        "What was forecast before, during and after the largest surge of the held-out days. Dotted lines: the times of issue; "
        "the bands hold 50, 80 and 90 % of the truths if the model is calibrated."
    )
    return Section("The forecast against what came", (text,), drawn)


def fan(contract: Contract, rows: panel.Rows, issued: Forecasts, place: int) -> Figure:
    """The fans of one target around its largest surge."""
    target, tick_s = contract.targets[place], contract.panel.tick_s
    value = rows.column(target.value).astype(np.float64)
    threshold = rows.column(target.threshold or target.value).astype(np.float64)
    onset = largest(value, threshold, AROUND_S // tick_s)
    stretch = slice(max(onset - AROUND_S // tick_s, 0), onset + AROUND_S // tick_s)
    hours = (rows.ticks - rows.ticks[onset]) / 3600
    fans = [
        one_fan(contract, issued, place, onset + at // tick_s, float(hours[onset + at // tick_s])) for at in ISSUED_S
    ]
    title, unit = TITLES.get(target.name, (target.name, target.unit))
    drawing = figures.forecast_fan(hours[stretch], value[stretch], fans, threshold[stretch], (title, unit))
    when = np.datetime64(int(rows.ticks[onset]), "s").astype(str).replace("T", " ")[:16]
    return Figure(drawing, f"{title} around its largest surge of the held-out days ({when} UTC).")


def largest(value: NDArray[np.float64], threshold: NDArray[np.float64], margin: int) -> int:
    """Index of the value furthest above its threshold, at least `margin` from either end."""
    excess = np.nan_to_num(value - threshold, nan=-np.inf)
    excess[: 2 * margin], excess[-margin:] = -np.inf, -np.inf
    return int(np.argmax(excess))


def one_fan(contract: Contract, issued: Forecasts, place: int, index: int, hour: float) -> figures.Fan:
    """The quantiles issued at one tick."""
    ahead = hour + np.array(contract.horizons) * contract.panel.tick_s / 3600
    return figures.Fan(hour, ahead, issued.quantiles[index, :, place].astype(np.float64))


def look_further(story: Story) -> tuple[str, ...]:
    """Commands to type next."""
    database = (story.home / "mlflow" / "mlflow.db").resolve()
    return (
        f"mlflow ui --backend-store-uri sqlite:///{database}     # every run, with parameters, metrics and plots",
        f"shaper compare --experiment demo-panel --store {story.home / 'mlflow'}",
        f"open {story.replay / 'report.html'}     # the replay alone; its figures are in results.json",
        "shaper serve --config serving/deploy/shaper.toml     # forecasts and plans over HTTP",
    )
