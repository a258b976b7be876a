"""Quantile regression as a run, and its fit against the exact linear programme."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import QuantileRegressor

from models.registry import build
from tests.models.world import SHAPE, statistics, windows
from training.artefact import Artefact
from training.commands import export, train
from training.recipes import fit
from training.regressing import Whitened, quantile_lines
from training.single import kind, read

LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture(scope="session")
def regression_config(boosting_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import msgspec.yaml

    told = read(boosting_config)
    told.pop("boosting")
    path = tmp_path_factory.mktemp("regression") / "regression.yaml"
    path.write_bytes(msgspec.yaml.encode({**told, "run": {"name": "regression"}, "regression": {"ridge": 0.01}}))
    return path


def test_the_smoothed_fit_is_as_good_as_the_exact_linear_programme() -> None:
    generator = np.random.default_rng(0)
    nested = generator.normal(size=(1500, 4)).cumsum(axis=1)  # as correlated as means over nested windows
    truth = nested @ [1.0, -2.0, 0.5, 0.0] + (1 + 0.3 * np.abs(nested[:, 0])) * generator.standard_t(4, 1500)
    white = Whitened.of(nested, 0.0)
    weight, constant = quantile_lines(white.rows, truth, LEVELS, white.pull)
    for place, level in enumerate(LEVELS):
        exact = QuantileRegressor(quantile=level, alpha=0).fit(nested, truth).predict(nested)
        found = constant[place] + white.rows @ weight[:, place]
        ours, best = (np.maximum(level * e, (level - 1) * e).mean() for e in (truth - found, truth - exact))
        assert best <= ours < 1.003 * best


def test_a_ridge_holds_for_the_inputs_as_they_are_and_not_for_the_directions_they_are_turned_onto() -> None:
    generator = np.random.default_rng(3)
    nested = generator.normal(size=(800, 3)).cumsum(axis=1)
    truth = nested @ [1.0, -2.0, 0.5] + generator.standard_t(4, 800)
    white, upright = Whitened.of(nested, 0.2), nested - nested.mean(axis=0)
    turned, constant = quantile_lines(white.rows, truth, LEVELS, white.pull)
    plain, same = quantile_lines(upright, truth, LEVELS, np.full(3, 0.2))
    np.testing.assert_allclose(constant + white.rows @ turned, same + upright @ plain, atol=2e-3)


def test_each_level_holds_exactly_on_the_rows_that_were_fitted() -> None:
    generator = np.random.default_rng(1)
    rows, truth = generator.normal(size=(400, 3)), generator.gamma(1.0, size=400)
    weight, constant = quantile_lines(rows, truth, LEVELS, np.full(3, 0.01))
    held = (truth[:, None] <= constant + rows @ weight).mean(axis=0)
    np.testing.assert_allclose(held, LEVELS, atol=1 / 400)


def test_without_inputs_the_constants_are_the_empirical_quantiles() -> None:
    truth = np.arange(101.0)
    weight, constant = quantile_lines(np.empty((101, 0)), truth, LEVELS, np.empty(0))
    assert weight.shape == (0, 3)
    assert constant.tolist() == [10, 50, 90]


def test_exponential_smoothing_starts_from_the_weighted_mean_of_what_is_known() -> None:
    network = build("regression", SHAPE, statistics(), {"half_life": 1.0})
    window = torch.full((1, SHAPE.context, SHAPE.features), torch.nan)
    window[0, -1, 0], window[0, -3, 0] = 4.0, 9.0  # ages 0 and 2: weights 1 and 1/4
    found = network.start(window)  # type: ignore[operator]
    assert found[0, 0].item() == pytest.approx((4 + 9 / 4) / 1.25)
    assert found[0, 1].item() == statistics().center[3].item()  # nothing known: the anchor's own fallback


def test_a_regression_run_exports_to_one_graph_that_says_the_same(
    history: Path, regression_config: Path, tmp_path: Path
) -> None:
    assert kind(regression_config) == "regression"
    made = fit(regression_config, (f"--data.history={history}", f"--run.folder={tmp_path}"))
    assert made.contract.architecture == "regression"
    assert export.main([str(made.folder), "--out", str(tmp_path / "out")]) == 0
    artefact = Artefact.open(tmp_path / "out")
    asked = windows(3).numpy()[:, : made.contract.context]
    asked = np.resize(asked, (3, made.contract.context, len(made.contract.features)))
    quantiles, spike = artefact.forecast(asked)
    assert (np.diff(quantiles, axis=3) >= 0).all()
    assert (np.diff(spike, axis=1) >= 0).all()


@pytest.mark.parametrize("wrong", ["--regression.ridge=-1", "--regression.trees=3"])
def test_a_wrong_value_ends_with_status_2_and_leaves_nothing(
    wrong: str, history: Path, regression_config: Path, tmp_path: Path
) -> None:
    arguments = ["regress", "--config", str(regression_config), f"--data.history={history}", f"--run.folder={tmp_path}"]
    with pytest.raises((SystemExit, ValueError)) as caught:
        train.main([*arguments, wrong])
    status = caught.value.code if isinstance(caught.value, SystemExit) else getattr(caught.value, "exit_code", None)
    assert status == 2
    assert list(tmp_path.iterdir()) == []
