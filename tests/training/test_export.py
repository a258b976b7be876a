"""Whatever is exported answers as the model does, or is not exported."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from data.contract import DIGEST_KEY, MODEL_FILE, read_contract
from data.errors import DataError
from models.registry import ARCHITECTURES
from models.served import Served
from models.shape import Forecaster, Prediction
from tests.training.small import SMALL, served, windows
from training.artefact import Artefact
from training.export import answer, export
from training.parity import TOLERANCE
from training.shapes import shape_of

QUICK = {"persistence", "linear", "mlp", "tcn"}  # the others take torch ten seconds or more to export


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.integration) for name in sorted(ARCHITECTURES)],
)
def test_every_architecture_exports_to_a_graph_that_says_the_same(name: str, tmp_path: Path) -> None:
    model = served(name)
    assert export(model, SMALL, tmp_path / "made", windows()) < TOLERANCE
    asked = windows(70, seed=1, holes=0.3)
    quantiles, spike = Artefact.open(tmp_path / "made").forecast(asked, batch=32)
    wanted = answer(model.eval(), asked)
    np.testing.assert_allclose(quantiles, wanted[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(spike, wanted[1], rtol=1e-4, atol=1e-5)
    assert (np.diff(quantiles, axis=3) >= 0).all()
    assert (np.diff(spike, axis=1) >= -1e-6).all()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = served().train()
    folder = tmp_path_factory.mktemp("exports") / "made"
    export(model, SMALL, folder, windows())
    assert model.training, "an export leaves the model in training as it was"
    assert model.forecaster.training
    return folder


def test_an_export_holds_its_contract_and_nothing_of_this_machine(made: Path) -> None:
    raw = (made / MODEL_FILE).read_bytes()
    metadata = {entry.key: entry.value for entry in onnx.load_from_string(raw).metadata_props}
    assert metadata == {DIGEST_KEY: SMALL.digest}
    assert read_contract(made) == SMALL
    assert b"site-packages" not in raw
    assert b".py" not in raw


def test_the_card_says_what_how_well_and_where_not(made: Path) -> None:
    card = (made / "card.md").read_text("utf-8")
    for told in (
        "# small",
        "2024-01-01",
        "skill/congestion | 0.25",
        "congestion in ln(gwei)",
        "Known limits",
        SMALL.digest,
    ):
        assert told in card


class Absurd(Forecaster):
    """A model that divides by zero where nothing is known."""

    shape = shape_of(SMALL)

    def forward(self, window: Tensor) -> Prediction:
        mean = torch.nanmean(window, dim=(1, 2))
        quantiles = mean.view(-1, 1, 1, 1).expand(-1, 3, 2, 3)
        return Prediction(quantiles, quantiles[..., 0])


def test_a_model_without_a_finite_answer_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="an answer that is not finite"):
        export(Served(Absurd()), SMALL, tmp_path / "deep" / "made", windows())
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_disagrees_with_its_model_is_not_exported(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import training.export as exporting

    monkeypatch.setattr(exporting, "to_onnx", lambda *_: (made / MODEL_FILE).read_bytes())
    moved = served()
    moved.calibrate(moved.offset + 0.01)
    with pytest.raises(DataError, match="nothing was exported"):
        export(moved, SMALL, tmp_path / "made", windows())
    assert list(tmp_path.iterdir()) == []


def test_an_export_needs_a_window_to_compare_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one sample window"):
        export(served(), SMALL, tmp_path / "made", windows(0))


def test_a_folder_with_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="a folder with thesis"):
        export(served(), SMALL, tmp_path, windows())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
