"""The page of a backtest: who is ahead of the best baseline, how surely, where, and how it looks.

Decided here: the order of the columns, and that a difference is called one only when its interval leaves out zero.
"""

from collections.abc import Sequence
from pathlib import Path

from training import gallery, plots
from training.backtest import Result, gains
from training.comparison import Entry, below
from training.folds import Rolling
from training.report.page import Page, Section, Table, picture, write_page
from training.significance import Difference
from training.slices import REGIMES
from training.summary import shown

TEXT = (
    "Skill is 1 − pinball loss / loss of the reference, which is the last known value plus its past changes; the 90 % interval "
    "comes from resampling whole days, and the loss is averaged over seeds. The gain is the difference of skill to the best "
    "baseline on the same issue times. Recall is the share of spike episodes warned of before they begin, at one false alarm a day."
)
HEADER = (
    "model",
    "skill",
    "90 %",
    "seeds",
    "gain over the best baseline",
    "cover",
    "crossing",
    "PR-AUC",
    "recall",
    "lead, s",
)


def write(results: Sequence[Result], rolling: Rolling) -> Path:
    """Draw everything and write `report.html` into the backtest's folder; returns its path."""
    return write_page(page(results, rolling), rolling.home / "report.html")


def page(results: Sequence[Result], rolling: Rolling) -> Page:
    """The whole report."""
    drawn = draw(results, rolling.home / "plots")
    found = gains(results)
    targets = sorted({target for result in results for target in result.seen})
    sections = tuple(section(target, results, found, drawn) for target in targets)
    way = "fitted anew at each" if rolling.refit else "fitted once, at the first"
    subtitle = (
        f"{rolling.folds} origins from {rolling.origin:%Y-%m-%d %H:%M} UTC, {rolling.step_days:g} days apart; {way}; "
        f"seeds {', '.join(map(str, rolling.seeds)) or 'of the configurations'}."
    )
    return Page("Backtest", subtitle, (), (Section("How to read this", (TEXT,)), *sections))


def draw(results: Sequence[Result], folder: Path) -> list[Path]:
    """The plots of a comparison, and skill by hour."""
    found = [
        Entry(one.name, "fit", target, "test", below(one.metrics, f"test/{target}/"), one.page, one.tick_s, one.name)
        for one in results
        for target in one.seen
    ]
    seen = {(one.name, target): hindsight for one in results for target, hindsight in one.seen.items()}
    drawn = gallery.draw(found, seen, folder)
    for target in sorted({entry.target for entry in found}):
        curves = {entry.label: entry.curve("skill_hour/h") for entry in found if entry.target == target}
        path = gallery.file("hour", target, folder)
        drawn.append(plots.skill_by_hour(curves, f"{target}: skill by hour of the UTC day", path))
    return drawn


def section(
    target: str,
    results: Sequence[Result],
    found: dict[tuple[str, str], tuple[str, Difference | None]],
    drawn: Sequence[Path],
) -> Section:
    """One target."""
    shown_here = [one for one in results if target in one.seen]
    rows = tuple(row(one, target, found.get((one.name, target))) for one in shown_here)
    best = max(range(len(shown_here)), key=lambda place: shown_here[place].metrics.get(f"test/{target}/skill", -9.0))
    tables = [Table(HEADER, rows, frozenset({best})), regimes(shown_here, target), *costs(shown_here, target)]
    names = [gallery.file(kind, target, Path()).name for kind in CAPTIONS]
    files = {path.name: path for path in drawn}
    figures = tuple(
        picture(files[name], text) for name, text in zip(names, CAPTIONS.values(), strict=True) if name in files
    )
    return Section(target, (), figures, tuple(tables))


CAPTIONS = {
    "skill": "Skill over the time ahead.",
    "hour": "Skill over the hour of the UTC day at issue; some hours have few issue times.",
    "reliability": "Share of truths at or below each quantile; on the diagonal the quantiles say what they mean.",
    "precision": "Precision over recall of the onsets of spikes.",
    "lead": "Share of spike episodes warned of at least so early, at one false alarm a day.",
    "cost": "Cost of the decisions led by a forecast against the reactive policy, over accuracy: the two may disagree.",
}


def row(result: Result, target: str, gain: tuple[str, Difference | None] | None) -> tuple[str, ...]:
    """One model in the table of scores."""
    found = below(result.metrics, f"test/{target}/")
    interval, seeds = (
        f"{shown(found.get(f'{name}_low'))} .. {shown(found.get(f'{name}_high'))}" for name in ("skill", "skill_seed")
    )
    rest = (shown(found.get(key)) for key in ("coverage", "crossing", "pr_auc", "recall"))
    several = seeds if "skill_seed_low" in found else "one"
    lead = found.get("median_lead_s")
    end = "-" if lead is None else f"{lead:.0f}"
    return (result.name, shown(found.get("skill")), interval, several, told(gain), *rest, end)


def told(gain: tuple[str, Difference | None] | None) -> str:
    """A gain over a baseline in words."""
    if gain is None:
        return "baseline"
    name, one = gain
    if one is None or one.interval is None:
        return "too few days" if one else f"nothing shared with {name}"
    verdict = "" if one.better or one.worse else ", no difference"
    return f"{one.gain:+.3f} [{one.interval[0]:+.3f}, {one.interval[1]:+.3f}] ({name}{verdict})"


def regimes(results: Sequence[Result], target: str) -> Table:
    """Skill and coverage by regime."""
    header = ("model", *(f"skill, {name}" for name in REGIMES), *(f"coverage, {name}" for name in REGIMES))
    keys = [f"test/{target}/{kind}_regime/{name}" for kind in ("skill", "coverage") for name in REGIMES]
    return Table(header, tuple((one.name, *(shown(one.metrics.get(key)) for key in keys)) for one in results))


def costs(results: Sequence[Result], target: str) -> list[Table]:
    """What decisions cost, where they were priced."""
    where = f"test/{target}/cost_"
    priced = [one for one in results if f"{where}usd" in one.metrics]
    rows = tuple(
        (
            one.name,
            f"{one.metrics[f'{where}usd']:,.0f}",
            f"{one.metrics[f'{where}reactive_usd']:,.0f}",
            f"{100 * one.metrics[f'{where}change']:+.1f} %",
        )
        for one in priced
    )
    return [Table(("model", "cost, USD", "reactive, USD", "change"), rows)] if priced else []
