"""An artefact is whole and made for its contract, or is refused with one message."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from data.contract import CARD_FILE, CONTRACT_FILE, MODEL_FILE, write_contract
from data.errors import DataError
from tests.training.small import SMALL, served, windows
from training.artefact import Artefact, write
from training.export import export


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artefacts") / "small"
    export(served(), SMALL, folder, windows())
    return folder


@pytest.fixture
def artefact(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "small"))


def test_an_artefact_is_three_files(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == {MODEL_FILE, CONTRACT_FILE, CARD_FILE}
    assert [path.name for path in made.parent.iterdir()] == ["small"]


def test_forecasts_do_not_depend_on_how_they_are_batched(made: Path) -> None:
    opened, asked = Artefact.open(made), windows(50, holes=0.2)
    together, apart = opened.forecast(asked), opened.forecast(asked, batch=7)
    np.testing.assert_allclose(together[0], apart[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(together[1], apart[1], rtol=1e-5, atol=1e-6)
    assert opened.forecast(asked[:0])[0].shape == (0, 3, 2, 3)


def test_overlapping_windows_of_a_matrix_need_not_be_copied_first(made: Path) -> None:
    matrix = windows(30)[:, 0]
    overlapping = np.lib.stride_tricks.sliding_window_view(matrix, SMALL.context, axis=0).transpose(0, 2, 1)
    quantiles, _ = Artefact.open(made).forecast(overlapping)
    np.testing.assert_array_equal(quantiles, Artefact.open(made).forecast(np.ascontiguousarray(overlapping))[0])


@pytest.mark.parametrize("shape", [(2, 8, 6), (2, 9, 5), (9, 6)])
def test_windows_of_another_shape_are_refused(made: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected windows of shape \(n, 9, 6\)"):
        Artefact.open(made).forecast(np.zeros(shape, np.float32))


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.999])
def test_a_truncated_model_is_refused(artefact: Path, kept: float) -> None:
    raw = (artefact / MODEL_FILE).read_bytes()
    (artefact / MODEL_FILE).write_bytes(raw[: int(kept * len(raw)) if 0 < kept < 1 else int(kept)])
    with pytest.raises(DataError, match=MODEL_FILE) as caught:
        Artefact.open(artefact)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


def test_a_garbled_model_is_refused(artefact: Path) -> None:
    (artefact / MODEL_FILE).write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(DataError, match="expected a whole ONNX file"):
        Artefact.open(artefact)


def test_a_contract_of_another_model_is_refused(artefact: Path) -> None:
    write_contract(msgspec.structs.replace(SMALL, seed=1), artefact)
    with pytest.raises(DataError, match="expected an ONNX file made for the contract"):
        Artefact.open(artefact)


def test_a_graph_of_another_signature_is_refused(artefact: Path) -> None:
    import onnx

    other = msgspec.structs.replace(SMALL, context=8)
    model = onnx.load(artefact / MODEL_FILE)
    model.metadata_props[0].value = other.digest
    write(artefact, model.SerializeToString(), other, "")
    with pytest.raises(DataError, match="behind the batch axis"):
        Artefact.open(artefact)


@pytest.mark.parametrize("missing", [MODEL_FILE, CONTRACT_FILE])
def test_an_artefact_without_one_of_its_files_is_refused(artefact: Path, missing: str) -> None:
    (artefact / missing).unlink()
    with pytest.raises(DataError, match=f"no {missing}"):
        Artefact.open(artefact)


def test_writing_again_replaces_the_whole_artefact(artefact: Path) -> None:
    write(artefact, b"model", SMALL, "new")
    assert (artefact / CARD_FILE).read_text("utf-8") == "new"
    assert [path.name for path in artefact.parent.iterdir()] == ["small"]


def test_a_write_that_fails_half_way_leaves_the_old_artefact(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import training.artefact

    def fail(*_: object) -> None:
        raise OSError("disk full")

    before = (artefact / MODEL_FILE).read_bytes()
    monkeypatch.setattr(training.artefact, "write_contract", fail)
    with pytest.raises(OSError, match="disk full"):
        write(artefact, b"model", SMALL, "new")
    assert (artefact / MODEL_FILE).read_bytes() == before
    assert [path.name for path in artefact.parent.iterdir()] == ["small"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match="found a file"):
        write(tmp_path / "taken", b"model", SMALL, "")
