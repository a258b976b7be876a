"""Prepared rows as batches for Lightning.

Decided here: a batch is gathered from the one matrix by index in a single step, and validation sees every tick in order. Other
markets or chains may be pooled with the panel's own for fitting alone, and only up to the time at which its own fitting ends.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from training.settings import BatchSettings, PanelSettings, PoolSettings, SplitSettings


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
    """Some rows of one or several prepared histories of equal shape; `__getitems__` gathers a whole batch at once."""

    def __init__(self, *parts: tuple[Prepared, NDArray[np.int64]]) -> None:
        self.parts = parts
        self.starts = np.cumsum([0, *(len(rows) for _, rows in parts)])

    def __len__(self) -> int:
        """Count of rows."""
        return int(self.starts[-1])

    def __getitem__(self, place: int) -> Batch:
        """The batch of one row."""
        return self.__getitems__([place])

    def __getitems__(self, places: Sequence[int]) -> Batch:
        """The batch of several rows, in their order within each history, one history after another."""
        asked = np.asarray(places)
        found = []
        for (prepared, rows), start, stop in zip(self.parts, self.starts, self.starts[1:], strict=False):
            inside = asked if len(self.parts) == 1 else asked[(asked >= start) & (asked < stop)]
            found.append(gathered(prepared, rows[inside - start]))
        return found[0] if len(found) == 1 else Batch(*(torch.cat(part) for part in zip(*found, strict=True)))


def gathered(prepared: Prepared, rows: NDArray[np.int64]) -> Batch:
    """Windows and outcomes of some rows, each copied once."""
    labels = prepared.labels
    parts = (prepared.windows, labels.ahead, labels.known, labels.crossed, labels.at_risk)
    return Batch(*(torch.from_numpy(part[rows]) for part in parts))


def as_it_is(batch: Any) -> Any:
    """Batches come whole: nothing is left to collate."""
    return batch


class PanelData(LightningDataModule):
    """Batches of one panel from the canonical tables in `history`; `pool` adds training windows of other markets or chains."""

    def __init__(
        self,
        history: Path,
        panel: PanelSettings | None = None,
        split: SplitSettings | None = None,
        batch: BatchSettings | None = None,
        seed: int = 0,
        pool: tuple[PoolSettings, ...] = (),
    ) -> None:
        super().__init__()
        self.history, self.seed, self.pool = history, seed, pool
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
        """Every `stride`-th fitting row, the pool's with them, shuffled anew each epoch."""
        main, stride = self.prepared, self.batch.stride
        parts = [(main, main.trainable(main.split.fit, stride))]
        for other in pooled(self.history, self.panel, self.split, self.pool):
            rows = other.trainable(other.split.fit, stride)
            parts.append((other, rows[other.rows.ticks[rows] <= main.rows.ticks[main.split.fit.stop - 1]]))
        return self._loader(*parts, shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation rows in order."""
        return self._loader((self.prepared, self.prepared.trainable(self.prepared.split.validation)))

    def test_dataloader(self) -> DataLoader[Batch]:
        """The rows after `until` in order."""
        return self._loader((self.prepared, self.prepared.trainable(self.prepared.split.test)))

    def _loader(self, *parts: tuple[Prepared, NDArray[np.int64]], shuffle: bool = False) -> DataLoader[Batch]:
        return DataLoader(Windows(*parts), batch_size=self.batch.size, shuffle=shuffle, collate_fn=as_it_is)


def pooled(
    history: Path, panel: PanelSettings, split: SplitSettings, pool: tuple[PoolSettings, ...]
) -> Iterator[Prepared]:
    """The panel of each mapping in a pool. Raises UsageError where its roles are not those of the panel.

    Features keep the names of the roles, so a window says "the main market", whichever that is; centres and scales are the
    panel's own.
    """
    for told in pool:
        roles = panel.roles if told.roles is None else told.roles
        if roles.keys() != panel.roles.keys():
            raise UsageError(
                "data.pool",
                expected=f"the roles {sorted(panel.roles)}",
                found=str(sorted(roles)),
                remedy="map the same roles to other symbols",
            )
        yield prepare(history, replace(panel, roles=roles, chain=told.chain or panel.chain), split)
