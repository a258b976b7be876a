"""A table in pieces, so that what is larger than memory can be looked at: consecutive rows in canonical order.

Decided here: how large a piece is (whole partitions of a lake, rows of a single file), and that each begins with a seam: the
last rows of the piece before, so that what lies between two pieces (a gap, a step back, a second row of a key) is seen too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.history import Source, canonical_scan, load
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
        seam = ends(last, table, own)
        yield Piece(pl.concat([seam, own]), seam.height, first)
        last, first = pl.concat([last, own]), first + own.height
        last = last.filter(pl.col("ts").eq_missing(latest(table)))


def gathered(table: Table, path: Path, limit: int) -> Iterator[pl.DataFrame]:
    """Frames of about `limit` rows: of a file exactly, of a lake whole partitions until there are as many."""
    if path.is_file():
        scan = canonical_scan(path, table.name)
        height = pl.scan_parquet(path).select(pl.len()).collect().item()
        for start in range(0, max(height, 1), limit):
            yield load(Source(table, scan.slice(start, limit)), str(path))
        return
    held: list[pl.DataFrame] = []
    for place in sorted(partitions(path)):
        held.append(load(Source(table, canonical_scan(place, table.name), is_hive=True), str(path)))
        if sum(one.height for one in held) >= limit:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def ends(last: pl.DataFrame, table: Table, own: pl.DataFrame) -> pl.DataFrame:
    """Of the last rows so far, those of the groups that go on in a piece."""
    group = table.group
    return last if group is None else last.join(own.select(group).unique(), on=group, how="semi", nulls_equal=True)


def latest(table: Table) -> pl.Expr:
    """Time of the last row of each group."""
    last = pl.col("ts").last()
    return last if table.group is None else last.over(table.group)
