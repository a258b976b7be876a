"""Prepared rows as batches for Lightning.

Decided here: a batch is gathered from the one matrix by index in a single step, and validation sees every tick in order.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.errors import UsageError
from training.preparation import Prepared, prepare
from training.settings import BatchSettings, PanelSettings, SplitSettings


class Batch(NamedTuple):
    """Windows and outcomes of one batch.

    `window` (batch, context, feature) raw and `ahead` (batch, horizon, target), both NaN where unknown; `crossed` 0/1 of the
    same shape, which counts where `known`; booleans `at_risk` (batch, target).
    """

    window: Tensor
    ahead: Tensor
    known: Tensor
    crossed: Tensor
    at_risk: Tensor


class Windows(Dataset[Batch]):
    """Some rows of a prepared history; `__getitems__` gathers a whole batch at once."""

    def __init__(self, prepared: Prepared, rows: NDArray[np.int64]) -> None:
        self.prepared, self.rows = prepared, rows

    def __len__(self) -> int:
        """Count of rows."""
        return len(self.rows)

    def __getitem__(self, place: int) -> Batch:
        """The batch of one row."""
        return self.__getitems__([place])

    def __getitems__(self, places: Sequence[int]) -> Batch:
        """The batch of several rows, in their order."""
        rows, labels = self.rows[np.asarray(places)], self.prepared.labels
        parts = (self.prepared.windows, labels.ahead, labels.known, labels.crossed, labels.at_risk)
        return Batch(*(torch.from_numpy(part[rows]) for part in parts))


def as_it_is(batch: Any) -> Any:
    """Batches come whole: nothing is left to collate."""
    return batch


class PanelData(LightningDataModule):
    """Batches of one panel from the canonical tables in `history`."""

    def __init__(
        self,
        history: Path,
        panel: PanelSettings | None = None,
        split: SplitSettings | None = None,
        batch: BatchSettings | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.history, self.seed = history, seed
        self.panel, self.split, self.batch = (
            panel or PanelSettings(),
            split or SplitSettings(),
            batch or BatchSettings(),
        )
        self._prepared: Prepared | None = None

    @property
    def prepared(self) -> Prepared:
        """Everything that is fitted and tested on; read on first use."""
        if self._prepared is None:
            self._prepared = prepare(self.history, self.panel, self.split, self.seed)
        return self._prepared

    def setup(self, stage: str) -> None:
        """Read the history. Raises UsageError when a test is asked for and no rows follow `until`."""
        if stage == "test" and not len(self.prepared.trainable(self.prepared.split.test)):
            raise UsageError(
                "data.split.until",
                expected="rows after until to test on",
                found="none",
                remedy="name an until that lies before the end of the history",
            )
        _ = self.prepared

    def train_dataloader(self) -> DataLoader[Batch]:
        """Every `stride`-th fitting row, shuffled anew each epoch."""
        return self._loader(self.prepared.trainable(self.prepared.split.fit, self.batch.stride), shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation rows in order."""
        return self._loader(self.prepared.trainable(self.prepared.split.validation))

    def test_dataloader(self) -> DataLoader[Batch]:
        """The rows after `until` in order."""
        return self._loader(self.prepared.trainable(self.prepared.split.test))

    def _loader(self, rows: NDArray[np.int64], shuffle: bool = False) -> DataLoader[Batch]:
        windows = Windows(self.prepared, rows)
        return DataLoader(windows, batch_size=self.batch.size, shuffle=shuffle, collate_fn=as_it_is)
