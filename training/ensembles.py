"""Fitted gradient boosting as a value: what it reads, its ensembles, and how their sums become a forecast.

Decided here: the arithmetic from sums to quantiles and probabilities, which `training.forest` repeats in ONNX.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.parity import Answer
from training.reading import Reading


@dataclass(frozen=True)
class Boosted:
    """Fitted ensembles: `quantile[target][level]`, `spike[target]` (a library's model, `Stepped`, or constant log-odds).

    `spread` (horizon, target) is in target units; `offset` (horizon, target, level) in the forecast's own widths.
    """

    reading: Reading
    quantile: tuple[tuple[Any, ...], ...]
    spike: tuple[Any, ...]
    spread: NDArray[np.float32]
    offset: NDArray[np.float32]

    def predict(self, windows: NDArray[np.float32]) -> Answer:
        """Quantiles (n, horizon, target, level) and spike probabilities (n, horizon, target) of raw windows."""
        row, anchor = self.reading.read(windows)
        matrix, size = self.reading.stack(row), (len(row), *self.spread.shape)
        residual = np.stack([np.stack([raw(m, matrix) for m in levels], -1) for levels in self.quantile], -2)
        residual = residual.reshape(*size, -1) * self.spread[..., None]
        quantiles = np.sort(residual + anchor[:, None, :, None], axis=-1)
        width = quantiles[..., -1:] - quantiles[..., :1]
        logit = np.stack([raw(model, matrix) for model in self.spike], -1).reshape(size)
        moved = np.sort(quantiles + self.offset * width, axis=-1)
        return moved.astype(np.float32), (1 / (1 + np.exp(-logit))).astype(np.float32)

    def calibrated(self, offset: NDArray[np.float32]) -> "Boosted":
        """The same trees with the offsets of `models.calibration.fit_offsets`. Raises ValueError for another shape."""
        if offset.shape != self.offset.shape or not np.isfinite(offset).all():
            raise ValueError(f"expected finite offsets of shape {self.offset.shape}, found {offset.shape}")
        return replace(self, offset=offset.astype(np.float32))


@dataclass(frozen=True)
class Stepped:
    """An ensemble for each of `horizons`; the last input tells which of the `members` answers, who do not read it."""

    horizons: NDArray[np.float32]
    members: tuple[Any, ...]

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the ensemble of each row's horizon adds up to (n,)."""
        found = np.zeros(len(matrix))
        for horizon, member in zip(self.horizons, self.members, strict=True):
            here = matrix[:, -1] == horizon
            if here.any():
                found[here] = raw(member, matrix[here, :-1])
        return found


def raw(model: Any, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """What an ensemble adds up to (n,): scaled residuals, log-odds, or its constant."""
    if isinstance(model, float):
        return np.full(len(matrix), model)
    answer: NDArray[np.float64] = (getattr(model, "decision_function", None) or model.predict)(matrix)
    return answer
