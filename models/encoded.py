"""Forecasters that read a window through an encoder: what they share, so that an architecture is its encoder alone.

Decided here: the head reads the encoder's summary together with the newest row, without a detour, and a share of both is left
out while training. With a `horizon_width` it also reads what is known of each horizon (`models.future`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.future import Future
from models.head import Head
from models.horizons import HorizonHead
from models.inputs import Inputs
from models.shape import Forecaster, Prediction, Shape, Statistics


@dataclass(frozen=True)
class Ending:
    """`dropout`: share of the head's inputs left out while training; `horizon_width`: hidden width of the shared head (0: none)."""

    dropout: float
    horizon_width: int = 0


class Encoder(nn.Module, ABC):
    """A summary (batch, width) of standardised windows (batch, context, features)."""

    width: int

    @abstractmethod
    def forward(self, standard: Tensor) -> Tensor:
        """Summarise the windows as of their last tick."""


class Encoded(Forecaster):
    """An encoder and the head behind it."""

    def __init__(self, shape: Shape, statistics: Statistics, encoder: Encoder, ending: Ending) -> None:
        super().__init__()
        self.shape = shape
        self.inputs = Inputs(shape, statistics)
        self.encoder = encoder
        self.dropout = nn.Dropout(ending.dropout)
        width = encoder.width + shape.features
        self.head = Head(width, shape, statistics)
        self.future = Future(shape, statistics) if ending.horizon_width else None
        if self.future is not None:
            self.horizons = HorizonHead(width, self.future.width, ending.horizon_width, shape)

    def forward(self, window: Tensor) -> Prediction:
        """Forecast from the whole window, its last row, and what both tell of the ticks ahead."""
        standard = self.inputs(window)
        state = self.dropout(torch.cat([self.encoder(standard), standard[:, -1]], dim=1))
        anchor = self.inputs.last_known(window, self.shape.anchor_columns)
        if self.future is None:
            return self.head(state, anchor)  # type: ignore[no-any-return]
        shared = self.horizons(state, self.future(window, anchor, self.inputs))
        return self.head(state, anchor, shared)  # type: ignore[no-any-return]


def folded(standard: Tensor, size: int) -> Tensor:
    """(batch, ⌈ticks / size⌉, size · features): every `size` ticks as one row that ends where they do, 0 before the window."""
    batch, ticks, features = standard.shape
    padded = functional.pad(standard, (0, 0, -ticks % size, 0))
    return padded.reshape(batch, folds(ticks, size), size * features)


def folds(context: int, size: int) -> int:
    """Rows of `folded`."""
    return -(-context // size)


def require_options(name: str, counts: dict[str, int], ending: Ending) -> None:
    """Raise ValueError unless all counts are positive, dropout is in [0, 1) and the horizons' width is not negative."""
    wrong = {key: value for key, value in counts.items() if value < 1}
    if wrong or not 0 <= ending.dropout < 1 or ending.horizon_width < 0:
        raise ValueError(
            f"{name}: expected {', '.join(counts)} >= 1, dropout in [0, 1) and horizon_width >= 0, found {counts} and {ending}"
        )
