"""What the training rows say before anything is learnt: centre and scale of features, residual quantiles, spike rates.

Decided here: only rows of the given range are counted, and unknown values are left out rather than filled.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from data.contract import Contract
from data.panel import Labels, Rows
from models.shape import Shape, Statistics
from training.metrics import residual_quantiles
from training.shapes import shape_of

SMALLEST_SCALE = 1e-6


def statistics(rows: Rows, labels: Labels, contract: Contract, part: range) -> Statistics:
    """Statistics of a range of rows, sized for the contract's graph."""
    shape, matrix = shape_of(contract), rows.matrix[part.start : part.stop]
    anchor = rows.matrix[:, list(shape.anchor_columns)]
    center, _ = location(matrix)
    near, scale = location(relative(matrix, anchor[part.start : part.stop], shape))
    return Statistics(
        center=torch.from_numpy(center),
        near=torch.from_numpy(near),
        scale=torch.from_numpy(scale),
        residuals=tensor(residuals(labels.ahead, anchor, contract.levels, part)),
        value_residuals=tensor(residuals(labels.ahead, labels.value, contract.levels, part)),
        spike_rate=tensor(spike_rate(labels, part)),
    )


def location(matrix: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation (feature) of the known values; 0 and 1 where a column is never known or never moves."""
    center, scale = np.zeros(matrix.shape[1]), np.ones(matrix.shape[1])
    for place, column in enumerate(matrix.T):
        known = column[np.isfinite(column)].astype(np.float64)
        if len(known):
            center[place] = known.mean()
            spread = float(known.std())
            scale[place] = spread if spread > SMALLEST_SCALE else 1.0
    return center.astype(np.float32), scale.astype(np.float32)


def relative(matrix: NDArray[np.float32], anchor: NDArray[np.float32], shape: Shape) -> NDArray[np.float32]:
    """Rows (n, feature) whose level columns are relative to the anchors (n, target)."""
    found = matrix.copy()
    for column, target in shape.level_columns:
        found[:, column] -= anchor[:, target]
    return found


def residuals(
    ahead: NDArray[np.float32], base: NDArray[np.float32], levels: tuple[float, ...], part: range
) -> NDArray[np.float64]:
    """(horizon, target, level) empirical quantiles of ahead (n, horizon, target) - base (n, target) over a range of rows."""
    rows = slice(part.start, part.stop)
    truths, bases = ahead[rows].astype(np.float64), base[rows].astype(np.float64)
    by_target = [residual_quantiles(bases[:, t], truths[:, :, t], levels) for t in range(bases.shape[1])]
    return np.stack(by_target, axis=1)


def spike_rate(labels: Labels, part: range) -> NDArray[np.float64]:
    """(horizon, target): share of known, at-risk rows of a range after which the threshold was crossed by the horizon."""
    rows = slice(part.start, part.stop)
    counted = labels.known[rows] & labels.at_risk[rows][:, None, :]
    crossed = np.where(counted, labels.crossed[rows], 0).sum(axis=0)
    return np.asarray(crossed / np.maximum(counted.sum(axis=0), 1), np.float64)


def tensor(values: NDArray[np.float64]) -> torch.Tensor:
    """Single precision, as the graph computes."""
    return torch.from_numpy(values.astype(np.float32))
