"""Fitting through the command line, and what is left behind."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import DataError, UsageError
from data.history import History
from tests.training.stopping import Stop
from training import bundle, forecasting
from training.artefact import Artefact
from training.calibrating import RATES
from training.cli import fit_network
from training.commands import export, train
from training.evaluation import restore
from training.fitting import Fit

MIXER = "--model.options={'channels': 4, 'depth': 1, 'fold': 2, 'dropout': 0.5, 'horizon_width': 4}"


@pytest.fixture(scope="module")
def fitted(history: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    runs = tmp_path_factory.mktemp("runs")
    return fit_network(config, (f"--data.history={history}", f"--run.folder={runs}", "--trainer.deterministic=true"))


def test_a_run_folder_holds_all_that_later_commands_need(fitted: Fit) -> None:
    names = {path.name for path in fitted.folder.iterdir()}
    assert {"model.pt", "metrics.json", "config.yaml", "run.json", "plots", "test.npz", "checkpoints"} <= names
    assert json.loads((fitted.folder / "metrics.json").read_text()) == fitted.metrics
    assert {path.name for path in (fitted.folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_metrics_are_given_by_part_target_and_horizon(fitted: Fit) -> None:
    for part in ("validation", "test"):
        for target in ("volatility", "congestion"):
            assert {f"{part}/{target}/{name}" for name in ("skill", "coverage", "skill/h01", "skill/h03")} <= set(
                fitted.metrics
            )
    assert fitted.contract.metrics["test/volatility/skill"] == fitted.metrics["test/volatility/skill"]


def test_calibration_is_written_into_the_contract(fitted: Fit) -> None:
    assert fitted.contract.calibration.window is not None
    assert fitted.contract.calibration.window.until <= "2024-01-10"
    online = fitted.contract.online
    assert online is not None
    assert online.window == fitted.contract.calibration.window
    assert set(online.rates) <= set(RATES)


def test_a_history_is_forecast_as_the_run_was_scored(fitted: Fit, history: Path, tmp_path: Path) -> None:
    export.main([str(fitted.folder), "--out", str(tmp_path / "made")])
    opened = Artefact.open(tmp_path / "made")
    scored = restore(fitted.folder / "test.npz")["volatility"].issued
    since, until = (dt.datetime.fromtimestamp(int(scored.issued_s[place]), dt.UTC) for place in (3, 40))
    issued = forecasting.issue(opened, History.open(history), since, until)
    np.testing.assert_allclose(issued.quantiles[:, :, 0], scored.quantiles[3:40], atol=1e-4)


def test_calibration_may_end_with_training(history: Path, config: Path, tmp_path: Path) -> None:
    options = (f"--data.history={history}", f"--run.folder={tmp_path}", "--trainer.max_epochs=1", "--run.online=false")
    assert fit_network(config, options).contract.online is None


def test_equal_seeds_make_equal_weights(fitted: Fit, history: Path, config: Path, tmp_path: Path) -> None:
    options = (f"--data.history={history}", f"--run.folder={tmp_path}", "--trainer.deterministic=true")
    again = bundle.load(fit_network(config, options).folder / "model.pt").served.state_dict()
    for name, value in bundle.load(fitted.folder / "model.pt").served.state_dict().items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=0)


def test_a_run_that_stopped_goes_on_as_if_it_had_not(history: Path, config: Path, tmp_path: Path) -> None:
    options = (f"--data.history={history}", "--model.architecture=mixer", MIXER, "--trainer.max_epochs=3")
    once = fit_network(config, (*options, f"--run.folder={tmp_path / 'once'}"))
    again = (*options, f"--run.folder={tmp_path / 'twice'}")
    with pytest.raises(Stop):
        fit_network(config, (*again, "--trainer.callbacks=tests.training.stopping.AfterAnEpoch"))
    twice = fit_network(config, (*again, "--ckpt_path=last"))
    last, resumed = (torch.load(fit.folder / "checkpoints" / "last.ckpt", weights_only=True) for fit in (once, twice))
    assert last["epoch"] == resumed["epoch"] == 2
    assert last["global_step"] == resumed["global_step"]
    for name, value in last["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
    assert once.metrics == twice.metrics


def test_deterministic_runs_with_dropout_are_equal_to_the_bit(history: Path, config: Path, tmp_path: Path) -> None:
    options = (f"--data.history={history}", "--model.architecture=mixer", MIXER, "--trainer.deterministic=true")
    first, second = (fit_network(config, (*options, f"--run.folder={tmp_path / name}")) for name in ("a", "b"))
    assert first.metrics == second.metrics
    said, again = (restore(fit.folder / "test.npz")["volatility"].issued.quantiles for fit in (first, second))
    assert (said == again).all()


def test_half_precision_is_a_flag(history: Path, config: Path, tmp_path: Path) -> None:
    options = (f"--data.history={history}", f"--run.folder={tmp_path}", "--trainer.precision=bf16-mixed")
    fit = fit_network(config, (*options, "--model.architecture=mixer", MIXER, "--trainer.max_epochs=1"))
    assert all(value.dtype != torch.bfloat16 for value in bundle.load(fit.folder / "model.pt").served.parameters())


def test_fine_tuning_starts_where_an_earlier_run_ended(
    fitted: Fit, history: Path, config: Path, tmp_path: Path
) -> None:
    options = (f"--data.history={history}", f"--run.folder={tmp_path}", f"--model.start_from={fitted.folder}")
    fit = fit_network(config, (*options, "--trainer.max_epochs=1", "--model.optimiser.learning_rate=1e-12"))
    earlier, later = (bundle.load(run.folder / "model.pt").served.forecaster.state_dict() for run in (fitted, fit))
    for name, value in earlier.items():
        torch.testing.assert_close(later[name], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ("--model.options={'rank': 3}", "linear with {'rank': 3}"),
        ("--data.panel.context=7", "the same context, 7"),
        ("--data.panel.targets=['volatility']", "the same targets"),
    ],
)
def test_fine_tuning_from_a_model_with_another_contract_is_refused(
    fitted: Fit, history: Path, config: Path, tmp_path: Path, other: str, told: str
) -> None:
    options = (f"--data.history={history}", f"--run.folder={tmp_path}", f"--model.start_from={fitted.folder}")
    with pytest.raises(UsageError, match=told):
        fit_network(config, (*options, other))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
def test_a_run_and_a_checkpoint_can_be_exported(fitted: Fit, tmp_path: Path) -> None:
    for source, name in ((fitted.folder, "run"), (fitted.folder / "checkpoints" / "best.ckpt", "checkpoint")):
        assert export.main([str(source), "--out", str(tmp_path / name)]) == 0
        assert Artefact.open(tmp_path / name).contract.architecture == "linear"
    assert Artefact.open(tmp_path / "run").contract == fitted.contract
    assert Artefact.open(tmp_path / "checkpoint").contract.calibration.method == "none"


def test_what_was_said_is_kept_beside_what_came(fitted: Fit) -> None:
    seen = restore(fitted.folder / "test.npz")
    assert set(seen) == {"volatility", "congestion"}
    assert seen["volatility"].issued.quantiles.shape[1:] == (3, 5)
    assert seen["volatility"].onsets is not None


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04"])
def test_a_garbled_model_is_refused_and_nothing_is_exported(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(DataError, match="train again"):
        export.main([str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder without one"):
        export.main([str(tmp_path), "--out", str(tmp_path / "out")])


def test_persistence_is_fitted_without_steps(history: Path, config: Path, tmp_path: Path) -> None:
    options = ("--model.architecture=persistence", "--model.options={}", "--trainer.max_epochs=1")
    fit = fit_network(config, (f"--data.history={history}", f"--run.folder={tmp_path}", *options))
    assert abs(fit.metrics["test/volatility/skill"]) < 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        ["--data.hstory=x"],
        ["--model.architecture=oracle"],
        ["--model.options={'rank': 0}"],
        ["--model.optimiser.loss.spike=hinge"],
        ["--data.panel.tick_s=7"],
    ],
)
def test_a_wrong_key_or_value_ends_with_status_2_and_leaves_nothing(
    wrong: list[str], history: Path, config: Path, tmp_path: Path
) -> None:
    arguments = ["fit", "--config", str(config), f"--data.history={history}", f"--run.folder={tmp_path}", *wrong]
    with pytest.raises((SystemExit, ValueError)) as caught:
        train.main(arguments)
    status = caught.value.code if isinstance(caught.value, SystemExit) else getattr(caught.value, "exit_code", None)
    assert status == 2
    assert list(tmp_path.iterdir()) == []


def test_an_empty_history_is_refused_and_leaves_nothing(config: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    arguments = [
        "fit",
        "--config",
        str(config),
        f"--data.history={tmp_path / 'empty'}",
        f"--run.folder={tmp_path / 'runs'}",
    ]
    with pytest.raises(DataError):
        train.main(arguments)
    assert not (tmp_path / "runs").exists()
