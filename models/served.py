"""The graph that is exported: a forecaster, probabilities instead of log-odds, and its calibration.

Decided here: `raw` is what an exporter turns into a graph; the calibration goes behind that graph as a stage of its own, the
same one for every kind of forecaster (`training.stage`), and is repeated here for training to ask.
"""

import torch
from torch import Tensor, nn

from models.shape import Forecaster


class Probabilities(nn.Module):
    """A forecaster whose spikes are probabilities."""

    def __init__(self, forecaster: Forecaster) -> None:
        super().__init__()
        self.forecaster = forecaster

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Quantiles (batch, horizon, target, level) in target units and spike probabilities (batch, horizon, target)."""
        quantiles, spike_logit = self.forecaster(window)
        return quantiles, torch.sigmoid(spike_logit)


class Served(nn.Module):
    """Quantiles moved by `offset` (horizon, target, level), in units of the forecast's own width, and put in order.

    Ordering what calibration may have crossed is Chernozhukov, Fernández-Val & Galichon's rearrangement (2010): it never
    raises the pinball loss.
    """

    offset: Tensor

    def __init__(self, forecaster: Forecaster) -> None:
        super().__init__()
        self.forecaster = forecaster
        self.register_buffer("offset", torch.zeros(forecaster.shape.outcome))

    @property
    def raw(self) -> nn.Module:
        """The same forecaster without calibration."""
        return Probabilities(self.forecaster).train(self.training)

    def calibrate(self, offset: Tensor) -> None:
        """Take the offsets of `models.calibration.fit_offsets`. Raises ValueError for another shape or for NaN."""
        if offset.shape != self.offset.shape or not bool(torch.isfinite(offset).all()):
            raise ValueError(
                f"expected finite offsets of shape {tuple(self.offset.shape)}, found {tuple(offset.shape)}"
            )
        self.offset.copy_(offset)

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor]:
        """Quantiles (batch, horizon, target, level) in target units and spike probabilities (batch, horizon, target)."""
        quantiles, spike_logit = self.forecaster(window)
        width = quantiles[..., -1:] - quantiles[..., :1]
        ordered = torch.sort(quantiles + self.offset * width, dim=-1).values
        return ordered, torch.sigmoid(spike_logit)
