"""What training minimises: the pinball loss of the quantiles and the cross-entropy of the spikes, where truth is known.

Decided here: means are over known outcomes only, and a batch without any has loss 0.
"""

import torch
from torch import Tensor
from torch.nn import functional

from models.shape import Shape, Statistics


def pinball(quantiles: Tensor, truth: Tensor, known: Tensor, levels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of max(level · e, (level − 1) · e), e = truth − quantile (Koenker & Bassett 1978); a scalar.

    `quantiles` (batch, horizon, target, level); `truth` and the booleans `known` (batch, horizon, target), truth may be NaN
    where unknown; `levels` (level); `weight` (target) multiplies each target's losses.
    """
    error = torch.where(known, truth, 0.0).unsqueeze(-1) - quantiles
    loss = torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)
    return masked_mean(loss if weight is None else loss * weight, known)


def spike_cross_entropy(logit: Tensor, crossed: Tensor, known: Tensor, at_risk: Tensor) -> Tensor:
    """Mean binary cross-entropy over outcomes (batch, horizon, target) that are known and at risk; a scalar.

    `crossed` is 0 or 1 (anything where unknown); `at_risk` (batch, target) tells where no spike is running at issue.
    """
    counted = known & at_risk.unsqueeze(1)
    wanted = torch.where(counted, crossed.to(logit.dtype), 0.0)
    return masked_mean(functional.binary_cross_entropy_with_logits(logit, wanted, reduction="none"), counted)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values where the mask is true, 0 where it never is."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def target_weight(shape: Shape, statistics: Statistics) -> Tensor:
    """(target): 1 / mean empirical 5-95 width, so that a wild and a calm target count alike."""
    residuals = statistics.value_residuals
    width = (residuals[..., -1] - residuals[..., 0]).mean(dim=0) if len(shape.levels) > 1 else torch.ones(shape.targets)
    return 1 / width.clamp(min=1e-6)
