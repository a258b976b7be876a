"""A table in pieces, so that what is larger than memory can be looked at: consecutive rows in canonical order.

Decided here: how large a piece is (whole partitions of a lake, as many as fit, or rows of a single file), and that each begins
with a seam: the last rows of the piece before, so that what lies between two (a gap, a step back, a second row of a key) is seen
too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.history import Source, canonical_scan, load, unreadable
from data.parts import partitions
from data.schemas import Table

LIMIT = 2_000_000  # rows


@dataclass(frozen=True)
class Piece:
    """Rows of a table, the seam first; `first` is the number of the first row that is not of the seam."""

    rows: pl.DataFrame
    seam: int
    first: int

    @property
    def start(self) -> int:
        """Number of the first row of the seam, as if it were a row before the others."""
        return self.first - self.seam

    @property
    def own(self) -> pl.DataFrame:
        """The rows without the seam."""
        return self.rows.slice(self.seam)


def pieces(table: Table, path: Path, limit: int = LIMIT) -> Iterator[Piece]:
    """The rows of a table, piece by piece; one empty piece for an empty table. Raises DataError when one cannot be read."""
    last, first = pl.DataFrame(schema=table.dtypes), 0
    for own in gathered(table, path, limit):
        piece = Piece(pl.concat([ends(last, table, own), own]), ends(last, table, own).height, first)
        last, first = closing(pl.concat([last, own]), table), first + own.height
        del own  # while the next rows are read only the caller may hold these
        yield piece
        del piece


def gathered(table: Table, path: Path, limit: int) -> Iterator[pl.DataFrame]:
    """Frames of at most `limit` rows, or of one partition of a lake that has more."""
    if path.is_file():
        scan = canonical_scan(path, table.name)
        height = pl.scan_parquet(path).select(pl.len()).collect().item()
        for start in range(0, max(height, 1), limit):
            yield load(Source(table, scan.slice(start, limit)), str(path))
        return
    held: list[pl.DataFrame] = []
    for place in sorted(partitions(path)):
        rows = canonical_scan(place, table.name)
        if held and sum(one.height for one in held) + counted(rows, place) > limit:
            yield pl.concat(held)
            held = []
        held.append(load(Source(table, rows, is_hive=True), str(path)))
    if held:
        yield pl.concat(held)


def counted(rows: pl.LazyFrame, place: Path) -> int:
    """How many rows there are to read. Raises DataError when they cannot be."""
    try:
        return int(rows.select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(place, error) from error


def ends(last: pl.DataFrame, table: Table, own: pl.DataFrame) -> pl.DataFrame:
    """Of the last rows so far, those of the groups that go on in a piece."""
    group = table.group
    return last if group is None else last.join(own.select(group).unique(), on=group, how="semi", nulls_equal=True)


def closing(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Of some rows, those at the time of the last one of each group."""
    if table.group is None:
        return rows.filter(pl.col("ts").eq_missing(pl.col("ts").last()))
    ends = rows.group_by(table.group).agg(pl.col("ts").last())
    return rows.join(ends, on=[table.group, "ts"], how="semi", nulls_equal=True, maintain_order="left")
