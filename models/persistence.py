"""The forecast to beat: the last known value plus what the value usually did next. Nothing is learnt.

Spikes: the log-odds that the threshold is exceeded under an asymmetric Laplace law through the lowest, the middle and the
highest quantile (exponential tails on both sides of the median; Kozubowski & Podgórski 2000), the largest so far along the
horizon. Where a target has no threshold: the empirical rate.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.head import ODDS_BOUND, SMALLEST_GAP, rate_logit
from models.inputs import Inputs
from models.shape import Forecaster, Prediction, Shape, Statistics


@dataclass(frozen=True)
class PersistenceConfig:
    """Persistence has nothing to choose."""


class Persistence(Forecaster):
    """Value + empirical quantiles of truth − value, for each horizon."""

    residuals: Tensor
    odds: Tensor

    def __init__(self, shape: Shape, statistics: Statistics, config: PersistenceConfig) -> None:  # noqa: ARG002
        super().__init__()
        self.shape = shape
        self.inputs = Inputs(shape, statistics)
        ordered = statistics.value_residuals.detach().float().cummax(dim=-1).values
        self.register_buffer("residuals", ordered)
        self.register_buffer("odds", rate_logit(statistics.spike_rate))

    def forward(self, window: Tensor) -> Prediction:
        """Forecast from the last known value."""
        value = self.inputs.last_known(window, self.shape.value_columns)
        quantiles = value[:, None, :, None] + self.residuals
        return Prediction(quantiles, self._spike_logit(window, quantiles))

    def _spike_logit(self, window: Tensor, quantiles: Tensor) -> Tensor:
        columns = []
        for place, column in enumerate(self.shape.thresholds):
            if column is None or not self._has_tails:
                columns.append(self.odds[:, place].expand(window.shape[0], -1))
            else:
                threshold = self.inputs.last_known(window, [column])
                columns.append(self._exceedance(threshold, quantiles[:, :, place]))
        return torch.stack(columns, dim=-1)

    @property
    def _has_tails(self) -> bool:
        return self.shape.levels[0] < 0.5 < self.shape.levels[-1] and 0 < self.shape.middle < len(self.shape.levels) - 1

    def _exceedance(self, threshold: Tensor, quantiles: Tensor) -> Tensor:
        """Log-odds (batch, horizon) of having exceeded `threshold` (batch, 1) under `quantiles` (batch, horizon, level)."""
        levels, middle = self.shape.levels, quantiles[..., self.shape.middle]
        up = tail_scale(quantiles[..., -1] - middle, 1 - levels[-1])
        down = tail_scale(middle - quantiles[..., 0], levels[0])
        distance = threshold - middle
        odds = torch.where(distance >= 0, tail_logit(distance / up), -tail_logit(-distance / down))
        return largest_so_far(odds.clamp(-ODDS_BOUND, ODDS_BOUND))


def tail_scale(width: Tensor, outside: float) -> Tensor:
    """Scale of an exponential tail that starts with mass 1/2 and leaves `outside` beyond `width`."""
    return width.clamp(min=SMALLEST_GAP) / math.log(0.5 / outside)


def tail_logit(distance: Tensor) -> Tensor:
    """Log-odds of a tail probability exp(−distance)/2, for distance >= 0."""
    distance = distance.clamp(min=0)
    return math.log(0.5) - distance - torch.log(1 - 0.5 * torch.exp(-distance))


def largest_so_far(x: Tensor) -> Tensor:
    """Running maximum along dimension 1; written out because ONNX has no such operator."""
    steps = [x[:, 0]]
    for k in range(1, x.shape[1]):
        steps.append(torch.maximum(steps[-1], x[:, k]))
    return torch.stack(steps, dim=1)
