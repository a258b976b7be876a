"""How a forecast depends on what is known of the ticks ahead: weights that all horizons share, and an embedding of each.

Decided here: one hidden layer on state, known future and horizon, whose answer is added to what the head says of every
horizon by weights of its own. The last layer starts at zero, so that it changes nothing before training.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.shape import Shape


class HorizonHead(nn.Module):
    """SiLU(U · state + V · known(h) + e(h)) through one output layer for all horizons h."""

    def __init__(self, width: int, known: int, hidden: int, shape: Shape) -> None:
        super().__init__()
        horizons, targets, levels = shape.outcome
        self._outcome = (targets, levels + 1)
        self.state = nn.Linear(width, hidden, bias=False)
        self.known = nn.Linear(known, hidden, bias=False)
        self.horizon = nn.Parameter(torch.randn(horizons, hidden) / hidden**0.5)
        self.output = nn.Linear(hidden, targets * (levels + 1), bias=False)
        nn.init.zeros_(self.output.weight)

    def forward(self, state: Tensor, known: Tensor) -> Tensor:
        """(batch, horizon, target, level + 1) from `state` (batch, width) and `known` (batch, horizon, known)."""
        hidden = functional.silu(self.state(state).unsqueeze(1) + self.known(known) + self.horizon)
        return self.output(hidden).unflatten(-1, self._outcome)  # type: ignore[no-any-return]
