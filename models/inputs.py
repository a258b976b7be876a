"""From raw windows to numbers a network can read: relative to the targets' levels, standardised, bounded, and without holes.

Decided here: columns that move with a target's level enter as distances to its anchor, so that a network cannot learn a level
that is gone (Kim et al., RevIN, ICLR 2022, normalise the window to the same end); and what an unknown value means. In a
standardised column it is the training mean; for a target's own columns it is the last known value of the window, else the
training mean.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.shape import Shape, Statistics

BOUND = 8.0  # standard deviations beyond which an input says no more than "extreme"


class Inputs(nn.Module):
    """Standardise windows by the training rows' statistics, inside the graph."""

    center: Tensor
    near: Tensor
    scale: Tensor
    level: Tensor

    def __init__(self, shape: Shape, statistics: Statistics) -> None:
        super().__init__()
        self.anchors = shape.anchor_columns
        level = torch.zeros(shape.targets, shape.features)
        for column, target in shape.level_columns:
            level[target, column] = 1
        self.register_buffer("level", level, persistent=False)
        for name in ("center", "near", "scale"):
            self.register_buffer(name, getattr(statistics, name).detach().clone().float())

    def forward(self, window: Tensor) -> Tensor:
        """Standardised `window` (batch, context, features) within ±BOUND, 0 where it is unknown."""
        anchor = self.last_known(window, self.anchors) @ self.level
        standard = ((window - anchor.unsqueeze(1) - self.near) / self.scale).clamp(-BOUND, BOUND)
        return torch.nan_to_num(standard, nan=0.0)

    def last_known(self, window: Tensor, columns: Sequence[int]) -> Tensor:
        """(batch, len(columns)): the newest known raw value of each column, its training mean if there is none."""
        series = torch.stack([window[:, :, column] for column in columns], dim=2)
        age = torch.arange(1, series.shape[1] + 1, device=window.device).view(1, -1, 1)
        newest = (torch.isfinite(series) * age).amax(dim=1, keepdim=True)
        value = series.gather(1, (newest - 1).clamp(min=0))
        center = torch.stack([self.center[column] for column in columns])
        return torch.where(newest > 0, value, center).squeeze(1)
