"""The shape contract that every architecture keeps: what goes in, what comes out, and what is known of the training data.

Decided here: the sizes, which columns tell a target's value, anchor and threshold, which tell a clock that can be turned
ahead, and that a forecast is a pair of quantiles and spike log-odds.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Phase:
    """A clock among the features: the columns of its sine and cosine, and by how much it will have turned at each horizon.

    `turns` are in periods: 0.25 is 15 minutes of an hour. `overtones` multiples of its frequency are read as well.
    """

    sine: int
    cosine: int
    turns: tuple[float, ...]
    overtones: int = 1


@dataclass(frozen=True)
class Shape:
    """Sizes of a window (context, features) and of an answer (horizons, targets, levels); counts, except `levels`.

    `value_columns` and `anchor_columns` place each target's known value and anchor among the features;
    `threshold_columns` its spike threshold (None: that target has none; empty: no target has one). `level_columns` pairs
    (column, target) tell which features move with the level of a target and so are read relative to its anchor. `phases` are
    the clocks among the features, whose position is known for every horizon (see `models.future`).
    Raises ValueError when the parts contradict each other.
    """

    context: int
    features: int
    horizons: int
    targets: int
    levels: tuple[float, ...]
    value_columns: tuple[int, ...]
    anchor_columns: tuple[int, ...]
    threshold_columns: tuple[int | None, ...] = ()
    level_columns: tuple[tuple[int, int], ...] = ()
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        """Refuse sizes below one, columns outside the features, and levels that do not ascend within (0, 1)."""
        sizes = (self.context, self.features, self.horizons, self.targets)
        if min(sizes) < 1:
            raise ValueError(f"expected context, features, horizons and targets of at least 1, found {sizes}")
        bounded = (0.0, *self.levels, 1.0)
        if not self.levels or any(a >= b for a, b in pairwise(bounded)):
            raise ValueError(f"expected ascending levels in (0, 1), found {self.levels}")
        for columns in (self.value_columns, self.anchor_columns, self.thresholds):
            if len(columns) != self.targets or any(c is not None and not 0 <= c < self.features for c in columns):
                raise ValueError(f"expected {self.targets} columns below {self.features}, found {columns}")
        for phase in self.phases:
            inside = all(0 <= column < self.features for column in (phase.sine, phase.cosine))
            if len(phase.turns) != self.horizons or phase.overtones < 1 or not inside:
                raise ValueError(
                    f"expected phases of two columns, {self.horizons} turns and an overtone or more, found {phase}"
                )

        if any(not 0 <= c < self.features or not 0 <= t < self.targets for c, t in self.level_columns):
            raise ValueError(
                f"expected level columns below {self.features} and {self.targets}, found {self.level_columns}"
            )

    @property
    def thresholds(self) -> tuple[int | None, ...]:
        """Threshold column of each target, None where it has no spikes."""
        return self.threshold_columns or (None,) * self.targets

    @property
    def middle(self) -> int:
        """Index of the level nearest to the median."""
        return min(range(len(self.levels)), key=lambda k: abs(self.levels[k] - 0.5))

    @property
    def outcome(self) -> tuple[int, int, int]:
        """(horizons, targets, levels)."""
        return self.horizons, self.targets, len(self.levels)


@dataclass(frozen=True)
class Statistics:
    """What the training rows say before anything is learnt.

    `center` (features): mean of each raw column; `near`, `scale` (features): mean and deviation, above 0, of the columns as a
    network reads them, level columns relative to their target's anchor. `residuals`, `value_residuals`
    (horizons, targets, levels): empirical quantiles of truth − anchor and of truth − value, in target units.
    `spike_rate` (horizons, targets): share of at-risk ticks after which the threshold was crossed within the horizon.
    """

    center: Tensor
    near: Tensor
    scale: Tensor
    residuals: Tensor
    value_residuals: Tensor
    spike_rate: Tensor

    @staticmethod
    def blank(shape: Shape) -> "Statistics":
        """Placeholders of the right sizes, for a model whose state is loaded next."""
        ramp = torch.tensor(shape.levels).expand(shape.outcome).clone()
        return Statistics(
            center=torch.zeros(shape.features),
            near=torch.zeros(shape.features),
            scale=torch.ones(shape.features),
            residuals=ramp,
            value_residuals=ramp.clone(),
            spike_rate=torch.full(shape.outcome[:2], 0.5),
        )

    def require(self, shape: Shape) -> None:
        """Raise ValueError unless every tensor has its size, is finite, and is in its range."""
        wanted = {
            "center": (shape.features,),
            "near": (shape.features,),
            "scale": (shape.features,),
            "residuals": shape.outcome,
            "value_residuals": shape.outcome,
            "spike_rate": shape.outcome[:2],
        }
        for name, size in wanted.items():
            found: Tensor = getattr(self, name)
            if tuple(found.shape) != size or not bool(torch.isfinite(found).all()):
                raise ValueError(f"{name}: expected finite values of shape {size}, found shape {tuple(found.shape)}")
        if not bool((self.scale > 0).all()):
            raise ValueError("scale: expected values above 0")
        if not bool(((self.spike_rate >= 0) & (self.spike_rate <= 1)).all()):
            raise ValueError("spike_rate: expected shares in 0..1")


class Prediction(NamedTuple):
    """`quantiles` (batch, horizon, target, level) in target units, ascending in level; `spike_logit` (batch, horizon, target).

    The log-odds are those of crossing the threshold by that horizon, so they never fall with the horizon.
    """

    quantiles: Tensor
    spike_logit: Tensor


class Forecaster(nn.Module, ABC):
    """A function with weights from windows to predictions. Made as `Class(shape, statistics, config)`."""

    shape: Shape

    @abstractmethod
    def forward(self, window: Tensor) -> Prediction:
        """Forecast from `window` (batch, context, features) in raw units, NaN where unknown."""
