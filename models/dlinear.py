"""Linear in every tick of a target's own past, split into its trend and what is left (DLinear, Zeng et al., AAAI 2023).

Decided here: only the targets' own values are read tick by tick, relative to the newest one (NLinear of the same paper); all
other features count by their newest row. The trend is a centred moving average whose ends repeat the first and the last
value, as one matrix product. Both parts go through one linear layer, so the split says how weights are decayed, not what the
layer can say.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.encoded import Encoded, Encoder, Ending, require_options
from models.shape import Shape, Statistics


@dataclass(frozen=True)
class DLinearConfig:
    """`smooth`: ticks of the moving average; the rest as in `models.encoded.Ending`."""

    smooth: int = 13
    dropout: float = 0.0
    horizon_width: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        require_options("dlinear", {"smooth": self.smooth}, self.ending)

    @property
    def ending(self) -> Ending:
        """What the head is told."""
        return Ending(self.dropout, self.horizon_width)


class Decomposed(Encoder):
    """Trend and remainder of the targets' own values, relative to the newest."""

    trend: Tensor

    def __init__(self, shape: Shape, config: DLinearConfig) -> None:
        super().__init__()
        self._own = tuple(sorted(set(shape.value_columns)))
        self.width = 2 * shape.context * len(self._own)
        self.register_buffer("trend", moving_average(shape.context, config.smooth), persistent=False)

    def forward(self, standard: Tensor) -> Tensor:
        """(batch, 2 · context · own columns)."""
        series = torch.stack([standard[:, :, column] for column in self._own], dim=1)
        series = series - series[:, :, -1:]
        trend = series @ self.trend
        return torch.cat([trend, series - trend], dim=2).flatten(1)


def dlinear(shape: Shape, statistics: Statistics, config: DLinearConfig) -> Encoded:
    """A forecaster on the split past."""
    return Encoded(shape, statistics, Decomposed(shape, config), config.ending)


def moving_average(context: int, smooth: int) -> Tensor:
    """(context, context): column t averages the `smooth` ticks around t, the end values standing in beyond the ends."""
    weights = torch.zeros(context, context)
    for tick in range(context):
        for place in range(tick - (smooth - 1) // 2, tick + smooth // 2 + 1):
            weights[min(max(place, 0), context - 1), tick] += 1 / smooth
    return weights
