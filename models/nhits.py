"""Stacks that look at the window at several rates and speak of the horizons as coarsely (NHITS, Challu et al., AAAI 2023).

Decided here: a stack pools the targets' own series by maxima, reads them together with the newest row of all features, and
answers with knots, as many fewer than ticks as it pools, between which lines are drawn: over the window, which the next stack sees
without them, and over the horizons, where all stacks add up. The knots speak of every quantile's place and every spike's
log-odds, as the shared head does, and start at zero. The first stack is the coarsest, the last sees every tick.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.encoded import folds
from models.head import Head
from models.inputs import Inputs
from models.shape import Forecaster, Prediction, Shape, Statistics


@dataclass(frozen=True)
class NhitsConfig:
    """`stacks`; `rate`: by how much each is coarser than the next; `width` of two hidden layers each; `dropout` behind them."""

    stacks: int = 3
    rate: int = 4
    width: int = 64
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if min(self.stacks, self.width) < 1 or self.rate < 2 or not 0 <= self.dropout < 1:
            raise ValueError(f"nhits: expected stacks and width >= 1, rate >= 2, dropout in [0, 1), found {self}")


class Stack(nn.Module):
    """Hidden layers between pooled series (batch, context, series) with inputs (batch, features), and knots."""

    def __init__(self, sizes: tuple[int, int, int], shape: Shape, pool: int, config: NhitsConfig, last: bool) -> None:
        super().__init__()
        series, features, answers = sizes
        self._pool, self._answers = pool, answers
        ticks, steps = folds(shape.context, pool), folds(shape.horizons, pool)
        self.hidden = nn.Sequential(
            nn.Linear(ticks * series + features, config.width), nn.ReLU(),
            nn.Linear(config.width, config.width), nn.ReLU(), nn.Dropout(config.dropout),
        )  # fmt: skip
        self.ahead = nn.Linear(config.width, steps * answers)
        nn.init.zeros_(self.ahead.weight)
        nn.init.zeros_(self.ahead.bias)
        self.behind = None if last else nn.Linear(config.width, ticks * series)
        self.register_buffer("over_steps", lines(steps, shape.horizons), persistent=False)
        self.register_buffer("over_ticks", lines(ticks, shape.context), persistent=False)

    def forward(self, series: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What is left of the series, and answers (batch, horizon, answers)."""
        batch, ticks, count = series.shape
        padded = functional.pad(series, (0, 0, -ticks % self._pool, 0))
        pooled = padded.reshape(batch, -1, self._pool, count).amax(dim=2)
        hidden = self.hidden(torch.cat([pooled.flatten(1), inputs], dim=1))
        ahead = self.over_steps @ self.ahead(hidden).unflatten(1, (-1, self._answers))
        if self.behind is not None:
            series = series - self.over_ticks @ self.behind(hidden).unflatten(1, (-1, count))
        return series, ahead


class Nhits(Forecaster):
    """Stacks in a row; the head adds them up with a linear reading of the newest row."""

    def __init__(self, shape: Shape, statistics: Statistics, config: NhitsConfig) -> None:
        super().__init__()
        self.shape = shape
        self.inputs = Inputs(shape, statistics)
        self._own = sorted({*shape.value_columns, *shape.anchor_columns})
        self._answer = (shape.targets, len(shape.levels) + 1)
        sizes = (len(self._own), shape.features, shape.targets * (len(shape.levels) + 1))
        pools = [config.rate**power for power in range(config.stacks - 1, -1, -1)]
        self.stacks = nn.ModuleList(Stack(sizes, shape, pool, config, pool == pools[-1]) for pool in pools)
        self.head = Head(shape.features, shape, statistics)

    def forward(self, window: Tensor) -> Prediction:
        """Forecast from the targets' own past and the newest row."""
        standard = self.inputs(window)
        row = standard[:, -1]
        series = torch.stack([standard[:, :, column] for column in self._own], dim=2)
        ahead = torch.zeros_like(row[:, :1]).unsqueeze(2)
        for stack in self.stacks:
            series, more = stack(series, row)
            ahead = ahead + more
        anchor = self.inputs.last_known(window, self.shape.anchor_columns)
        shared = ahead.reshape(*ahead.shape[:2], *self._answer)
        return self.head(row, anchor, shared)  # type: ignore[no-any-return]


def lines(knots: int, length: int) -> Tensor:
    """(length, knots): the weights of linear interpolation between knots that are spread evenly from end to end."""
    if knots == 1:
        return torch.ones(length, 1)
    place = torch.linspace(0, knots - 1, length).unsqueeze(1)
    return (1 - (place - torch.arange(knots)).abs()).clamp(min=0)
