"""A linear model of the newest row and of a few weighted averages of the window.

As in NLinear (Zeng et al., AAAI 2023) the window enters relative to its last row; unlike there all features are read, through
`rank` learnt weightings of time that they share. The weightings start as averages over the whole window, its last half, its
last quarter and so on.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.head import Head
from models.inputs import Inputs
from models.shape import Forecaster, Prediction, Shape, Statistics


@dataclass(frozen=True)
class LinearConfig:
    """`rank`: weightings of time; `dropout`: share of the head's inputs left out while training."""

    rank: int = 4
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.rank < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"expected rank >= 1 and dropout in [0, 1), found {self.rank} and {self.dropout}")


class Linear(Forecaster):
    """Linear in the standardised inputs; the spread of the quantiles is log-linear."""

    def __init__(self, shape: Shape, statistics: Statistics, config: LinearConfig) -> None:
        super().__init__()
        self.shape = shape
        self.inputs = Inputs(shape, statistics)
        self.weighting = nn.Parameter(halving_averages(shape.context, config.rank))
        self.dropout = nn.Dropout(config.dropout)
        self.head = Head(shape.features * (1 + config.rank), shape, statistics)

    def forward(self, window: Tensor) -> Prediction:
        """Forecast from the last row and from the window's weighted differences to it."""
        standard = self.inputs(window)
        last = standard[:, -1]
        history = (standard - last.unsqueeze(1)).transpose(1, 2) @ self.weighting
        state = torch.cat([last, history.flatten(1)], dim=1)
        return self.head(self.dropout(state), self.inputs.last_known(window, self.shape.anchor_columns))  # type: ignore[no-any-return]


def halving_averages(context: int, rank: int) -> Tensor:
    """(context, rank): column k averages the last context / 2^k rows (at least one)."""
    weights = torch.zeros(context, rank)
    for k in range(rank):
        length = max(context >> k, 1)
        weights[-length:, k] = 1 / length
    return weights
