"""What is known at the time of issue about the ticks to come, one row a horizon.

Decided here: the only input is the window, so the future is derived from it. A clock is turned ahead by the angle addition
theorem, exactly; its overtones follow in the same way. What is already implied about a target (its anchor: for congestion the
base fee that EIP-1559 has set for the next block) counts against its last value, and the way to its spike threshold against
its anchor, both in units of the usual spread at that horizon: 1 at h = 1 is a large step, 1 at h = 12 a common one.
"""

import math

import torch
from torch import Tensor, nn

from models.inputs import Inputs
from models.shape import Phase, Shape, Statistics

BOUND = 4.0  # usual spreads beyond which a distance says no more than "far"
SMALLEST_SPREAD = 1e-3  # target units


class Future(nn.Module):
    """From raw windows to (batch, horizon, `width`) numbers of order one, 0 where nothing is known."""

    spread: Tensor

    def __init__(self, shape: Shape, statistics: Statistics) -> None:
        super().__init__()
        self.shape = shape
        self.clocks = nn.ModuleList(Clock(phase) for phase in shape.phases)
        residuals = statistics.residuals.detach().float()
        self.register_buffer("spread", (residuals[..., -1] - residuals[..., 0]).clamp(min=SMALLEST_SPREAD))
        self._limits = [(place, column) for place, column in enumerate(shape.thresholds) if column is not None]

    @property
    def width(self) -> int:
        """Numbers a horizon."""
        return sum(2 * phase.overtones for phase in self.shape.phases) + self.shape.targets + len(self._limits)

    def forward(self, window: Tensor, anchor: Tensor, inputs: Inputs) -> Tensor:
        """What `window` (batch, context, features), read by `inputs`, and `anchor` (batch, target) tell of each horizon."""
        value = inputs.last_known(window, self.shape.value_columns)
        known = [clock(window[:, -1]) for clock in self.clocks]
        known.append(self._steps(anchor - value, list(range(self.shape.targets))))
        if self._limits:
            places, columns = ([*part] for part in zip(*self._limits, strict=True))
            known.append(self._steps(inputs.last_known(window, columns) - anchor[:, places], places))
        return torch.cat(known, dim=2)

    def _steps(self, distance: Tensor, places: list[int]) -> Tensor:
        """Distances (batch, some targets) in usual spreads, (batch, horizon, some targets)."""
        return (distance.unsqueeze(1) / self.spread[:, places]).clamp(-BOUND, BOUND)


class Clock(nn.Module):
    """The sine and cosine of a phase and of its overtones at every horizon, from those of the last row."""

    cosine: Tensor
    sine: Tensor

    def __init__(self, phase: Phase) -> None:
        super().__init__()
        self.phase = phase
        angle = 2 * math.pi * torch.tensor(phase.turns, dtype=torch.float64)
        self.register_buffer("cosine", angle.cos().float(), persistent=False)
        self.register_buffer("sine", angle.sin().float(), persistent=False)

    def forward(self, row: Tensor) -> Tensor:
        """(batch, horizon, 2 · overtones) from rows (batch, features); all 0 where the row does not tell the phase."""
        now = torch.stack([row[:, self.phase.sine], row[:, self.phase.cosine]], dim=1)
        now = torch.nan_to_num(now, nan=0.0).clamp(-1, 1).unsqueeze(1)
        first = rotated(now, torch.stack([self.sine, self.cosine], dim=1))
        tones = [first]
        for _ in range(1, self.phase.overtones):
            tones.append(rotated(tones[-1], first))
        return torch.cat(tones, dim=2)


def rotated(a: Tensor, b: Tensor) -> Tensor:
    """(sin, cos) of the sum of two angles that are given as (sin, cos) along the last dimension."""
    return torch.stack(
        [a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0], a[..., 1] * b[..., 1] - a[..., 0] * b[..., 0]], dim=-1
    )
