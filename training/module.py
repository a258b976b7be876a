"""The Lightning module: which loss is minimised, how, and what a checkpoint carries beside the weights.

Decided here: AdamW with one cosine descent. A checkpoint holds all that an export needs, so that no history has to be read
again, and the state of the random numbers, so that a run that was killed goes on as if it had not been.
"""

from pathlib import Path
from typing import Any

import msgspec
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from data.errors import UsageError
from models.registry import build
from models.shape import Forecaster
from training.bundle import KEY, Bundle
from training.datamodule import Batch, PanelData
from training.finetuning import start_from
from training.objective import Objective
from training.settings import OptimiserSettings

RANDOM = "random_state"


class ForecastModule(LightningModule):
    """Fit one architecture of `models.registry` with its options; `start_from` is a run folder or checkpoint to fine-tune."""

    def __init__(
        self,
        architecture: str = "linear",
        options: dict[str, int | float] | None = None,
        optimiser: OptimiserSettings | None = None,
        start_from: Path | None = None,
    ) -> None:
        super().__init__()
        self.architecture, self.options = architecture, dict(options or {})
        self.optimiser = optimiser or OptimiserSettings()
        self.start_from = start_from
        self.network: Forecaster | None = None
        self.objective: Objective | None = None

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
        """Build the network for some data.

        Raises UsageError for an unknown architecture or option, a loss without its target, or a start that does not fit.
        """
        prepared = data.prepared
        try:
            self.network = build(self.architecture, prepared.shape, prepared.statistics, self.options)
        except ValueError as error:
            told = ", ".join(f"{key}={value}" for key, value in self.options.items()) or "no options"
            found = f"{self.architecture!r} with {told}"
            raise UsageError("model", expected="what can be built", found=found, remedy=str(error)) from error
        self.objective = Objective(self.optimiser, prepared)
        if self.start_from is not None:
            contract = msgspec.structs.replace(prepared.contract, architecture=self.architecture)
            start_from(self.network, self.start_from, contract, self.options)
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
        if self.network is None or self.objective is None:
            raise RuntimeError("expected setup() before a step")
        losses = self.objective(self.network(batch.window), batch)
        scores = {f"{part}_{name}": value for name, value in losses.items()}
        shown, count = part != "test", len(batch.window)
        self.log_dict(scores, on_step=False, on_epoch=True, prog_bar=shown, batch_size=count, sync_dist=True)
        return losses["loss"]  # type: ignore[no-any-return]

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
        """Add what an export needs, and the random numbers to come."""
        checkpoint[KEY] = self.bundle().packed()
        checkpoint[RANDOM] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the random numbers where the run stopped; several processes keep their own."""
        if RANDOM in checkpoint and self.trainer.world_size == 1:
            torch.set_rng_state(checkpoint[RANDOM].cpu())

    def bundle(self) -> Bundle:
        """The model as it is now, not calibrated, with its contract and sample windows."""
        if self.network is None:
            raise RuntimeError("expected setup() before a bundle")
        return Bundle.of(self.architecture, self.options, self.network, self.data.prepared)
