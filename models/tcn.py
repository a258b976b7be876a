"""A temporal convolutional network: causal convolutions of three taps whose dilation doubles from layer to layer.

After Bai, Kolter & Koltun (arXiv 1803.01271), with layer normalisation over channels instead of weight normalisation.
Decided here: only what the last tick's answer depends on is computed. A layer of dilation d is needed at every 2d-th tick
alone, so each layer reads every tick that the layer below left and leaves every second one: the same numbers as the dense
network's last output for about a seventh of its work at 72 ticks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.encoded import Encoded, Encoder, Ending, require_options
from models.shape import Shape, Statistics

TAPS = 3


@dataclass(frozen=True)
class TcnConfig:
    """`channels`: width of every layer; the rest as in `models.encoded.Ending`."""

    channels: int = 32
    dropout: float = 0.4
    horizon_width: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        require_options("tcn", {"channels": self.channels}, self.ending)

    @property
    def ending(self) -> Ending:
        """What the head is told."""
        return Ending(self.dropout, self.horizon_width)


class Layer(nn.Module):
    """x(t) + SiLU(W · [n(t − 2d), n(t − d), n(t)] + b) at every second tick, n = layer norm of x, 0 before the window."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.mix = nn.Linear(TAPS * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ticks, channels) → (batch, ⌈ticks / 2⌉, channels); the last tick stays the last."""
        odd = x.shape[1] % 2
        padded = functional.pad(self.norm(x), (0, 0, 1 + odd, 0))
        taps = torch.cat([padded[:, :-2:2], padded[:, 1:-1:2], padded[:, 2::2]], dim=2)
        return x[:, 1 - odd :: 2] + functional.silu(self.mix(taps))


class Tcn(Encoder):
    """Layers until one tick is left."""

    def __init__(self, shape: Shape, config: TcnConfig) -> None:
        super().__init__()
        self.width = config.channels
        self.entry = nn.Linear(shape.features, config.channels)
        depth = max((shape.context - 1).bit_length(), 1)  # ⌈log2 context⌉: the last layer sees the whole window
        self.layers = nn.ModuleList(Layer(config.channels) for _ in range(depth))
        self.norm = nn.LayerNorm(config.channels)

    def forward(self, standard: Tensor) -> Tensor:
        """The network's output at the last tick, (batch, channels)."""
        x = self.entry(standard)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x[:, -1])  # type: ignore[no-any-return]


def tcn(shape: Shape, statistics: Statistics, config: TcnConfig) -> Encoded:
    """A forecaster on causal convolutions."""
    return Encoded(shape, statistics, Tcn(shape, config), config.ending)
