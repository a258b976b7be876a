"""The steps of a promotion: judge both on the frozen period, decide, write the card, and let the alias name the new version.

Decided here: the champion lies in an MLflow registry under the alias `champion`, or in a folder where there is no registry; the
verdict is written whatever it is, and only an accepted challenger changes what is served.
"""

import datetime as dt
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.contract import CARD_FILE, CONTRACT_FILE, MODEL_FILE
from data.history import History
from training import artefact as artefacts
from training import evaluation, gallery
from training.artefact import Artefact
from training.comparison import Entry, below
from training.evaluation import Hindsight
from training.fitting import write_json
from training.judging import judge
from training.modelcard import Facts, extended
from training.promotion import Contest, Limits, contest
from training.resolving import from_store, model_folder
from training.tracking import Store, closing, environment

ALIAS = "champion"


@dataclass(frozen=True)
class Trial:
    """What is asked: the challenger, the history, the frozen period, the limits, and the licence of the data."""

    challenger: Path
    history: Path
    since: dt.datetime
    until: dt.datetime
    limits: Limits
    licence: str


@dataclass(frozen=True)
class Judged:
    """The challenger, what it said, how it stands, and its card."""

    artefact: Artefact
    seen: Mapping[str, Hindsight]
    contest: Contest
    card: str

    @property
    def metrics(self) -> dict[str, float]:
        """Scores of the frozen period by flat name."""
        levels = self.artefact.contract.levels
        return evaluation.flat(evaluation.score(self.seen, levels), levels, "test")


def champion_of(name: str, store: Path) -> Path | None:
    """The folder of a registered champion; none when there is none yet."""
    if Store(store).version(name, ALIAS) is None:
        return None
    named = f"models:/{name}@{ALIAS}"
    return from_store(named, store) if Store(store).local else model_folder(named, store)


def champion_in(folder: Path) -> Path | None:
    """The folder itself, none when it holds no artefact yet."""
    return folder if (folder / CONTRACT_FILE).is_file() else None


def decide(trial: Trial, champion: Path | None, out: Path) -> Judged:
    """Judge both, and write the verdict, the card and the plots into a folder. Raises DataError for what cannot be judged."""
    history, challenger = History.open(trial.history), Artefact.open(trial.challenger)
    seen = judge(challenger, history, trial.since, trial.until)
    rival = None if champion is None else Artefact.open(champion)
    other = None if rival is None else (rival, judge(rival, history, trial.since, trial.until))
    found = contest((challenger, seen), other, trial.limits)
    facts = Facts(trial.since.isoformat(), trial.until.isoformat(), trial.licence)
    card = extended((trial.challenger / CARD_FILE).read_text("utf-8"), challenger.contract, seen, found, facts)
    judged = Judged(challenger, seen, found, card)
    draw(judged, out / "plots")
    (out / CARD_FILE).write_text(card, "utf-8")
    write_json(out / "verdict.json", verdict(judged))
    return judged


def verdict(judged: Judged) -> dict[str, object]:
    """The content of `verdict.json`."""
    found = judged.contest
    return {
        "model": judged.artefact.contract.name,
        "contract_digest": judged.artefact.contract.digest,
        "promoted": not found.reasons,
        "reasons": found.reasons,
        "rival": found.rival,
        "gain": found.gain,
        "interval": found.interval,
        "differences": {target: vars(one) for target, one in found.differences.items()},
        "guards": [vars(one) for one in found.guards],
        "metrics": judged.metrics,
    }


def draw(judged: Judged, folder: Path) -> None:
    """The plots of a run, of the frozen period."""
    contract, metrics = judged.artefact.contract, judged.metrics
    tick_s = contract.panel.tick_s
    entries = [
        Entry(contract.name, "fit", name, "test", below(metrics, f"test/{name}/"), "", tick_s, "")
        for name in judged.seen
    ]
    gallery.draw(entries, {("", name): one for name, one in judged.seen.items()}, folder)


def enrol(judged: Judged, name: str, store: Path, out: Path) -> str:
    """Register the challenger with card and plots, and let the alias name it; returns the version."""
    contract, opened = judged.artefact.contract, Store(store)
    tags = {"kind": "promotion", "task": contract.task, "tick_s": str(contract.panel.tick_s), **environment()}
    run = opened.start(f"{contract.task}-promotion", contract.name, tags)
    with closing(run), tempfile.TemporaryDirectory() as place:
        run.metrics(judged.metrics)
        run.file(out / "verdict.json")
        run.file(out / "plots", "plots")
        staged = Path(place) / "artefact"
        staged.mkdir()
        for file in (MODEL_FILE, CONTRACT_FILE):
            shutil.copy(judged.artefact.folder / file, staged / file)
        (staged / CARD_FILE).write_text(judged.card, "utf-8")
        shutil.copytree(out / "plots", staged / "plots")
        marks = {"contract_digest": contract.digest, "task": contract.task}
        version = opened.register(name, run.model(staged, contract), marks, judged.card)
    opened.point(name, ALIAS, version)
    return version


def install(judged: Judged, folder: Path) -> None:
    """Put the challenger into the champion's folder."""
    model = (judged.artefact.folder / MODEL_FILE).read_bytes()
    artefacts.write(folder, model, judged.artefact.contract, judged.card)
