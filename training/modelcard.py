"""What is added to a model's card when it is promoted: how it did on the frozen period, where it is weak, and its data's licence.

Decided here: known failures are the slices (regime, hour, horizon) of the frozen period where skill is not positive or coverage
is far from nominal, the worst first; a card that names none says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from data.contract import Contract
from training.alarms import AlarmScore, score_alarms
from training.evaluation import Hindsight
from training.metrics import score_quantiles
from training.promotion import Contest, words
from training.slices import Slice, slices

FAR = 0.07  # of coverage from nominal, beyond which a slice is named
NAMED = 8  # weak slices of a target that are listed
MARK = "\n## Promotion\n"


@dataclass(frozen=True)
class Facts:
    """What a card says beyond the scores: the frozen period as ISO 8601 times, and the licence of the data."""

    since: str
    until: str
    licence: str


def extended(card: str, contract: Contract, seen: Mapping[str, Hindsight], contest: Contest, facts: Facts) -> str:
    """The card with its chapter of promotion; an older such chapter is replaced."""
    lines = [
        card.partition(MARK)[0].rstrip(),
        MARK,
        f"Judged on {facts.since} to {facts.until}, which it was not fitted, stopped or calibrated on.",
        "",
        *scores(seen, contract.levels),
        *versus(contest),
        *guards(contest),
        "### Known failures",
        "",
        *failures(seen, contract),
        "",
        "### Data",
        "",
        f"Licence of the data it learnt from: {facts.licence}.",
        "",
        "### Plots",
        "",
        *(f"![{name} of {target}](plots/{name}-{target}.png)" for target in seen for name in ("skill", "reliability")),
        "",
    ]
    return "\n".join(lines)


def scores(seen: Mapping[str, Hindsight], levels: tuple[float, ...]) -> list[str]:
    """Scores with 90 % intervals over resampled days."""
    rows = [
        "| target | skill | coverage | PR-AUC | recall at 1 false alarm a day | issue times |",
        "|---|---|---|---|---|---|",
    ]
    for target, one in seen.items():
        quantiles = score_quantiles(one.issued, levels)
        alarms = None if one.onsets is None else score_alarms(one.onsets)
        if quantiles is not None:
            cells = (
                plain(quantiles.skill, quantiles.skill_interval),
                f"{quantiles.coverage:.3f}",
                *told_alarms(alarms),
            )
            rows.append(f"| {target} | {' | '.join(cells)} | {quantiles.issues} |")
    return [*rows, ""]


def told_alarms(alarms: AlarmScore | None) -> tuple[str, str]:
    """PR-AUC and recall in words, dashes where they are not defined."""
    if alarms is None or alarms.pr_auc is None:
        return "-", "-"
    recall = "-" if alarms.recall is None else f"{alarms.recall:.2f} of {alarms.episodes}"
    return plain(alarms.pr_auc, alarms.pr_auc_interval), recall


def plain(value: float, interval: tuple[float, float] | None) -> str:
    """A score with its interval."""
    return f"{value:.3f}" + ("" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]")


def versus(contest: Contest) -> list[str]:
    """Gains over what it replaces."""
    rows = [f"### Against {contest.rival}", "", "| target | gain of skill | p, Diebold-Mariano |", "|---|---|---|"]
    for target, one in contest.differences.items():
        p = "-" if one.dm_p is None else f"{one.dm_p:.3g}"
        rows.append(f"| {target} | {words(one.gain, one.interval)} | {p} |")
    return [*rows, f"| mean | {words(contest.gain, contest.interval)} | |", ""]


def guards(contest: Contest) -> list[str]:
    """What it had to keep."""
    rows = [f"| {one.name} | {one.limit} | {one.found} |" for one in contest.guards]
    return ["### Guards", "", "| guard | limit | found |", "|---|---|---|", *rows, ""]


def failures(seen: Mapping[str, Hindsight], contract: Contract) -> list[str]:
    """Where not to trust it."""
    nominal = contract.levels[-1] - contract.levels[0]
    found = []
    for target, one in seen.items():
        weak = [part for part in slices(one.issued, contract.levels) if is_weak(part, nominal)]
        found += [told(target, part) for part in sorted(weak, key=lambda part: part.skill)[:NAMED]]
    return found or [
        f"- None found: every regime, hour and horizon has positive skill and coverage within {FAR:g} of nominal."
    ]


def is_weak(part: Slice, nominal: float) -> bool:
    """Whether a slice is worth a warning."""
    return part.skill <= 0 or abs(part.coverage - nominal) > FAR


def told(target: str, part: Slice) -> str:
    """A weak slice in words."""
    return (
        f"- {target}, {part.kind} {part.name}: skill {plain(part.skill, part.interval)}, coverage {part.coverage:.3f}"
    )
