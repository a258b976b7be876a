"""The raw rows of a running process: one buffer a table, ascending in time, to which rows come in any order.

Decided here: rows that come after all others are put behind them as they are; any other row is merged into its place, and
takes the place of a row with its key.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import polars as pl

from data.schemas import Table
from data.validation import faults

MOST_CHUNKS = 64  # appended pieces of a buffer before it is copied into one
FEW = 256  # rows that are looked at one by one
SLACK = timedelta(hours=1)  # how much more than needed a buffer may hold, so that it is not cut at every tick


@dataclass(frozen=True)
class Near:
    """The newest rows of a table in one piece, all of them from `since` on and `most` at most, so that no tick gathers them."""

    rows: pl.DataFrame
    since: datetime
    most: int

    @staticmethod
    def of(held: pl.DataFrame, since: datetime) -> "Near":
        """Of the rows that are held."""
        rows = recent(held, since).rechunk()
        return Near(rows, since, 2 * rows.height + FEW)

    def followed(self, rows: pl.DataFrame) -> "Near | None":
        """These rows and those that follow; None where they are too many."""
        if self.rows.height >= self.most:
            return None
        both = self.rows.vstack(rows)
        return Near(pl.DataFrame([column.rechunk() for column in both.iter_columns()]), self.since, self.most)


def joined(held: pl.DataFrame, rows: pl.DataFrame, table: Table) -> tuple[pl.DataFrame, datetime, bool]:
    """Held rows (ascending in `ts`) with new ones in their places, the earliest time that changed, and whether all came last.

    Raises DataError when together they break an order that each keeps alone, e.g. block times that go back.
    """
    first = earliest(rows)
    if follows(held, rows, table):
        return held.vstack(rows), first, True
    return (*merge(held, rows, table), False)


def follows(held: pl.DataFrame, rows: pl.DataFrame, table: Table) -> bool:
    """Whether a few rows come after all held ones, in order and each with a key of its own."""
    if held.is_empty() or rows.height > FEW or rows["ts"][0] <= held["ts"][-1]:
        return False
    columns = [rows[name].to_list() for name in ("ts", *table.order)]
    places = [tuple((value is not None, value) for value in row) for row in zip(*columns, strict=True)]
    in_order = all(a < b if table.key else a <= b for a, b in pairwise(places))
    if table.name != "blocks":
        return in_order
    return in_order and all(a < b for a, b in pairwise([held["number"][-1], *rows["number"]]))


def merge(held: pl.DataFrame, rows: pl.DataFrame, table: Table) -> tuple[pl.DataFrame, datetime]:
    """As `joined`, for rows that may come before held ones or replace them."""
    touched = earliest(rows)
    head = held.filter(pl.col("ts") < touched)
    if table.name == "blocks" and head.select((pl.col("number") >= rows["number"].min()).any()).item():
        head = head.clear()  # a reorganisation: a number that is held already, at another time
    tail = held.slice(head.height)
    together = pl.concat([tail, rows])
    if table.key:
        replaced = tail.join(rows, on=table.key, how="semi", nulls_equal=True)
        touched = min(touched, earliest(replaced)) if replaced.height else touched
        together = together.unique(table.key, keep="last", maintain_order=True)
    together = together.sort("ts", *table.order)
    seam = pl.concat([head.tail(1), together])
    for fault in faults(seam.sort(table.order), table)[:1]:
        raise fault.error("rows")
    return pl.concat([head, together], rechunk=False), touched


def of_any(rows: pl.DataFrame, column: str, names: frozenset[str]) -> pl.DataFrame:
    """The rows with one of some names in a column."""
    if rows.height <= FEW and names.issuperset(rows[column]):
        return rows
    return rows.filter(pl.col(column).is_in(sorted(names)))


def earliest(rows: pl.DataFrame) -> datetime:
    """The earliest event time of some rows."""
    first = rows["ts"].min()
    if not isinstance(first, datetime):
        raise TypeError("expected at least one row with a time")
    return first


def compact(frame: pl.DataFrame) -> pl.DataFrame:
    """A buffer in fewer pieces, if it is in too many: the newest become one, with each before them that is not much longer.

    So the whole is seldom copied, and no tick waits for that.
    """
    if frame.n_chunks() <= MOST_CHUNKS:
        return frame
    *older, last = frame["ts"].chunk_lengths()
    while older and (older[-1] <= 2 * last or len(older) > MOST_CHUNKS // 2):
        last += older.pop()
    kept = frame.height - last
    return frame.slice(0, kept).vstack(frame.slice(kept).rechunk())


def recent(frame: pl.DataFrame, since: datetime) -> pl.DataFrame:
    """The newest rows of a buffer, among them all from a time on; looks at few of the others."""
    count = 256
    while count < frame.height and frame["ts"][-count] >= since:
        count *= 2
    return frame.tail(count)


def until(frame: pl.DataFrame, end: datetime) -> pl.DataFrame:
    """The rows of a buffer before a time, if the newest is not."""
    if frame.is_empty() or frame["ts"][-1] < end:
        return frame
    return frame.filter(pl.col("ts") < end)


def cut(frame: pl.DataFrame, since: datetime) -> pl.DataFrame:
    """A buffer without the rows before a time, if some are long before it."""
    if frame.is_empty() or frame["ts"][0] >= since - SLACK:
        return frame
    return frame.slice(int(frame["ts"].search_sorted(since)))
