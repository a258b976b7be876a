"""A transformer over patches of the window (PatchTST, Nie et al., ICLR 2023).

Decided here: patches do not overlap and end with the newest tick, whose token is the summary; so the last block asks for that
token alone. A token holds a patch of all features (`mixing: 1`), or of one target's own value or anchor, whose tokens do not see
each other's but share all weights, as in the paper (`mixing: 0`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.encoded import Encoded, Encoder, Ending, folded, folds, require_options
from models.shape import Shape, Statistics


@dataclass(frozen=True)
class PatchConfig:
    """`channels`: width of a token, a multiple of `heads`; `depth`: blocks; `patch`: ticks a token; `mixing`: see the module.

    The rest is as in `models.encoded.Ending`.
    """

    channels: int = 32
    heads: int = 4
    depth: int = 2
    patch: int = 6
    mixing: int = 1
    dropout: float = 0.4
    horizon_width: int = 32

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        counts = {"channels": self.channels, "heads": self.heads, "depth": self.depth, "patch": self.patch}
        require_options("patch", counts, self.ending)
        if self.channels % self.heads or self.mixing not in (0, 1):
            raise ValueError(
                f"patch: expected channels that heads divide and a mixing of 0 or 1, found {self.channels}, {self.heads}"
                f" and {self.mixing}"
            )

    @property
    def ending(self) -> Ending:
        """What the head is told."""
        return Ending(self.dropout, self.horizon_width)


class Block(nn.Module):
    """x + attention, then x + MLP, each of the layer norm of x, for the last `asked` tokens (all where there is no number)."""

    def __init__(self, channels: int, heads: int, asked: int | None = None) -> None:
        super().__init__()
        self._heads, self._first = heads, None if asked is None else -asked
        self.before_attention, self.before_mlp = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.offer = nn.Linear(channels, 2 * channels, bias=False)
        self.gather = nn.Linear(channels, channels)
        self.widen, self.narrow = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, channels) to (batch, asked, channels)."""
        normal = self.before_attention(x)
        x = x[:, self._first :]
        query = self._split(self.query(normal[:, self._first :]))
        key, value = (self._split(part) for part in self.offer(normal).chunk(2, dim=2))
        found = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.gather(found.transpose(1, 2).flatten(2))
        return x + self.narrow(functional.silu(self.widen(self.before_mlp(x))))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        """(batch, heads, tokens, channels of a head)."""
        batch, tokens, channels = x.shape
        return x.reshape(batch, tokens, self._heads, channels // self._heads).transpose(1, 2)


class Patches(Encoder):
    """Blocks over the tokens of patches."""

    def __init__(self, shape: Shape, config: PatchConfig) -> None:
        super().__init__()
        self._own = () if config.mixing else tuple(sorted({*shape.value_columns, *shape.anchor_columns}))
        self._patch = config.patch
        self.width = config.channels * max(len(self._own), 1)
        self.entry = nn.Linear(config.patch * (1 if self._own else shape.features), config.channels)
        self.place = nn.Parameter(0.1 * torch.randn(folds(shape.context, config.patch), config.channels))
        asked = (*[None] * (config.depth - 1), 1)
        self.blocks = nn.Sequential(*(Block(config.channels, config.heads, count) for count in asked))
        self.norm = nn.LayerNorm(config.channels)

    def forward(self, standard: Tensor) -> Tensor:
        """The newest token, (batch, channels), or those of all own columns after one another."""
        if not self._own:
            return self._newest(standard)
        alone = torch.stack([standard[:, :, column] for column in self._own], dim=1)
        return self._newest(alone.flatten(0, 1).unsqueeze(2)).reshape(standard.shape[0], self.width)

    def _newest(self, series: Tensor) -> Tensor:
        tokens = self.entry(folded(series, self._patch)) + self.place
        return self.norm(self.blocks(tokens)[:, -1])  # type: ignore[no-any-return]


def patch(shape: Shape, statistics: Statistics, config: PatchConfig) -> Encoded:
    """A forecaster on patches."""
    return Encoded(shape, statistics, Patches(shape, config), config.ending)
