"""Ending a trial early: after each validation a fit tells how well it does, and is told whether to go on.

Decided here: what is reported (the validation loss, as early stopping reads it) and to whom: the study's own storage, or the
actor that holds the study on a Ray cluster.
"""

from typing import Any

import optuna
from lightning.pytorch import Callback, LightningModule, Trainer

from training.study import Judge

MONITOR, RAY = "val_loss", "ray://"


class Pruning(Callback):
    """Ends a hopeless fit by raising `optuna.TrialPruned`.

    `where` is a storage's address, or `ray://ACTOR`; `study` and `number` say which trial this is.
    """

    def __init__(self, where: str, study: str, number: int) -> None:
        self.where, self.study, self.number = where, study, number
        self._judge: Any = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 - the hook hands it over
        """Report, and end where told to."""
        value = trainer.callback_metrics.get(MONITOR)
        if value is None or trainer.sanity_checking:
            return
        if self.hopeless(trainer.current_epoch, float(value)):
            raise optuna.TrialPruned(f"after epoch {trainer.current_epoch} with {MONITOR} {float(value):.4g}")

    def hopeless(self, step: int, value: float) -> bool:
        """What the study says to a value at a step."""
        if self.where.startswith(RAY):
            import ray

            self._judge = self._judge or ray.get_actor(self.where.removeprefix(RAY))
            return bool(ray.get(self._judge.hopeless.remote(self.number, step, value)))
        self._judge = self._judge or Judge(self.where, self.study)
        return bool(self._judge.hopeless(self.number, step, value))
