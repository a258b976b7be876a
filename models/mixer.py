"""A mixer: linear layers along time and along channels in turn (TSMixer, Chen et al., TMLR 2023).

Decided here: rows of `fold` ticks are mixed rather than single ticks, and the newest row after the last block is the summary:
by then it has read all others.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from models.encoded import Encoded, Encoder, Ending, folded, folds, require_options
from models.shape import Shape, Statistics


@dataclass(frozen=True)
class MixerConfig:
    """`channels`: width; `depth`: blocks; `fold`: ticks a row; the rest as in `models.encoded.Ending`."""

    channels: int = 32
    depth: int = 2
    fold: int = 6
    dropout: float = 0.4
    horizon_width: int = 32

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        counts = {"channels": self.channels, "depth": self.depth, "fold": self.fold}
        require_options("mixer", counts, self.ending)

    @property
    def ending(self) -> Ending:
        """What the head is told."""
        return Ending(self.dropout, self.horizon_width)


class Block(nn.Module):
    """x + SiLU(along time), then x + MLP(along channels), each of the layer norm of x."""

    def __init__(self, rows: int, channels: int) -> None:
        super().__init__()
        self.before_time, self.before_channels = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.time = nn.Linear(rows, rows)
        self.widen, self.narrow = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, rows, channels) to the same."""
        x = x + functional.silu(self.time(self.before_time(x).transpose(1, 2))).transpose(1, 2)
        return x + self.narrow(functional.silu(self.widen(self.before_channels(x))))  # type: ignore[no-any-return]


class Mixer(Encoder):
    """Blocks over folded rows."""

    def __init__(self, shape: Shape, config: MixerConfig) -> None:
        super().__init__()
        self.width, self._fold = config.channels, config.fold
        rows = folds(shape.context, config.fold)
        self.entry = nn.Linear(config.fold * shape.features, config.channels)
        self.blocks = nn.Sequential(*(Block(rows, config.channels) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.channels)

    def forward(self, standard: Tensor) -> Tensor:
        """The newest row, (batch, channels)."""
        return self.norm(self.blocks(self.entry(folded(standard, self._fold)))[:, -1])  # type: ignore[no-any-return]


def mixer(shape: Shape, statistics: Statistics, config: MixerConfig) -> Encoded:
    """A forecaster on a mixer."""
    return Encoded(shape, statistics, Mixer(shape, config), config.ending)
