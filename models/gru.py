"""A gated recurrent unit over the window (Cho et al., EMNLP 2014), whose last state is the summary.

Decided here: a step reads `fold` ticks at once, because a recurrence costs by the step: at 72 ticks and three a step a third of
the time, and a graph of a third of the nodes.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from models.encoded import Encoded, Encoder, Ending, folded, require_options
from models.shape import Shape, Statistics


@dataclass(frozen=True)
class GruConfig:
    """`channels`: width of the state; `fold`: ticks a step; the rest as in `models.encoded.Ending`."""

    channels: int = 32
    fold: int = 6
    dropout: float = 0.4
    horizon_width: int = 32

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        require_options("gru", {"channels": self.channels, "fold": self.fold}, self.ending)

    @property
    def ending(self) -> Ending:
        """What the head is told."""
        return Ending(self.dropout, self.horizon_width)


class Gru(Encoder):
    """One layer of recurrence, normalised at its end."""

    def __init__(self, shape: Shape, config: GruConfig) -> None:
        super().__init__()
        self.width, self._fold = config.channels, config.fold
        self.recurrence = nn.GRU(config.fold * shape.features, config.channels, batch_first=True)
        self.norm = nn.LayerNorm(config.channels)

    def forward(self, standard: Tensor) -> Tensor:
        """The last state, (batch, channels)."""
        return self.norm(self.recurrence(folded(standard, self._fold))[0][:, -1])  # type: ignore[no-any-return]


def gru(shape: Shape, statistics: Statistics, config: GruConfig) -> Encoded:
    """A forecaster on a recurrence."""
    return Encoded(shape, statistics, Gru(shape, config), config.ending)
