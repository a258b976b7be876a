"""The runs of an experiment side by side: who is ahead, by how much and how surely, and where to see each run.

Decided here: the newest finished run of a name stands for it, folds and trials stay inside their parents, a run is judged by its
test period, or by its validation period when it had no test, and in each target every run is compared with one reference (the
run named, else the best) on the issue times that both have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.errors import DataError
from training.evaluation import Hindsight, restore
from training.significance import Difference, difference, holm, pair
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
    run_id: str

    def value(self, name: str) -> float | None:
        """A score, none where it is not defined."""
        return self.values.get(name)

    def curve(self, prefix: str) -> dict[float, float]:
        """Scores of one family by the number in their names: `skill/h` by horizon, `reached/q` by level."""
        found = {name: value for name, value in self.values.items() if name.startswith(prefix)}
        return {float(name.removeprefix(prefix)): value for name, value in found.items()}

    @property
    def levels(self) -> tuple[float, ...]:
        """Levels of the quantiles, ascending."""
        return tuple(sorted(self.curve("reached/q")))

    @property
    def label(self) -> str:
        """How it is called beside others."""
        return self.model if self.kind == "fit" else f"{self.model} ({self.kind})"


Seen = Mapping[tuple[str, str], Hindsight]  # by run and target


@dataclass(frozen=True)
class Standing:
    """An entry beside the reference of its target; `against` is none for the reference itself and where nothing is shared.

    `p` is that of the difference, raised for the number of comparisons within the target (Holm).
    """

    entry: Entry
    reference: Entry
    against: Difference | None
    p: float | None


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
        Entry(record.name, kind, target, part, below(record.metrics, f"{part}/{target}/"), page, tick_s, record.run_id)
        for part, target in scored(record)
    ]


def below(metrics: dict[str, float], prefix: str) -> dict[str, float]:
    """Metrics whose names begin so, without the beginning."""
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}


def hindsights(found: Sequence[Entry], store: Store, folder: Path) -> Seen:
    """What each run said beside what came, fetched from the store into a folder; runs that keep none are left out."""
    seen: dict[tuple[str, str], Hindsight] = {}
    for run_id, part in sorted({(entry.run_id, entry.part) for entry in found}):
        place = folder / run_id
        place.mkdir(parents=True, exist_ok=True)
        path = store.fetch(run_id, f"{part}.npz", place)
        if path is not None:
            seen |= {(run_id, target): one for target, one in restore(path).items()}
    return seen


def standings(found: Sequence[Entry], seen: Seen, reference: str | None = None) -> list[Standing]:
    """Every entry against the reference of its target, in the order of the entries.

    Raises DataError when no run is called as the reference is.
    """
    names = {entry.model for entry in found}
    if reference is not None and reference not in names:
        raise DataError(
            "--reference", expected=f"one of {', '.join(sorted(names))}", found=repr(reference), remedy="correct it"
        )
    return [
        standing
        for target in sorted({entry.target for entry in found})
        for standing in within([entry for entry in found if entry.target == target], seen, reference)
    ]


def within(found: Sequence[Entry], seen: Seen, reference: str | None) -> list[Standing]:
    """The entries of one target, the best first."""
    chosen = next((entry for entry in found if entry.model == reference), found[0])
    against = [None if entry is chosen else versus(entry, chosen, seen) for entry in found]
    raised = holm([None if one is None else one.p for one in against])
    return [Standing(entry, chosen, one, p) for entry, one, p in zip(found, against, raised, strict=True)]


def versus(entry: Entry, other: Entry, seen: Seen) -> Difference | None:
    """An entry against another; none where they share nothing that could be compared."""
    first, second = (seen.get((one.run_id, one.target)) for one in (entry, other))
    if first is None or second is None or entry.tick_s != other.tick_s:
        return None
    paired = pair(first.issued, second.issued, (entry.levels, other.levels))
    return None if paired is None else difference(paired)


def described(standing: Standing) -> dict[str, object]:
    """A standing as the content of a file."""
    entry, against = standing.entry, standing.against
    return {
        "model": entry.model,
        "kind": entry.kind,
        "target": entry.target,
        "part": entry.part,
        "run_id": entry.run_id,
        "values": entry.values,
        "reference": standing.reference.label,
        "difference": None if against is None else {**vars(against), "p_holm": standing.p},
    }
