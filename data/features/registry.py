"""The feature families by name, and their evaluation over a tick table.

Decided here: names are unique over all families, and features come in the order in which families are asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import polars as pl

from data.contract import Feature, Panel
from data.errors import DataError, UsageError
from data.features import (
    blockspace,
    calendar,
    congestion,
    demand,
    fee_path,
    funding,
    mempool,
    order_mix,
    positions,
    realised,
    rhythm,
    volatility,
    volatility_path,
)
from data.features.compiler import compiled
from data.features.kernels import Array
from data.features.program import Program
from data.features.spec import FeatureSpec
from data.spans import instants
from data.timeline import TICK, TICK_TYPE

Family = Callable[[Panel], tuple[FeatureSpec, ...]]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "volatility": volatility.family,
        "congestion": congestion.family,
        "demand": demand.family,
        "yesterday": demand.yesterday,
        "hourly": demand.hourly,
        "calendar": calendar.family,
        "fee_path": fee_path.family,
        "realised": realised.family,
        "rhythm": rhythm.family,
        "volatility_path": volatility_path.family,
        "blockspace": blockspace.family,
        "mempool": mempool.family,
        "order_mix": order_mix.family,
        "funding": funding.family,
        "positions": positions.family,
    }
)


def describe(families: Sequence[str], panel: Panel) -> tuple[Feature, ...]:
    """The features of some families as a contract names them. Raises UsageError for an unknown family."""
    unknown = [name for name in families if name not in FAMILIES]
    if unknown:
        raise UsageError(
            "families",
            expected=f"names among {', '.join(FAMILIES)}",
            found=", ".join(unknown),
            remedy="correct the name",
        )
    return tuple(spec.described for name in dict.fromkeys(families) for spec in FAMILIES[name](panel))


def specs(names: Sequence[str], panel: Panel) -> tuple[FeatureSpec, ...]:
    """The features of these names, in this order. Raises DataError for a name that no family has."""
    all_specs = {spec.name: spec for family in FAMILIES.values() for spec in family(panel)}
    unknown = [name for name in names if name not in all_specs]
    if unknown:
        raise DataError(
            "features",
            expected="names that the feature families of this version have",
            found=", ".join(unknown),
            remedy="train and export the model again with this version, or correct the roles of the panel",
        )
    return tuple(all_specs[name] for name in names)


def columns_of(features: Sequence[FeatureSpec]) -> frozenset[str]:
    """Columns of the tick table that some features read."""
    return frozenset(name for spec in features for name in spec.expr.meta.root_names()) - {TICK}


def programmed(features: Sequence[FeatureSpec]) -> Program:
    """Some features as one program."""
    return compiled({spec.name: spec.expr for spec in features})


def arrays(ticks: pl.DataFrame, names: Sequence[str]) -> dict[str, Array]:
    """Columns of a tick table as a program reads them: NaN where unknown, ticks in ms since 1970."""
    return {
        name: instants(ticks[TICK].cast(TICK_TYPE))
        if name == TICK
        else ticks[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in names
    }


def evaluate(ticks: pl.DataFrame, names: Sequence[str], panel: Panel) -> pl.DataFrame:
    """`tick` and one Float64 column a feature (null where unknown), one row for each row of a contiguous tick table."""
    program = programmed(specs(names, panel))
    found = program.whole(arrays(ticks, program.columns), ticks.height)
    columns = (pl.Series(name, values, nan_to_null=True) for name, values in zip(program.asked, found, strict=True))
    return pl.DataFrame([ticks[TICK], *columns])
