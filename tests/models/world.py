"""A small shape, its statistics and windows with holes, for every test of the architectures."""

import torch
from torch import Tensor

from models.registry import ARCHITECTURES, build
from models.shape import Forecaster, Phase, Shape, Statistics

SHAPE = Shape(
    context=11,
    features=8,
    horizons=4,
    targets=2,
    levels=(0.05, 0.25, 0.5, 0.75, 0.95),
    value_columns=(0, 2),
    anchor_columns=(1, 3),
    threshold_columns=(4, None),
    level_columns=((0, 0), (1, 0), (2, 1), (3, 1), (4, 0)),
    phases=(Phase(6, 7, (0.25, 0.5, 0.75, 1.0), overtones=2),),
)

OPTIONS: dict[str, tuple[str, dict[str, int | float]]] = {
    **{name: (name, {}) for name in ARCHITECTURES},
    "tcn that knows the horizons": ("tcn", {"horizon_width": 8}),
    "dlinear that knows the horizons": ("dlinear", {"horizon_width": 8}),
    "patch of single columns": ("patch", {"mixing": 0, "horizon_width": 0}),
}


def make(name: str, shape: Shape, facts: Statistics) -> Forecaster:
    """One of OPTIONS."""
    return build(OPTIONS[name][0], shape, facts, OPTIONS[name][1])


def statistics(shape: Shape = SHAPE) -> Statistics:
    """Spreads that grow with the horizon, and rates that climb."""
    growth = torch.arange(1, shape.horizons + 1).sqrt().view(-1, 1, 1)
    normal = torch.distributions.Normal(0, 1).icdf(torch.tensor(shape.levels))
    residuals = (0.3 * growth * normal).expand(shape.outcome).clone()
    return Statistics(
        center=torch.linspace(-1, 1, shape.features),
        near=torch.linspace(-0.5, 0.5, shape.features),
        scale=torch.linspace(0.5, 2, shape.features),
        residuals=residuals,
        value_residuals=residuals * 1.5 + 0.1,
        spike_rate=torch.linspace(0.02, 0.1, shape.horizons).unsqueeze(1).expand(shape.outcome[:2]).clone(),
    )


def windows(count: int = 16, holes: float = 0.0, seed: int = 0, shape: Shape = SHAPE) -> Tensor:
    """Random raw windows, a share `holes` of their values unknown."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(count, shape.context, shape.features, generator=generator)
    made[torch.rand(made.shape, generator=generator) < holes] = torch.nan
    return made


def stir(forecaster: Forecaster, seed: int = 1, size: float = 0.3) -> Forecaster:
    """Give every weight a random push, so that a test sees more than the zeros a model starts with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in forecaster.parameters():
            weight.add_(size * torch.randn(weight.shape, generator=generator))
    return forecaster.eval()
