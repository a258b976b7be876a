"""Gradient boosting as a run."""

import json
from pathlib import Path

import pytest

from training.artefact import Artefact
from training.commands import export, train
from training.recipes import fit


def test_a_boosting_run_leaves_an_artefact_that_export_copies(
    history: Path, boosting_config: Path, tmp_path: Path
) -> None:
    made = fit(boosting_config, (f"--data.history={history}", f"--run.folder={tmp_path}"))
    assert Artefact.open(made.folder / "artefact").contract == made.contract
    assert made.contract.architecture == "boosting"
    assert json.loads((made.folder / "metrics.json").read_text()) == made.metrics
    assert export.main([str(made.folder), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "model.onnx").read_bytes() == (made.folder / "artefact" / "model.onnx").read_bytes()


@pytest.mark.parametrize("wrong", ["--boosting.trees=3", "--boosting.max_iter=0", "--model.architecture=tcn"])
def test_a_wrong_key_or_value_ends_with_status_2_and_leaves_nothing(
    wrong: str, history: Path, boosting_config: Path, tmp_path: Path
) -> None:
    arguments = ["boost", "--config", str(boosting_config), f"--data.history={history}", f"--run.folder={tmp_path}"]
    with pytest.raises((SystemExit, ValueError)) as caught:
        train.main([*arguments, wrong])
    status = caught.value.code if isinstance(caught.value, SystemExit) else getattr(caught.value, "exit_code", None)
    assert status == 2
    assert list(tmp_path.iterdir()) == []
