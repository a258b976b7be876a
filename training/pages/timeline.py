"""The page of a time line: one surge with several sidecars, what each had warm when it came, and what became of orders."""

import numpy as np
import polars as pl

from data.errors import DataError
from training.lived import Lived
from training.replaying import iso
from training.report.page import Card, Figure, Page, Section, Table
from training.report.timeline import Line, timeline

BIN_S = 5.0


def page(records: list[Lived], tier: str, within_s: float) -> Page:
    """The whole report; `tier` is the one whose punctuality is shown. Raises DataError when no surge is in a record."""
    onset_s = onset(records)
    drawing = timeline([line(record, onset_s, tier, within_s) for record in records], tier)
    caption = (
        f"Demand and capacity at each review, from {iso(onset_s)} UTC, when demand first exceeded what the pool's least units "
        f"serve; below, orders that were not served, and the share that was within {within_s:g} s."
    )
    return Page(
        f"Time line of {records[0].series.pool}",
        f"{', '.join(record.name for record in records)}, from the surge at {iso(onset_s)} UTC",
        tuple(card(record, onset_s) for record in records),
        (
            Section(
                "The same surge", figures=(Figure(drawing, caption),), tables=(table(records, onset_s, tier, within_s),)
            ),
        ),
    )


def onset(records: list[Lived]) -> float:
    """When the surge begins in the first record that has one. Raises DataError."""
    found = [record.onset_s for record in records if record.onset_s is not None]
    if not found:
        raise DataError(
            ", ".join(record.name for record in records), expected="demand above what the pool's least units serve",
            found="none", remedy="record a surge",
        )  # fmt: skip
    return min(found)


def card(record: Lived, onset_s: float) -> Card:
    """When the extra unit was warm."""
    warm = "never" if record.warm_s is None else f"{record.warm_s - onset_s:+.0f} s"
    return Card(warm, f"{record.name}: the extra unit warm, from the surge")


def table(records: list[Lived], onset_s: float, tier: str, within_s: float) -> Table:
    """One row a record."""
    header = (
        "record",
        "extra unit ordered",
        "warm",
        "units at the surge",
        "orders",
        "not served",
        f"{tier} on time",
        "all on time",
    )
    return Table(header, tuple(row(record, onset_s, tier, within_s) for record in records))


def row(record: Lived, onset_s: float, tier: str, within_s: float) -> tuple[str, ...]:
    """The figures of a record."""
    orders = record.orders
    times = ("never" if at is None else f"{at - onset_s:+.0f} s" for at in (record.ordered_s, record.warm_s))
    shares = (record.on_time(tiers, within_s) for tiers in ([tier], orders["tier"].unique().to_list()))
    return (
        record.name, *times, str(record.units_at(onset_s)), f"{orders.height:,}", f"{(~orders['served']).sum():,}",
        *("–" if share is None else f"{share:.1%}" for share in shares),
    )  # fmt: skip


def line(record: Lived, onset_s: float, tier: str, within_s: float) -> Line:
    """A record as it is drawn."""
    points, rate = record.series.points, record.series.unit_rate_per_s
    marks = tuple(None if at is None else at - onset_s for at in (record.ordered_s, record.warm_s))
    bins, refused, on_time = binned(record.orders, onset_s, tier, within_s)
    return Line(
        name=record.name,
        seconds=record.at_s - onset_s,
        demand=np.array([point.demand_per_s for point in points]),
        ordered=np.array([rate * point.units_ordered for point in points]),
        warm=np.array([rate * point.units_ready for point in points]),
        used=np.array([rate * point.units_used for point in points]),
        bins=bins,
        refused=refused,
        on_time=on_time,
        marks=(marks[0], marks[1]),
    )


def binned(
    orders: pl.DataFrame, onset_s: float, tier: str, within_s: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seconds from the surge (m,), orders a second not served (m,), shares on time of a tier and of all (2, m)."""
    place = ((pl.col("ts").dt.epoch("ms") / 1e3 - onset_s) / BIN_S).floor().alias("bin")
    good = (pl.col("served") & (pl.col("took_s") <= within_s)).cast(pl.Float64)
    rows = (
        orders.group_by(place)
        .agg(
            (~pl.col("served")).sum() / BIN_S,
            good.filter(pl.col("tier") == tier).mean().alias("first"),
            good.mean().alias("all"),
        )
        .sort("bin")
        .fill_null(float("nan"))
    )
    return rows["bin"].to_numpy() * BIN_S, rows["served"].to_numpy(), rows.select("first", "all").to_numpy().T
