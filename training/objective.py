"""What a fit minimises: the chosen losses of `models.losses`, each with its weight, for the targets of one contract.

Decided here: quantile losses weigh targets by their usual width, so that they count alike; QLIKE is asked only of targets that
are the logarithm of a volatility; a lever's level is the newsvendor's, and its weight what a missing unit costs.
"""

import torch
from torch import Tensor, nn

from data.contract import Contract
from data.errors import UsageError
from data.features.volatility import UNIT as LOG_VOLATILITY
from models.losses import (
    Lever,
    crps,
    decision_cost,
    lead_weight,
    pinball,
    qlike,
    spike_cross_entropy,
    target_weight,
)
from models.shape import Prediction
from shaper.capacity import newsvendor_level
from training.datamodule import Batch
from training.preparation import Prepared
from training.settings import LeverSettings, OptimiserSettings

REMEDY = "correct model.optimiser.loss"


class Objective(nn.Module):
    """The losses of predictions for a batch: `loss`, which is minimised, and its parts by name."""

    levels: Tensor
    weight: Tensor

    def __init__(self, settings: OptimiserSettings, prepared: Prepared) -> None:
        super().__init__()
        contract, told = prepared.contract, settings.loss
        self.settings, self._levels = settings, prepared.shape.levels
        self.register_buffer("levels", torch.tensor(prepared.shape.levels), persistent=False)
        self.register_buffer("weight", target_weight(prepared.shape, prepared.statistics), persistent=False)
        self._qlike = [(volatility(contract, name), weight) for name, weight in told.qlike.items() if weight]
        self._levers = tuple(lever(contract, each) for each in told.levers)
        if told.spike == "lead" and told.lead_ticks >= contract.horizons[-1]:
            raise fault(f"lead_ticks below the longest horizon {contract.horizons[-1]}", str(told.lead_ticks))

    def forward(self, found: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Losses by name; `pinball` is among them whatever is minimised, so that runs can be compared."""
        told, known = self.settings.loss, batch.ahead.isfinite()
        parts = {"pinball": pinball(found.quantiles, batch.ahead, known, self.levels, self.weight)}
        if told.quantile == "crps":
            parts["crps"] = crps(found.quantiles, batch.ahead, known, self.levels, self.weight)
        parts["spike"] = self._spike(found, batch)
        total = parts[told.quantile] + self.settings.spike_weight * parts["spike"]
        for place, weight in self._qlike:
            cell = (slice(None), slice(None), place)
            parts["qlike"] = qlike(found.quantiles[cell], batch.ahead[cell], known[cell], self.levels)
            total = total + weight * parts["qlike"]
        if self._levers:
            parts["decision"] = decision_cost(found.quantiles, batch.ahead, known, self._levels, self._levers)
            total = total + told.decision * parts["decision"]
        return {"loss": total, **parts}

    def _spike(self, found: Prediction, batch: Batch) -> Tensor:
        told = self.settings.loss
        weight = lead_weight(batch.crossed, told.lead_ticks, told.late) if told.spike == "lead" else None
        focus = told.focus if told.spike == "focal" else 0.0
        return spike_cross_entropy(found.spike_logit, batch.crossed, batch.known, batch.at_risk, weight, focus)


def volatility(contract: Contract, name: str) -> int:
    """Place of a target that is the logarithm of a volatility. Raises UsageError for another."""
    place = target(contract, name)
    if contract.targets[place].unit != LOG_VOLATILITY:
        raise fault(f"a volatility in {LOG_VOLATILITY} for qlike", f"{name} in {contract.targets[place].unit}")
    return place


def lever(contract: Contract, told: LeverSettings) -> Lever:
    """A lever by place. Raises UsageError for a target or a horizon that the contract has not."""
    if told.horizon not in contract.horizons:
        raise fault(f"levers at horizons among {list(contract.horizons)}", str(told.horizon))
    level = newsvendor_level(told.underage, told.overage)
    return Lever(contract.horizons.index(told.horizon), target(contract, told.target), level, told.underage)


def target(contract: Contract, name: str) -> int:
    """Place of a target. Raises UsageError for one that the contract has not."""
    names = [target.name for target in contract.targets]
    if name not in names:
        raise fault(f"targets among {names}", name)
    return names.index(name)


def fault(expected: str, found: str) -> UsageError:
    """The error for a loss that does not fit the contract."""
    return UsageError("model.optimiser.loss", expected=expected, found=found, remedy=REMEDY)
