"""What a running sidecar lived through: the answer of its `/v1/series`, and what became of the orders that were sent meanwhile.

Decided here: what a record is, and from when a surge counts: the first review whose demand exceeds what the pool's least units
serve. A unit beyond those least ones is the extra one, whose order and whose first use are looked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from data.errors import DataError
from training.report.figures import Floats

SERIES, ORDERS = "series.json", "orders.parquet"
COLUMNS = {"ts": pl.Datetime("ms", "UTC"), "tier": pl.String(), "served": pl.Boolean(), "took_s": pl.Float64()}


class Point(msgspec.Struct, frozen=True):
    """One review of a sidecar, as `/v1/series` tells it: orders a second, and units of the pool."""

    at_s: float
    demand_per_s: float
    units_ready: int
    units_ordered: int
    units_used: float
    stage: str


class Series(msgspec.Struct, frozen=True):
    """The part of `/v1/series` that a time line is drawn from."""

    pool: str
    unit_rate_per_s: float
    min_units: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Lived:
    """One record: its name, its series, and its orders (ts, tier, served, took_s; empty where nobody counted them)."""

    name: str
    series: Series
    orders: pl.DataFrame

    @property
    def at_s(self) -> Floats:
        """Times of the reviews, seconds since 1970."""
        return np.array([point.at_s for point in self.series.points])

    @property
    def onset_s(self) -> float | None:
        """When the surge begins; None when none does."""
        least = self.series.min_units * self.series.unit_rate_per_s
        return next((point.at_s for point in self.series.points if point.demand_per_s > least), None)

    @property
    def warm_s(self) -> float | None:
        """Since when the extra unit was ready that was so in the surge, or came in it; None when none ever was."""
        onset_s = self.onset_s
        return None if onset_s is None else self.since(lambda point: point.units_ready, onset_s)

    @property
    def ordered_s(self) -> float | None:
        """Since when that unit had been ordered."""
        warm_s = self.warm_s
        return None if warm_s is None else self.since(lambda point: point.units_ordered, warm_s)

    def since(self, units: Callable[[Point], int], at_s: float) -> float | None:
        """The beginning of the stretch of reviews with more than the least units that holds at a time, or comes first after it."""
        begun: float | None = None
        for point in self.series.points:
            extra = units(point) > self.series.min_units
            if extra and begun is None:
                begun = point.at_s
            if not extra and point.at_s <= at_s:
                begun = None
        return begun

    def units_at(self, at_s: float) -> int:
        """Units that were ready at the newest review of a time."""
        return next((p.units_ready for p in reversed(self.series.points) if p.at_s <= at_s), 0)

    def on_time(self, tiers: list[str], within_s: float) -> float | None:
        """Share of some tiers' orders that were served within a time; None when there were none."""
        own = self.orders.filter(pl.col("tier").is_in(tiers))
        return None if own.is_empty() else float((own["served"] & (own["took_s"] <= within_s)).mean())  # type: ignore[arg-type]


def read_lived(folder: Path) -> Lived:
    """The record in a folder, named after it. Raises DataError for one that cannot be read or holds no review."""
    path = folder / SERIES
    try:
        series = msgspec.json.decode(path.read_bytes(), type=Series)
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(
            str(path), expected="what /v1/series of a sidecar answers", found=str(error), remedy="save it there"
        ) from error
    if not series.points:
        raise DataError(str(path), expected="a review at least", found="none", remedy="let the sidecar plan first")
    return Lived(folder.resolve().name, series, read_orders(folder / ORDERS))


def read_orders(path: Path) -> pl.DataFrame:
    """The orders of a record, none where there is no file. Raises DataError for one with other columns."""
    if not path.exists():
        return pl.DataFrame(schema=COLUMNS)
    try:
        return pl.read_parquet(path, columns=list(COLUMNS)).cast(COLUMNS)  # type: ignore[arg-type]
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            str(path),
            expected=f"a table of {', '.join(COLUMNS)}",
            found=str(error),
            remedy="correct it, or leave it out",
        ) from error
