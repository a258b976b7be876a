"""From a run folder or a checkpoint to an artefact, which is also kept with the run in MLflow.

Decided here: where in a run folder the model lies. A checkpoint is exported as it is, without calibration.
"""

from pathlib import Path

from data.contract import CARD_FILE, MODEL_FILE, read_contract
from data.errors import DataError
from training import artefact, bundle
from training.artefact import Artefact
from training.export import export
from training.fitting import ARTEFACT, MODEL, recorded_run
from training.tracking import Run, Store


def export_run(source: Path, out: Path) -> float:
    """Write the artefact of a run folder or a checkpoint file; returns the parity measured (0 for a graph made at the fit).

    Raises DataError, and writes nothing, when there is no model at `source`, the graph disagrees with the model, or `out`
    holds something else.
    """
    if (source / ARTEFACT).is_dir():
        copy(source / ARTEFACT, out)
        parity = 0.0
    else:
        found = bundle.load(model_file(source))
        parity = export(found.served, found.contract, out, found.samples)
    run = recorded(source)
    if run is not None:
        run.model(out, read_contract(out))
    return parity


def model_file(source: Path) -> Path:
    """The file that holds the model. Raises DataError when there is none."""
    path = source / MODEL if source.is_dir() else source
    if not path.is_file():
        raise DataError(
            str(source),
            expected=f"a run folder with {MODEL}, or a checkpoint",
            found="a folder without one" if source.is_dir() else "no such file",
            remedy="name a folder below var/runs that `shaper train fit` finished",
        )
    return path


def copy(source: Path, out: Path) -> None:
    """Write an artefact again elsewhere, after checking that it is whole."""
    found = Artefact.open(source)
    card = (source / CARD_FILE).read_text("utf-8")
    artefact.write(out, (source / MODEL_FILE).read_bytes(), found.contract, card)


def recorded(source: Path) -> Run | None:
    """The MLflow run of a run folder, where it was tracked and its store still has it."""
    record = recorded_run(source) if source.is_dir() else {}
    run_id, store = record.get("run_id"), record.get("store")
    return Store(Path(store)).find(run_id) if run_id and store else None
