"""A callback that ends a fit as a failing machine would: in the middle of the second epoch, without a farewell."""

from typing import Any

from lightning.pytorch import Callback


class Stop(BaseException):
    """The machine fails."""


class AfterAnEpoch(Callback):
    """Stop at the second batch of the second epoch."""

    def on_train_batch_start(self, trainer: Any, _module: Any, _batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == 1 and batch_idx == 1:
            raise Stop
