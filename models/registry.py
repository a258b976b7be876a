"""Which architectures there are, by the name that configurations and contracts use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from models.dlinear import DLinearConfig, dlinear
from models.gru import GruConfig, gru
from models.linear import Linear, LinearConfig
from models.mixer import MixerConfig, mixer
from models.mlp import Mlp, MlpConfig
from models.nhits import Nhits, NhitsConfig
from models.patch import PatchConfig, patch
from models.persistence import Persistence, PersistenceConfig
from models.regression import Regression, RegressionConfig
from models.shape import Forecaster, Shape, Statistics
from models.tcn import TcnConfig, tcn


@dataclass(frozen=True)
class Architecture:
    """What makes a forecaster and the frozen dataclass of its options; `learns` is false where there is nothing to fit."""

    config: type[Any]
    forecaster: Callable[[Shape, Statistics, Any], Forecaster]
    learns: bool = True


ARCHITECTURES: Mapping[str, Architecture] = {
    "persistence": Architecture(PersistenceConfig, Persistence, learns=False),
    "regression": Architecture(RegressionConfig, Regression),
    "linear": Architecture(LinearConfig, Linear),
    "dlinear": Architecture(DLinearConfig, dlinear),
    "tcn": Architecture(TcnConfig, tcn),
    "gru": Architecture(GruConfig, gru),
    "patch": Architecture(PatchConfig, patch),
    "mixer": Architecture(MixerConfig, mixer),
    "nhits": Architecture(NhitsConfig, Nhits),
    "mlp": Architecture(MlpConfig, Mlp),
}


def build(
    name: str, shape: Shape, statistics: Statistics, options: Mapping[str, int | float] | None = None
) -> Forecaster:
    """Make a forecaster; options left out keep their defaults.

    Raises ValueError naming what is known for an unknown architecture or option, an impossible value, or statistics that do
    not fit the shape.
    """
    architecture = ARCHITECTURES.get(name)
    if architecture is None:
        raise ValueError(f"expected an architecture among {sorted(ARCHITECTURES)}, found {name!r}")
    known = {field.name for field in fields(architecture.config)}
    unknown = sorted(set(options or {}) - known)
    if unknown:
        raise ValueError(f"{name}: expected options among {sorted(known)}, found {unknown}")
    try:
        config = architecture.config(**(options or {}))
    except TypeError as error:
        raise ValueError(f"{name}: expected numbers as options, found {dict(options or {})}") from error
    statistics.require(shape)
    return architecture.forecaster(shape, statistics, config)
