"""The runs of an experiment side by side: one table, two kinds of plots, and where to see each run.

Decided here: the newest finished run of a name stands for it, folds stay inside their backtest, and a run is judged by its test
period, or by its validation period when it had no test.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import DataError
from training import plots
from training.tracking import Record, Store

PARTS = ("test", "validation")
NESTED = "mlflow.parentRunId"


@dataclass(frozen=True)
class Entry:
    """One model's scores on one target: `values` by score name; `part` says in which period."""

    model: str
    kind: str
    target: str
    part: str
    values: dict[str, float]
    page: str
    tick_s: int

    def value(self, name: str) -> float | None:
        """A score, none where it is not defined."""
        return self.values.get(name)

    def curve(self, prefix: str) -> dict[float, float]:
        """Scores of one family by the number in their names: `skill/h` by horizon, `reached/q` by level."""
        found = {name: value for name, value in self.values.items() if name.startswith(prefix)}
        return {float(name.removeprefix(prefix)): value for name, value in found.items()}


def entries(store: Store, experiment: str) -> list[Entry]:
    """Scores of the newest finished run of each name and kind, best skill first within each target.

    Raises DataError when the experiment has no finished run.
    """
    newest: dict[tuple[str, str], Record] = {}
    for record in store.records(experiment):
        if record.status == "FINISHED" and NESTED not in record.tags and scored(record):
            newest.setdefault((record.name, record.tags.get("kind", "fit")), record)
    if not newest:
        raise DataError(
            store.uri,
            expected=f"finished runs of the experiment {experiment!r}",
            found="none; there are " + (", ".join(repr(name) for name in store.experiments()) or "no experiments"),
            remedy="name another with --experiment, or train first",
        )
    found = [entry for record in newest.values() for entry in of_record(record, store)]
    return sorted(found, key=lambda entry: (entry.target, -entry.values.get("skill", 0.0)))


def scored(record: Record) -> list[tuple[str, str]]:
    """(part, target) pairs that a run has scores for: those of the test where there was one."""
    pairs = {tuple(name.split("/")[:2]) for name in record.metrics if name.count("/") >= 2}
    for part in PARTS:
        found = sorted((p, target) for p, target in pairs if p == part)
        if found:
            return found
    return []


def of_record(record: Record, store: Store) -> list[Entry]:
    """One entry a target."""
    kind, tick_s = record.tags.get("kind", "fit"), int(record.tags.get("tick_s", "300"))
    page = store.page(record.experiment_id, record.run_id)
    return [
        Entry(record.name, kind, target, part, below(record.metrics, f"{part}/{target}/"), page, tick_s)
        for part, target in scored(record)
    ]


def below(metrics: dict[str, float], prefix: str) -> dict[str, float]:
    """Metrics whose names begin so, without the beginning."""
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}


def draw(found: Sequence[Entry], folder: Path) -> list[Path]:
    """Skill by horizon and reliability of each target, as files in a folder; returns their paths."""
    paths = []
    for target in sorted({entry.target for entry in found}):
        shown = [entry for entry in found if entry.target == target]
        name = re.sub(r"\W+", "-", target)
        skills = {label(entry): entry.curve("skill/h") for entry in shown}
        reached = {label(entry): entry.curve("reached/q") for entry in shown}
        paths.append(plots.skill_by_horizon(skills, shown[0].tick_s, f"{target}: skill", folder / f"skill-{name}.png"))
        paths.append(plots.reliability(reached, f"{target}: reliability", folder / f"reliability-{name}.png"))
    return paths


def label(entry: Entry) -> str:
    """How an entry is called beside others."""
    return entry.model if entry.kind == "fit" else f"{entry.model} ({entry.kind})"
