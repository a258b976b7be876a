from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from data.contract import CONTRACT_FILE, MODEL_FILE, write_contract
from data.errors import DataError, UsageError
from serving.inference import BUNDLED, Forecaster, artefact_folder
from shaper.forecast import ForecastError
from tests.serving.made import HORIZONS, LEVELS, SPREAD, contract, write_artefact

WINDOW = np.full((4, 3), 1.5, np.float32)


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        Forecaster.open(folder)
    assert caught.value.exit_code == 1
    return str(caught.value)


def test_a_forecast_carries_the_answer_of_the_graph(tmp_path: Path) -> None:
    forecaster = Forecaster.open(write_artefact(tmp_path))
    forecast = forecaster.forecast(WINDOW, 1000.0)
    assert (forecast.issued_at_s, forecast.valid_until_s) == (1000.0, 1300.0)
    assert (forecast.horizons, forecast.levels) == (HORIZONS, LEVELS)
    assert forecast.contract_digest == forecaster.contract.digest
    assert forecast.quantiles == ((tuple(float(value) for value in np.float32(1.5) + SPREAD),) * 20,)
    assert forecast.spike == ((0.125,) * 20,)


def test_equal_windows_give_equal_forecasts(tmp_path: Path) -> None:
    forecaster = Forecaster.open(write_artefact(tmp_path))
    assert forecaster.forecast(WINDOW, 0.0) == forecaster.forecast(WINDOW.copy(), 0.0)


def test_a_contract_of_another_model_is_refused(tmp_path: Path) -> None:
    write_contract(msgspec.structs.replace(contract(), seed=7), write_artefact(tmp_path))
    assert "expected an ONNX file made for the contract" in refusal(tmp_path)


def test_an_onnx_file_without_a_digest_is_refused(tmp_path: Path) -> None:
    import onnx

    model = onnx.load(write_artefact(tmp_path) / MODEL_FILE)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / MODEL_FILE)
    assert "names no contract" in refusal(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_onnx_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write_artefact(tmp_path) / MODEL_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "export the model again" in refusal(tmp_path)


def test_garbage_is_not_a_model(tmp_path: Path) -> None:
    (write_artefact(tmp_path) / MODEL_FILE).write_bytes(b"\x00garbage" * 99)
    assert "expected a whole ONNX file" in refusal(tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    (write_artefact(tmp_path) / MODEL_FILE).unlink()
    assert "expected an ONNX file; found none" in refusal(tmp_path)


def test_a_folder_without_a_contract_is_refused(tmp_path: Path) -> None:
    (write_artefact(tmp_path) / CONTRACT_FILE).unlink()
    assert "no contract.json" in refusal(tmp_path)


def test_a_graph_of_another_shape_than_its_contract_is_refused(tmp_path: Path) -> None:
    described = msgspec.structs.replace(contract(), horizons=HORIZONS[:-1])
    write_artefact(tmp_path, described, np.tile(SPREAD, (len(HORIZONS), 1, 1)))
    assert "expected answers (19, 1, 5)" in refusal(tmp_path)


def test_a_graph_for_another_window_is_refused(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "a")
    described = msgspec.structs.replace(contract(), context=9)
    import onnx

    model = onnx.load(folder / MODEL_FILE)
    model.metadata_props[0].value = described.digest
    onnx.save(model, folder / MODEL_FILE)
    write_contract(described, folder)
    assert "one that runs on the contract's window" in refusal(folder)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_discarded(tmp_path: Path, wrong: float) -> None:
    offsets = np.tile(SPREAD, (len(HORIZONS), 1, 1))
    offsets[3, 0, 2] = wrong
    forecaster = Forecaster.open(write_artefact(tmp_path, offsets=offsets))
    with pytest.raises(ForecastError, match="finite"):
        forecaster.forecast(WINDOW, 0.0)


def test_quantiles_out_of_order_are_discarded(tmp_path: Path) -> None:
    forecaster = Forecaster.open(write_artefact(tmp_path, offsets=np.tile(SPREAD[::-1], (len(HORIZONS), 1, 1))))
    with pytest.raises(ForecastError, match="do not fall"):
        forecaster.forecast(WINDOW, 0.0)


def test_a_target_is_blind_when_none_of_its_newest_values_is_known(tmp_path: Path) -> None:
    forecaster = Forecaster.open(write_artefact(tmp_path))
    window = WINDOW.copy()
    window[-2:, 0] = np.nan
    assert forecaster.blind_targets(window, 3) == ()
    assert forecaster.blind_targets(window, 2) == ("demand",)


def test_a_bundled_model_is_found_by_its_task(tmp_path: Path) -> None:
    write_artefact(tmp_path / "demand")
    assert artefact_folder(None, "demand", tmp_path) == tmp_path / "demand"
    assert artefact_folder("elsewhere", "demand", tmp_path) == Path("elsewhere")
    with pytest.raises(UsageError, match=r"one of the bundled tasks \['demand'\]; found 'panel'"):
        artefact_folder(None, "panel", tmp_path)


def test_a_small_champion_of_each_task_is_bundled() -> None:
    for task in ("panel", "block", "demand"):
        forecaster = Forecaster.open(artefact_folder(None, task))
        told = forecaster.contract
        assert told.task == task
        forecast = forecaster.forecast(np.ones((told.context, len(told.features)), np.float32), 0.0)
        assert np.isfinite(forecast.quantiles).all()
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file()) < 2_000_000


def test_without_a_bundle_an_artefact_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model is bundled"):
        artefact_folder(None, "demand", tmp_path / "none")


def test_the_origin_of_a_forecast_is_said(tmp_path: Path) -> None:
    forecaster = replace(Forecaster.open(write_artefact(tmp_path)), origin="fallback")
    assert forecaster.forecast(WINDOW, 0.0).origin == "fallback"
