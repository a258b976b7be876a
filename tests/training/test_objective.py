"""What a fit is told to minimise, and what it then minimises."""

from pathlib import Path

import pytest
import torch

from data.errors import UsageError
from models.losses import pinball, spike_cross_entropy
from training.datamodule import PanelData
from training.module import ForecastModule
from training.objective import Objective, lever
from training.settings import LeverSettings, LossSettings, OptimiserSettings, PanelSettings, SplitSettings

PANEL = PanelSettings(tick_s=900, context=6, horizons=(1, 2, 3), levels=(0.05, 0.25, 0.5, 0.75, 0.95))
SPLIT = SplitSettings(until="2024-01-10", validation_days=2.5, calibration_days=2.5)
LEVER = LeverSettings(target="congestion", horizon=2, underage=10.0, overage=1.0)


@pytest.fixture(scope="module")
def data(history: Path) -> PanelData:
    return PanelData(history, PANEL, SPLIT)


def losses(data: PanelData, loss: LossSettings) -> dict[str, torch.Tensor]:
    """Losses of an untrained model for the first batch of the validation rows."""
    module = ForecastModule("linear", optimiser=OptimiserSettings(loss=loss))
    network = module.adopt(data).eval()
    batch = next(iter(data.val_dataloader()))
    assert module.objective is not None
    return module.objective(network(batch.window), batch)


def test_by_default_it_is_pinball_and_a_tenth_of_the_cross_entropy(data: PanelData) -> None:
    found = losses(data, LossSettings())
    assert set(found) == {"loss", "pinball", "spike"}
    network = ForecastModule("linear").adopt(data).eval()
    batch = next(iter(data.val_dataloader()))
    said, objective = network(batch.window), Objective(OptimiserSettings(), data.prepared)
    quantile = pinball(said.quantiles, batch.ahead, batch.ahead.isfinite(), objective.levels, objective.weight)
    spike = spike_cross_entropy(said.spike_logit, batch.crossed, batch.known, batch.at_risk)
    assert found["loss"].item() == pytest.approx((quantile + 0.1 * spike).item())


def test_each_chosen_loss_counts_with_its_weight(data: PanelData) -> None:
    found = losses(data, LossSettings("crps", "focal", qlike={"volatility": 0.5}, decision=2.0, levers=(LEVER,)))
    wanted = found["crps"] + 0.1 * found["spike"] + 0.5 * found["qlike"] + 2.0 * found["decision"]
    assert found["loss"].item() == pytest.approx(wanted.item())
    assert found["spike"] < losses(data, LossSettings())["spike"]


def test_positives_without_a_lead_count_only_as_told(data: PanelData) -> None:
    all_the_same = losses(data, LossSettings(spike="lead", late=1.0))
    assert all_the_same["spike"].item() == pytest.approx(losses(data, LossSettings())["spike"].item())
    assert losses(data, LossSettings(spike="lead", late=0.0))["spike"] < all_the_same["spike"]


def test_a_lever_reads_its_horizon_at_the_newsvendor_s_level(data: PanelData) -> None:
    found = lever(data.prepared.contract, LEVER)
    assert (found.horizon, found.target, found.level, found.price) == (1, 1, pytest.approx(0.9), 10.0)


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (LossSettings(qlike={"congestion": 1.0}), r"a volatility in ln\(1\)"),
        (LossSettings(qlike={"demand": 1.0}), "targets among"),
        (LossSettings(decision=1.0, levers=(LeverSettings("congestion", 9, 2.0, 1.0),)), "horizons among"),
        (LossSettings(spike="lead", lead_ticks=3), "below the longest horizon 3"),
    ],
)
def test_a_loss_that_the_contract_does_not_know_is_refused(data: PanelData, loss: LossSettings, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Objective(OptimiserSettings(loss=loss), data.prepared)
