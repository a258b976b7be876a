"""The local store, and what a run keeps."""

from pathlib import Path

import pytest

from training import tracking


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
