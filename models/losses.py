"""What training minimises, where truth is known: losses of the quantiles, of the spikes, and of the decision that follows.

Decided here: means are over known outcomes only, and a batch without any has loss 0. Which losses add up, and with which
weights, is `training.objective`'s to say.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from models.shape import Shape, Statistics

QLIKE_BOUND = 10.0  # logarithms of a variance ratio beyond which an error is no longer squared, but absurd


def pinball(quantiles: Tensor, truth: Tensor, known: Tensor, levels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of max(level · e, (level − 1) · e), e = truth − quantile (Koenker & Bassett 1978); a scalar.

    `quantiles` (batch, horizon, target, level); `truth` and the booleans `known` (batch, horizon, target), truth may be NaN
    where unknown; `levels` (level); `weight` (target) multiplies each target's losses.
    """
    loss = check_loss(quantiles, truth, known, levels).mean(dim=-1)
    return masked_mean(loss if weight is None else loss * weight, known)


def crps(quantiles: Tensor, truth: Tensor, known: Tensor, levels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean continuous ranked probability score, 2 ∫ pinball dlevel (Gneiting & Ranjan 2011), of quantiles at a few levels.

    Each level stands for its share of (0, 1), so that closely spaced levels do not count double; arguments as in `pinball`.
    """
    loss = 2 * (check_loss(quantiles, truth, known, levels) * level_shares(levels)).sum(dim=-1)
    return masked_mean(loss if weight is None else loss * weight, known)


def qlike(quantiles: Tensor, truth: Tensor, known: Tensor, levels: Tensor) -> Tensor:
    """Mean of r − ln r − 1, r = e^(2 truth) / variance forecast, for targets that are ln volatility (Patton 2011); a scalar.

    The forecast of the variance is the mean of e^(2 quantile), each level standing for its share. `quantiles` (batch,
    horizon, level), `truth` and `known` (batch, horizon).
    """
    variance = torch.logsumexp(2 * quantiles + level_shares(levels).log(), dim=-1)
    ratio = (2 * torch.where(known, truth, 0.0) - variance).clamp(-QLIKE_BOUND, QLIKE_BOUND)
    return masked_mean(torch.expm1(ratio) - ratio, known)


def check_loss(quantiles: Tensor, truth: Tensor, known: Tensor, levels: Tensor) -> Tensor:
    """(batch, horizon, target, level): max(level · e, (level − 1) · e), with truth 0 where unknown."""
    error = torch.where(known, truth, 0.0).unsqueeze(-1) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error)


def level_shares(levels: Tensor) -> Tensor:
    """(level): the length of (0, 1) that is nearest to each level; they add up to 1."""
    middles = (levels[1:] + levels[:-1]) / 2
    return torch.cat([middles.new_zeros(1), middles, middles.new_ones(1)]).diff()


def spike_cross_entropy(
    logit: Tensor, crossed: Tensor, known: Tensor, at_risk: Tensor, weight: Tensor | None = None, focus: float = 0.0
) -> Tensor:
    """Mean of w (1 − p)^focus (−ln p), p the probability given to what came; a scalar.

    Counted are outcomes (batch, horizon, target) that are known and at risk; `crossed` is 0 or 1 (anything where unknown);
    `at_risk` (batch, target) tells where no spike is running at issue. `weight` (batch, horizon, target), by default 1;
    a `focus` above 0 is the focal loss, which leaves easy outcomes out (Lin et al., ICCV 2017).
    """
    counted = known & at_risk.unsqueeze(1)
    wanted = torch.where(counted, crossed.to(logit.dtype), 0.0)
    loss = functional.binary_cross_entropy_with_logits(logit, wanted, reduction="none")
    if focus:
        loss = loss * (-torch.expm1(-loss)) ** focus
    weights = torch.where(counted, torch.ones_like(loss) if weight is None else weight, 0.0)
    return (weights * loss).sum() / weights.sum().clamp(min=1e-6)


def lead_weight(crossed: Tensor, lead: int, late: float) -> Tensor:
    """(batch, horizon, target): `late` for crossings whose warning came with less than `lead` ticks to spare, else 1.

    `crossed` (batch, horizon, target) tells for each horizon 1, 2, … whether the threshold was crossed by it. A warning at
    issue has a lead of 0 ticks when the very next tick crosses. A warning that comes too late is worth as little to a lever
    as none, so it should not be what a model spends its weights on.
    """
    if lead == 0:
        return torch.ones_like(crossed)
    too_late = crossed[:, lead - 1 : lead] > 0.5
    return torch.where(too_late & (crossed > 0.5), late, 1.0)


@dataclass(frozen=True)
class Lever:
    """A decision read off the forecast: horizon and target by place, the newsvendor's level, and the price of a unit short."""

    horizon: int
    target: int
    level: float
    price: float


def decision_cost(
    quantiles: Tensor, truth: Tensor, known: Tensor, levels: tuple[float, ...], levers: tuple[Lever, ...]
) -> Tensor:
    """What levers set to their quantile cost beyond setting them to the truth, by price; a scalar in target units.

    Ordering q where y was needed costs price · ((1 − level)(q − y)⁺ + level (y − q)⁺), the newsvendor's cost
    (Arrow, Harris & Marschak 1951). Arguments as in `pinball`, `levels` as numbers.
    """
    total = quantiles.new_zeros(())
    for lever in levers:
        cell = (slice(None), lever.horizon, lever.target)
        ordered, seen = at_level(quantiles[cell], levels, lever.level), known[cell]
        error = torch.where(seen, truth[cell], 0.0) - ordered
        cost = torch.maximum(lever.level * error, (lever.level - 1) * error)
        total = total + lever.price * masked_mean(cost, seen)
    return total / sum(lever.price for lever in levers)


def at_level(quantiles: Tensor, levels: tuple[float, ...], level: float) -> Tensor:
    """(…) The quantile at a level, between its neighbours in proportion; the outermost one beyond the ends."""
    for k, (below, above) in enumerate(pairwise(levels)):
        if below <= level <= above:
            return torch.lerp(quantiles[..., k], quantiles[..., k + 1], (level - below) / (above - below))
    return quantiles[..., 0] if level < levels[0] else quantiles[..., -1]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask is true, 0 where it never is."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def target_weight(shape: Shape, statistics: Statistics) -> Tensor:
    """(target): 1 / mean empirical 5-95 width, so that a wild and a calm target count alike."""
    residuals = statistics.value_residuals
    width = (residuals[..., -1] - residuals[..., 0]).mean(dim=0) if len(shape.levels) > 1 else torch.ones(shape.targets)
    return 1 / width.clamp(min=1e-6)
