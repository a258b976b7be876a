"""The whole line on recorded history: trained before a month, issued over it, and judged on it."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest

from data.environment import history_folder
from data.history import History
from serving import cli
from training import forecasting
from training.artefact import Artefact

CONFIGS = Path(__file__).parent.parent.parent / "training" / "configs"
FEBRUARY, MARCH = dt.datetime(2024, 2, 1, tzinfo=dt.UTC), dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
pytestmark = [pytest.mark.integration, pytest.mark.history, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def recorded() -> Path:
    folder = history_folder()
    if folder is None:
        pytest.skip("SHAPER_HISTORY does not name a folder of recorded history")
    return folder


def fitted(config: str, until: str, recorded: Path, home: Path) -> tuple[dict[str, float], Path]:
    """Metrics of a fit and the artefact exported from it."""
    words = [
        "--data.history",
        str(recorded),
        "--data.split.until",
        until,
        "--run.folder",
        str(home),
        "--run.track",
        "false",
    ]
    assert cli.main(["train", "fit", "--config", str(CONFIGS / f"{config}.yaml"), *words]) == 0
    assert cli.main(["export", str(home / config), "--out", str(home / "artefact")]) == 0
    return json.loads((home / config / "metrics.json").read_text("utf-8")), home / "artefact"


def test_a_model_trained_before_february_is_above_the_reference_in_february(recorded: Path, tmp_path: Path) -> None:
    metrics, folder = fitted("panel-linear", "2024-02-01", recorded, tmp_path)
    for target in ("volatility", "congestion"):
        assert metrics[f"test/{target}/skill_low"] > 0.1, target
        assert 0.85 <= metrics[f"test/{target}/coverage"] <= 0.95, target
    artefact, history = Artefact.open(folder), History.open(recorded)
    whole = forecasting.issue(artefact, history, FEBRUARY, MARCH)
    assert whole.answered.mean() > 0.999
    for place in (0, 4321):  # the same from tables that end when the forecast is issued
        at = FEBRUARY + dt.timedelta(minutes=5 * place)
        cut = forecasting.issue(artefact, history.before(at), at, at + dt.timedelta(minutes=5))
        np.testing.assert_allclose(cut.quantiles[0], whole.quantiles[place], rtol=2e-5, atol=2e-5)


def test_on_recorded_orders_the_forecast_costs_less_than_the_tuned_reaction_at_a_minute(
    recorded: Path, tmp_path: Path
) -> None:
    _, folder = fitted("demand-tcn", "2021-08-13T15:40", recorded, tmp_path)
    scenario = tmp_path / "minute.toml"
    scenario.write_text(
        (CONFIGS / "replay.toml").read_text("utf-8").replace("delays_s = [15, 60, 240]", "delays_s = [60]"), "utf-8"
    )
    words = ["--data", str(recorded), "--model", str(folder), "--out", str(tmp_path / "replay")]
    assert cli.main(["replay", "--scenario", str(scenario), *words]) == 0
    (minute,) = json.loads((tmp_path / "replay" / "results.json").read_text("utf-8"))["delays"]
    costs = {policy["policy"]: policy["cost_usd"] for policy in minute["policies"]}
    assert costs["clairvoyant"] < costs["forecast-led"] < 0.95 * costs["reactive"]
    assert costs["reactive"] < costs["static"]
