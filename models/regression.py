"""Linear quantile regression of each level, horizon and target on the newest row, whose features already look back.

Decided here: with means over hours and days among its features this is a heterogeneous autoregression (HAR, Corsi 2009) by
quantile regression (Koenker and Bassett 1978). Weights of different levels know nothing of each other, so their answers are put
in order (Chernozhukov, Fernández-Val and Galichon 2010). Spikes have proportional odds: what is learnt moves the log-odds of
all horizons alike (McCullagh 1980). With a `half_life` quantiles start from the exponentially weighted mean of the target's
known values in the window instead of its anchor: without inputs that is simple exponential smoothing (Brown 1959).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.head import rate_logit
from models.inputs import Inputs
from models.shape import Forecaster, Prediction, Shape, Statistics


@dataclass(frozen=True)
class RegressionConfig:
    """`half_life` of the weights of past values in ticks; 0 starts from the anchor."""

    half_life: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.half_life < 0:
            raise ValueError(f"expected a half_life of 0 ticks or more, found {self.half_life}")


class Regression(Forecaster):
    """Start + residual + inputs · weight for every quantile."""

    residual: Tensor
    odds: Tensor
    decay: Tensor

    def __init__(self, shape: Shape, statistics: Statistics, config: RegressionConfig) -> None:
        super().__init__()
        self.shape = shape
        self.inputs = Inputs(shape, statistics)
        self.weight = nn.Parameter(torch.zeros(shape.features, *shape.outcome))
        self.spike = nn.Parameter(torch.zeros(shape.features, shape.targets))
        residual = statistics.residuals.detach().float()
        self.register_buffer("residual", residual.clone())
        self.register_buffer("odds", rate_logit(statistics.spike_rate))
        age = torch.arange(shape.context - 1, -1, -1, dtype=torch.float32).view(1, -1, 1)
        self.register_buffer("decay", torch.exp2(-age / max(config.half_life, 1e-6)), persistent=False)
        self._smooths = config.half_life > 0

    def forward(self, window: Tensor) -> Prediction:
        """Forecast from the newest row."""
        row = self.inputs(window)[:, -1]
        learnt = torch.einsum("bf,fhtl->bhtl", row, self.weight)
        quantiles = self.start(window)[:, None, :, None] + self.residual + learnt
        return Prediction(torch.sort(quantiles, dim=-1).values, self.odds + (row @ self.spike).unsqueeze(1))

    def start(self, window: Tensor) -> Tensor:
        """(batch, target): what quantiles are added to."""
        anchor = self.inputs.last_known(window, self.shape.anchor_columns)
        if not self._smooths:
            return anchor
        values = torch.stack([window[:, :, column] for column in self.shape.value_columns], dim=2)
        known = torch.isfinite(values)
        total = (known * self.decay).sum(dim=1)
        mean = (torch.where(known, values, torch.zeros_like(values)) * self.decay).sum(dim=1) / total.clamp(min=1e-30)
        return torch.where(total > 0, mean, anchor)
