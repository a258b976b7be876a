"""From raw windows to numbers a network can read: standardised, bounded, and without holes.

Decided here: what an unknown value means. In a standardised column it is the training mean; for a target's own columns it
is the last known value of the window, else the training mean.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.shape import Statistics

BOUND = 8.0  # standard deviations beyond which an input says no more than "extreme"


class Inputs(nn.Module):
    """Standardise windows by the training rows' `center` and `scale`, inside the graph."""

    center: Tensor
    scale: Tensor

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        self.register_buffer("center", statistics.center.detach().clone().float())
        self.register_buffer("scale", statistics.scale.detach().clone().float())

    def forward(self, window: Tensor) -> Tensor:
        """Standardised `window` (batch, context, features) within ±BOUND, 0 where it is unknown."""
        standard = ((window - self.center) / self.scale).clamp(-BOUND, BOUND)
        return torch.nan_to_num(standard, nan=0.0)

    def last_known(self, window: Tensor, columns: Sequence[int]) -> Tensor:
        """(batch, len(columns)): the newest known raw value of each column, its training mean if there is none."""
        series = torch.stack([window[:, :, column] for column in columns], dim=2)
        age = torch.arange(1, series.shape[1] + 1, device=window.device).view(1, -1, 1)
        newest = (torch.isfinite(series) * age).amax(dim=1, keepdim=True)
        value = series.gather(1, (newest - 1).clamp(min=0))
        center = torch.stack([self.center[column] for column in columns])
        return torch.where(newest > 0, value, center).squeeze(1)
