"""Which times a history covers, by table and chain or symbol: the lanes of `shaper data status`.

Decided here: what is a gap (by table), and that a lake is read month by month, so that it may be larger than memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from data.history import canonical_scan, found, unreadable
from data.parts import entity_column, partitions
from data.schemas import TABLES, Table
from data.ticks_orders import known_seconds, per_second

LONG_PAUSE = 2.5  # times the usual step, from which a pause is a gap
QUIET_S = 60.0  # streams of single events are quiet for that long without a gap


@dataclass(frozen=True)
class Gap:
    """A time without rows, and how many rows would have been there (None where that cannot be told)."""

    start: datetime
    end: datetime
    missing: int | None


@dataclass(frozen=True)
class Lane:
    """One chain or symbol of a table (`entity` is empty where there is none); `step_s` is the usual step, 0 if unknown."""

    table: str
    entity: str
    rows: int
    first: datetime
    last: datetime
    step_s: float
    gaps: tuple[Gap, ...] = field(repr=False, default=())

    @property
    def missing_share(self) -> float:
        """Share of the time between the first and the last row that lies in gaps."""
        span = (self.last - self.first).total_seconds()
        return sum((gap.end - gap.start).total_seconds() for gap in self.gaps) / span if span else 0.0

    def then(self, later: "Lane") -> "Lane":
        """This lane and a later stretch of it, whose gaps include the one between them."""
        return replace(
            later,
            rows=self.rows + later.rows,
            first=self.first,
            step_s=self.step_s or later.step_s,
            gaps=self.gaps + later.gaps,
        )

    @property
    def plain(self) -> dict[str, object]:
        """The lane as JSON knows it: times in ISO 8601."""
        return {
            "table": self.table,
            "entity": self.entity,
            "rows": self.rows,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "step_s": self.step_s,
            "missing_share": round(self.missing_share, 6),
            "gaps": [
                {"start": gap.start.isoformat(), "end": gap.end.isoformat(), "missing": gap.missing}
                for gap in self.gaps
            ],
        }


def coverage(folder: Path) -> tuple[Lane, ...]:
    """Lanes of every table of a folder. Raises DataError when there is no table in it or one cannot be read."""
    return tuple(lane for name, path in found(folder) for lane in table_lanes(TABLES[name], path))


def table_lanes(table: Table, path: Path) -> list[Lane]:
    """Lanes of one table."""
    lanes: dict[str, Lane] = {}
    ends: dict[str, pl.DataFrame] = {}  # the last row of each lane so far
    for rows in stretches(table, path):
        for (entity,), own in rows.partition_by("entity", as_dict=True, maintain_order=True).items():
            name = str(entity)
            lane = stretch(table, name, pl.concat([ends[name], own]) if name in ends else own, name in ends)
            lanes[name] = lanes[name].then(lane) if name in lanes else lane
            ends[name] = own.tail(1)
    return [lanes[name] for name in sorted(lanes)]


def stretches(table: Table, path: Path) -> Iterator[pl.DataFrame]:
    """The times of a table, in order within each entity: at once from a file, by partition from a lake."""
    column = entity_column(table)
    entity = pl.col(column).fill_null("") if column else pl.lit("")
    axis = [name for name in ("number", "interval_s", "count") if name in table.dtypes]
    for place in sorted(partitions(path)) if path.is_dir() else [path]:
        try:
            rows = canonical_scan(place, table.name).select(entity.alias("entity"), "ts", *axis).drop_nulls().collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise unreadable(place, error) from error
        if rows.height:
            yield (watched(rows) if "count" in axis else rows).sort(
                "entity", *(["number"] if "number" in axis else []), "ts"
            )


def watched(counts: pl.DataFrame) -> pl.DataFrame:
    """The seconds in which the collector of a stream was up; silent seconds of a busy stream are not covered."""
    end = counts.select(pl.col("ts").max().dt.offset_by("1s")).item()
    return known_seconds(per_second(counts), end).drop_nulls().select(pl.lit("").alias("entity"), "ts")


def stretch(table: Table, entity: str, rows: pl.DataFrame, is_continued: bool) -> Lane:
    """A lane of some rows; when it continues an earlier one the first row is the last of that one and is not counted."""
    pause_s = pl.col("ts").diff().dt.total_microseconds() / 1e6
    step_s = float(rows.select(pause_s.filter(pause_s > 0).median()).item() or 0.0)
    first, last = rows.select(a=pl.col("ts").min(), b=pl.col("ts").max()).row(0)
    found = tuple(Gap(*gap) for gap in gaps(table, rows, step_s).iter_rows())
    return Lane(table.name, entity, rows.height - is_continued, first, last, step_s, found)


def gaps(table: Table, rows: pl.DataFrame, step_s: float) -> pl.DataFrame:
    """Columns `start`, `end` and `missing` of the gaps of one lane."""
    start, end = pl.col("ts").shift(1), pl.col("ts")
    late_s = (end - start).dt.total_microseconds() / 1e6
    missing: pl.Expr = pl.lit(None, pl.Int64)
    if table.name == "blocks":
        missing = pl.col("number").diff() - 1
        is_gap = missing > 0
    elif table.name == "bars":
        start = start + pl.duration(seconds=pl.col("interval_s").shift(1))
        missing = (end - start).dt.total_seconds() // pl.col("interval_s")
        is_gap = missing > 0
    elif table.name == "request_counts":
        missing = late_s.cast(pl.Int64) - 1
        is_gap = missing > 0
    elif table.name in ("arrivals", "orders"):
        is_gap = late_s > QUIET_S
    elif table.name == "liquidations":  # they come when they come
        is_gap = pl.lit(value=False)
    else:
        missing = (late_s / step_s).round().cast(pl.Int64) - 1 if step_s else missing
        is_gap = late_s > LONG_PAUSE * step_s
    found = rows.select(start.alias("start"), end.alias("end"), missing.alias("missing"), is_gap.alias("is_gap"))
    return found.filter("is_gap").drop("is_gap")


def periods(lanes: tuple[Lane, ...]) -> list[tuple[datetime, datetime, list[Lane]]]:
    """Lanes that share an axis: those whose times overlap or nearly do, as (first, last, lanes) in order of time."""
    groups: list[tuple[datetime, datetime, list[Lane]]] = []
    for lane in sorted(lanes, key=lambda one: one.first):
        if groups and lane.first <= groups[-1][1] + (groups[-1][1] - groups[-1][0]) / 10:
            first, last, others = groups.pop()
            groups.append((first, max(last, lane.last), [*others, lane]))
        else:
            groups.append((lane.first, max(lane.last, lane.first + timedelta(seconds=1)), [lane]))
    order = list(TABLES)
    return [(a, b, sorted(own, key=lambda one: (order.index(one.table), one.entity))) for a, b, own in groups]
