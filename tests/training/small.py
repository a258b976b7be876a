"""A small contract with windows to match, and a graph that keeps it, for tests of artefacts."""

from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray

from data.contract import Calibration, Contract, Feature, Panel, Target, Window
from models.registry import build
from models.served import Served
from models.shape import Statistics
from training.shapes import shape_of

NAMES = ("value", "anchor", "threshold", "other_value", "mean", "hour")
SMALL = Contract(
    name="small",
    task="panel",
    architecture="linear",
    panel=Panel(300, "ethereum", {"eth": ("ETH-PERP",)}),
    context=9,
    features=tuple(
        Feature(
            name, "1" if name == "hour" else "ln(gwei)", 1, None if name in ("hour", "other_value") else "congestion"
        )
        for name in NAMES
    ),
    targets=(
        Target("congestion", "ln(gwei)", "value", "anchor", "threshold", "threshold"),
        Target("other", "ln(gwei)", "other_value", "other_value"),
    ),
    horizons=(1, 2, 4),
    levels=(0.1, 0.5, 0.9),
    training=Window("2024-01-01T00:00:00+00:00", "2024-01-10T00:00:00+00:00"),
    calibration=Calibration("none"),
    data_digest="0" * 64,
    code_version="0.1.0",
    seed=0,
    metrics={"skill/congestion": 0.25},
)


def windows(count: int = 24, seed: int = 0, holes: float = 0.05) -> NDArray[np.float32]:
    """Random raw windows for SMALL."""
    generator = np.random.default_rng(seed)
    made = generator.normal(3, 1, (count, SMALL.context, len(NAMES))).astype(np.float32)
    made[generator.random(made.shape) < holes] = np.nan
    return made


def statistics(contract: Contract = SMALL) -> Statistics:
    """Statistics with a spread."""
    shape = shape_of(contract)
    blank = Statistics.blank(shape)
    changed = {"center": torch.full((shape.features,), 3.0), "spike_rate": torch.full(shape.outcome[:2], 0.1)}
    return Statistics(**({field.name: getattr(blank, field.name) for field in fields(Statistics)} | changed))


def served(name: str = "linear", contract: Contract = SMALL) -> Served:
    """A model with random weights and offsets."""
    torch.manual_seed(0)
    made = Served(build(name, shape_of(contract), statistics(contract)))
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    made.calibrate(0.2 * torch.randn(made.offset.shape))
    return made
