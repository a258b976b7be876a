"""The Lightning module: which loss is minimised, how, and what a checkpoint carries beside the weights.

Decided here: pinball loss weighted so that targets count alike, plus a share of the spikes' cross entropy; AdamW with one
cosine descent. A checkpoint holds all that an export needs, so that no history has to be read again.
"""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from data.errors import UsageError
from models.losses import pinball, spike_cross_entropy, target_weight
from models.registry import build
from models.shape import Forecaster
from training.bundle import KEY, Bundle
from training.datamodule import Batch, PanelData
from training.settings import OptimiserSettings


class ForecastModule(LightningModule):
    """Fit one architecture of `models.registry` with its options."""

    levels: Tensor
    weight: Tensor

    def __init__(
        self,
        architecture: str = "linear",
        options: dict[str, int | float] | None = None,
        optimiser: OptimiserSettings | None = None,
    ) -> None:
        super().__init__()
        self.architecture, self.options = architecture, dict(options or {})
        self.optimiser = optimiser or OptimiserSettings()
        self.network: Forecaster | None = None

    @property
    def data(self) -> PanelData:
        """The data module that is being fitted on."""
        found = getattr(self.trainer, "datamodule", None)
        if not isinstance(found, PanelData):
            raise TypeError(f"expected the trainer to be given a PanelData, found {type(found).__name__}")
        return found

    def setup(self, stage: str) -> None:  # noqa: ARG002 - the hook hands it over
        """Build the network for the data's shape and statistics, once."""
        if self.network is None:
            self.adopt(self.data)

    def adopt(self, data: PanelData) -> Forecaster:
        """Build the network for some data. Raises UsageError for an unknown architecture or option."""
        prepared = data.prepared
        try:
            self.network = build(self.architecture, prepared.shape, prepared.statistics, self.options)
        except ValueError as error:
            told = ", ".join(f"{key}={value}" for key, value in self.options.items()) or "no options"
            found = f"{self.architecture!r} with {told}"
            raise UsageError("model", expected="what can be built", found=found, remedy=str(error)) from error
        self.register_buffer("levels", torch.tensor(prepared.shape.levels), persistent=False)
        self.register_buffer("weight", target_weight(prepared.shape, prepared.statistics), persistent=False)
        return self.network

    @property
    def learns(self) -> bool:
        """Whether there is anything to fit."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def training_step(self, batch: Batch) -> Tensor | None:
        """Loss of one batch; nothing where there is nothing to fit."""
        return self._loss(batch, "train") if self.learns else None

    def validation_step(self, batch: Batch) -> None:
        """Log the loss of one batch."""
        self._loss(batch, "val")

    def test_step(self, batch: Batch) -> None:
        """Log the loss of one batch."""
        self._loss(batch, "test")

    def _loss(self, batch: Batch, part: str) -> Tensor:
        if self.network is None:
            raise RuntimeError("expected setup() before a step")
        found = self.network(batch.window)
        quantile = pinball(found.quantiles, batch.ahead, batch.ahead.isfinite(), self.levels, self.weight)
        spike = spike_cross_entropy(found.spike_logit, batch.crossed, batch.known, batch.at_risk)
        loss = quantile + self.optimiser.spike_weight * spike
        scores = {f"{part}_loss": loss, f"{part}_pinball": quantile, f"{part}_spike": spike}
        self.log_dict(scores, on_step=False, on_epoch=True, prog_bar=part != "test", batch_size=len(batch.window))
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW and a cosine over all steps of the run; nothing where there is nothing to fit."""
        if not self.learns:
            return None
        told = self.optimiser
        optimiser = torch.optim.AdamW(self.parameters(), lr=told.learning_rate, weight_decay=told.weight_decay)
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimiser, T_max=steps, eta_min=told.final_share * told.learning_rate
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what an export needs."""
        checkpoint[KEY] = self.bundle().packed()

    def bundle(self) -> Bundle:
        """The model as it is now, not calibrated, with its contract and sample windows."""
        if self.network is None:
            raise RuntimeError("expected setup() before a bundle")
        return Bundle.of(self.architecture, self.options, self.network, self.data.prepared)
