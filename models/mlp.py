"""A multilayer perceptron over the newest row, whose features already look back, and the recent path of each target.

Decided here: no learnt summary of time. Means, extremes and rhythms of hours to weeks are features with a declared look-back;
what the network adds is how they act together. The path of each target's own values enters relative to its newest one. On
histories of a year or less this leaves less to overfit than a network that must find its own averages.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.head import Head
from models.inputs import Inputs
from models.shape import Forecaster, Prediction, Shape, Statistics


@dataclass(frozen=True)
class MlpConfig:
    """`width` and `depth` of the hidden layers; `dropout`: share of every layer's inputs but the first's left out in training."""

    width: int = 128
    depth: int = 2
    dropout: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.width < 1 or self.depth < 1 or not 0 <= self.dropout < 1:
            found = f"{self.width}, {self.depth} and {self.dropout}"
            raise ValueError(f"expected width and depth of at least 1 and dropout in [0, 1), found {found}")


class Mlp(Forecaster):
    """Hidden layers with SiLU; the head reads the last of them together with the inputs."""

    def __init__(self, shape: Shape, statistics: Statistics, config: MlpConfig) -> None:
        super().__init__()
        self.shape = shape
        self.inputs = Inputs(shape, statistics)
        size = shape.features + (shape.context - 1) * shape.targets
        widths = [size, *(config.width for _ in range(config.depth))]
        layers = [
            nn.Sequential(nn.Linear(before, after), nn.SiLU(), nn.Dropout(config.dropout))
            for before, after in pairwise(widths)
        ]
        self.hidden = nn.Sequential(*layers)
        self.dropout = nn.Dropout(config.dropout)
        self.head = Head(config.width + size, shape, statistics)

    def forward(self, window: Tensor) -> Prediction:
        """Forecast from the last row and the targets' paths."""
        standard = self.inputs(window)
        own = torch.stack([standard[:, :, column] for column in self.shape.value_columns], dim=2)
        path = (own[:, :-1] - own[:, -1:]).flatten(1)
        seen = torch.cat([standard[:, -1], path], dim=1)
        state = torch.cat([self.hidden(seen), self.dropout(seen)], dim=1)
        return self.head(state, self.inputs.last_known(window, self.shape.anchor_columns))  # type: ignore[no-any-return]
