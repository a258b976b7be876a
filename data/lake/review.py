"""All that `shaper data check` says about a table beyond its rules and gaps, as notes and faults.

Decided here: what of it is a fault. Rows set aside are a note: the lake itself is sound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from data.lake.coverage import Lane
from data.lake.feerule import fee_rule
from data.lake.oddities import oddities
from data.lake.quarantine import quarantined
from data.lake.sifting import REASON
from data.lake.staleness import overdue, stopped
from data.schemas import TABLES

REASONS = 3  # shown


@dataclass(frozen=True)
class Said:
    """Sentences about one table."""

    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def review_rows(name: str, rows: pl.DataFrame) -> Said:
    """Clocks, outliers and base fees of one table; rows are canonical, valid and in order."""
    notes, faults = oddities(name, rows), list[str]()
    if name == "blocks":
        for (chain,), own in rows.partition_by("chain", as_dict=True, maintain_order=True).items():
            rule = fee_rule(own)
            sentence = rule.sentence()
            if sentence:
                (faults if rule.is_fault else notes).append(f"{chain}: {sentence}")
    return Said(tuple(notes), tuple(faults))


def review_folder(
    folder: Path, lanes: tuple[Lane, ...], now: datetime | None = None, most: timedelta | None = None
) -> dict[str, Said]:
    """Stopped feeds and rows set aside, by table; feeds older than `most` at `now` are faults when both are given."""
    late = stopped(lanes)
    over = overdue(lanes, now, most) if now is not None and most is not None else {}
    return {
        name: Said((*late.get(name, ()), *set_aside(folder, name)), tuple(over.get(name, ())))
        for name in {lane.table for lane in lanes}
    }


def set_aside(folder: Path, name: str) -> Iterator[str]:
    """How many rows of a table lie in quarantine, and why most of them do."""
    kinds = (
        quarantined(folder, TABLES[name])
        .select(pl.col(REASON).str.replace_all(r" is known as [^,]*", " contradicts").alias("kind"))
        .group_by("kind")
        .len()
        .sort("len", "kind", descending=[True, False])
        .collect()
    )
    if kinds.height:
        shown = ", ".join(f"{count:,} {kind}" for kind, count in kinds.head(REASONS).iter_rows())
        yield f"{kinds['len'].sum():,} rows set aside in _quarantine/{name}: {shown}"
