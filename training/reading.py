"""What trees read of a window: its newest row, level columns relative to their target's anchor, and a horizon.

Decided here: the order of these inputs. `training.forest` repeats it in ONNX, in the same float32 arithmetic.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.contract import Contract
from training.shapes import shape_of


@dataclass(frozen=True)
class Reading:
    """Columns by place in the row: `relative` (target, feature) is 1 where a column enters as value − anchor, else 0.

    `center` (target) stands in for an anchor that is unknown in the whole window; `horizons` are in ticks.
    """

    anchors: tuple[int, ...]
    relative: NDArray[np.float32]
    center: NDArray[np.float32]
    horizons: NDArray[np.float32]

    @staticmethod
    def of(contract: Contract, rows: NDArray[np.float32]) -> "Reading":
        """The reading of a contract; centres are means over known anchors in `rows` (n, feature), 0 where none is."""
        shape = shape_of(contract)
        relative = np.zeros((shape.targets, shape.features), np.float32)
        for column, place in shape.level_columns:
            relative[place, column] = 1
        anchors = rows[:, list(shape.anchor_columns)].astype(np.float64)
        count = np.isfinite(anchors).sum(axis=0)
        center = np.nansum(anchors, axis=0) / np.maximum(count, 1)
        return Reading(
            shape.anchor_columns, relative, center.astype(np.float32), np.array(contract.horizons, np.float32)
        )

    def read(
        self, windows: NDArray[np.float32], rows: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Inputs but the horizon (n, inputs) and anchors (n, target) of some windows (…, context, feature), by default of all.

        Reads one tick at a time, so that windows may be an overlapping view of far more than fits into memory.
        """
        chosen = np.arange(len(windows)) if rows is None else rows
        last, anchor = windows[chosen, -1], np.full((len(chosen), len(self.anchors)), np.nan, np.float32)
        for age in range(1, windows.shape[1] + 1):
            late = np.flatnonzero(np.isnan(anchor).any(axis=1))
            if not len(late):
                break
            older = windows[chosen[late], -age][:, list(self.anchors)]
            anchor[late] = np.where(np.isnan(anchor[late]), older, anchor[late])
        anchor = np.where(np.isnan(anchor), self.center, anchor)
        return last - anchor @ self.relative, anchor

    def stack(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n × horizon, inputs): every row at every horizon."""
        everything = np.indices((len(row), len(self.horizons))).reshape(2, -1)
        return self.pairs(row, (everything[0], everything[1]))

    def pairs(
        self, row: NDArray[np.float32], pairs: tuple[NDArray[np.int64], NDArray[np.int64]]
    ) -> NDArray[np.float32]:
        """(pairs, inputs): chosen rows at chosen horizons."""
        return np.concatenate([row[pairs[0]], self.horizons[pairs[1], None]], axis=1)
