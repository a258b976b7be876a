"""The local store, and what a run keeps."""

from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from data.contract import read_contract
from tests.training.registered import write_artefact
from training import tracking
from training.cli import fit_network


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tracking.Store:
    return tracking.Store(tmp_path_factory.mktemp("mlflow"))


def test_one_run_holds_what_the_logger_and_the_caller_write(store: tracking.Store, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("kept")
    run = store.start("one", "fit", {"kind": "fit"})
    run.logger().log_metrics({"val_loss": 0.5}, step=3)
    run.params({"data": {"tick_s": 300}, "empty": {}})
    run.metrics({"test/volatility/skill": 0.25})
    run.file(note, "notes")
    run.end()
    (record,) = store.records("one")
    assert record.metrics == {"val_loss": 0.5, "test/volatility/skill": 0.25}
    assert (record.name, record.status, record.tags["kind"]) == ("fit", "FINISHED", "fit")
    assert store.client.get_run(run.run_id).data.params == {"data.tick_s": "300", "empty": "{}"}
    assert [item.path for item in store.client.list_artifacts(run.run_id, "notes")] == ["notes/note.txt"]


def test_a_child_names_its_parent(store: tracking.Store) -> None:
    parent = store.start("nested", "all", {})
    child = store.start("nested", "fold", {}, parent=parent.run_id)
    tags = {record.run_id: record.tags for record in store.records("nested")}
    assert tags[child.run_id]["mlflow.parentRunId"] == parent.run_id


def test_a_run_whose_work_raises_is_marked_failed(store: tracking.Store) -> None:
    run = store.start("failing", "fit", {})
    with pytest.raises(RuntimeError), tracking.closing(run):
        raise RuntimeError
    assert [record.status for record in store.records("failing")] == ["FAILED"]


def test_an_unknown_experiment_has_no_runs(store: tracking.Store) -> None:
    assert store.records("never made") == []


def test_the_named_store_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path / 'other.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    store = tracking.Store(tmp_path / "unused")
    assert (store.uri, store.local) == (uri, False)
    assert not (tmp_path / "unused").exists()


def test_the_environment_names_versions_and_the_commit() -> None:
    found = tracking.environment()
    assert found["version.torch"]
    assert found["code_version"].startswith("0.")


def test_a_dataset_that_another_run_tells_of_at_the_same_time_is_told_again(
    store: tracking.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell, clashes = store.client.log_inputs, [MlflowException("UNIQUE constraint failed: datasets.digest")]

    def clashing(*told: Any) -> None:
        if clashes:
            raise clashes.pop()
        tell(*told)

    monkeypatch.setattr(store.client, "log_inputs", clashing)
    run = store.start("lineage", "fit", {})
    run.dataset(read_contract(write_artefact(tmp_path / "artefact", "long", 8)), tmp_path / "history")
    run.end()
    assert len(store.client.get_run(run.run_id).inputs.dataset_inputs) == 1


def test_a_run_knows_its_data_and_its_model_with_a_signature(store: tracking.Store, tmp_path: Path) -> None:
    run = store.start("lineage", "fit", {})
    folder = write_artefact(tmp_path / "artefact", "long", 8)
    contract = read_contract(folder)
    run.dataset(contract, tmp_path / "history")
    model_id = run.model(folder, contract)
    run.end()
    read = store.client.get_run(run.run_id)
    (dataset,) = read.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("history", contract.data_digest[:36])
    assert [tag.value for tag in dataset.tags] == ["training"]
    assert [output.model_id for output in read.outputs.model_outputs] == [model_id]
    assert store.client.get_logged_model(model_id).tags["contract_digest"] == contract.digest
    version = store.register("named", model_id, {}, "a card")
    assert "quantiles" in (store.download("named", version, tmp_path / "fetched") / "MLmodel").read_text("utf-8")


@pytest.mark.filterwarnings("ignore")
def test_autologging_does_not_record_a_fit_a_second_time(
    history: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    mlflow.pytorch.autolog()
    options = ("--run.track=true", f"--run.store={tmp_path / 'mlflow'}", "--trainer.max_epochs=1")
    fit_network(config, (f"--data.history={history}", f"--run.folder={tmp_path / 'runs'}", *options))
    store = tracking.Store(tmp_path / "mlflow")
    assert store.experiments() == ["Default", "small"]
    assert len(store.records("small")) == 1
    assert store.records("Default") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow", "runs"]
