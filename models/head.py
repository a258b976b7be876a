"""From a state vector to a forecast: anchor + empirical residual quantiles, moved and stretched by what was learnt.

Decided here: quantiles cannot cross and spike probabilities cannot fall with the horizon, by construction. The last layer
starts at zero, so an untrained model is "anchor + what usually happened".

Quantiles: the level nearest the median is anchor + residual + shift × spread; the others follow from it by the empirical
gaps × exp(learnt), which are never negative (the incremental quantile functions of Gasthaus et al., AISTATS 2019, take
the same road). Spikes: log-odds at the first horizon are logit(rate) + learnt, and climb by the rates' own steps × exp(learnt)
(ordered log-odds, McCullagh 1980).
"""

import torch
from torch import Tensor, nn

from models.shape import Prediction, Shape, Statistics

STRETCH_BOUND = 3.0  # gaps may grow or shrink by at most e³: a wider band would be a bug, not a forecast
ODDS_BOUND = 12.0
SMALLEST_GAP = 1e-4  # target units (logarithms): keeps a gap that was empty in training able to open
SMALLEST_RATE = 1e-4


class Head(nn.Module):
    """Map `state` (batch, width) and `anchor` (batch, target) to a prediction."""

    residual: Tensor
    spread: Tensor
    gap: Tensor
    odds: Tensor
    climb: Tensor

    def __init__(self, width: int, shape: Shape, statistics: Statistics) -> None:
        super().__init__()
        horizons, targets, levels = shape.outcome
        self._middle = shape.middle
        self._outcome = (horizons, targets, levels + 1)
        self.output = nn.Linear(width, horizons * targets * (levels + 1))
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        residuals = statistics.residuals.detach().float()
        spread = (residuals[..., -1] - residuals[..., 0]).clamp(min=SMALLEST_GAP)
        odds = rate_logit(statistics.spike_rate)
        self.register_buffer("residual", residuals[..., self._middle].clone())
        self.register_buffer("spread", spread)
        self.register_buffer("gap", residuals.diff(dim=-1).clamp(min=SMALLEST_GAP))
        self.register_buffer("odds", odds[0].clone())
        self.register_buffer("climb", odds.diff(dim=0).clamp(min=SMALLEST_RATE))

    def forward(self, state: Tensor, anchor: Tensor, shared: Tensor | float = 0.0) -> Prediction:
        """Forecast in target units; see the module for the formulas.

        `shared` (batch, horizon, target, level + 1) is added to what is learnt; see `models.horizons`.
        """
        learnt = self.output(state).unflatten(-1, self._outcome) + shared
        middle = anchor.unsqueeze(1) + self.residual + learnt[..., 0] * self.spread
        gaps = self.gap * torch.exp(bounded(learnt[..., 2:], STRETCH_BOUND))
        return Prediction(ladder(middle, gaps, self._middle), self._spike_logit(learnt[..., 1]))

    def _spike_logit(self, learnt: Tensor) -> Tensor:
        first = self.odds + bounded(learnt[:, :1], ODDS_BOUND)
        climb = self.climb * torch.exp(bounded(learnt[:, 1:], STRETCH_BOUND))
        return torch.cat([first, first + climb.cumsum(dim=1)], dim=1)


def ladder(middle: Tensor, gaps: Tensor, index: int) -> Tensor:
    """Quantiles (..., levels) from the one at `index` (...) and the non-negative gaps (..., levels − 1) between neighbours.

    Built step by step, because x + gap >= x holds in floating point for each step but not for any reordered sum.
    """
    above, below = [middle], [middle]
    for k in range(index, gaps.shape[-1]):
        above.append(above[-1] + gaps[..., k])
    for k in range(index - 1, -1, -1):
        below.append(below[-1] - gaps[..., k])
    return torch.stack([*below[:0:-1], *above], dim=-1)


def rate_logit(rate: Tensor) -> Tensor:
    """Log-odds (horizons, targets) of spike rates, made never to fall with the horizon."""
    climbing = rate.detach().float().cummax(dim=0).values
    return torch.logit(climbing, eps=SMALLEST_RATE)


def bounded(x: Tensor, bound: float) -> Tensor:
    """A smooth clamp to ±bound that is the identity near zero."""
    return bound * torch.tanh(x / bound)
