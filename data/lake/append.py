"""Rows come into the lake here and nowhere else.

Decided here: a row that is there already changes nothing; a row that contradicts one that is there, or breaks a rule of
its table, is set aside with the reason; writers of one table wait for each other; what is written is written whole.
Only the parts that may hold the same keys are read, so the cost of an append does not grow with the lake.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from filelock import FileLock, Timeout

from data.errors import DataError
from data.history import known as table_named
from data.lake.folding import fold
from data.lake.quarantine import quarantine
from data.lake.sifting import Sifted, sift_known, sift_rules
from data.parts import ORIGIN, entity_column, files, partition_folder, parts, scan
from data.schemas import Table
from data.validation import canonical

WAIT_S = 600.0


@dataclass(frozen=True)
class Appended:
    """How many rows of an append were new, known already, contradicted a known row, or broke a rule of their table."""

    new: int = 0
    known: int = 0
    conflicting: int = 0
    broken: int = 0

    def __add__(self, other: "Appended") -> "Appended":
        """Both together."""
        return Appended(
            self.new + other.new,
            self.known + other.known,
            self.conflicting + other.conflicting,
            self.broken + other.broken,
        )


def append(folder: Path, table: str, frame: pl.DataFrame, origin: str) -> Appended:
    """Add the rows of a frame that are new to a table of the lake, each with its origin.

    A key that is known with other values is a conflict; a null contradicts nothing, but a value where the known row has
    null does (the lake cannot hold both). Conflicting and broken rows go to `_quarantine/TABLE/`. In tables without a key
    equal rows may both be true: of k equal rows those beyond the number already there are new.
    Raises DataError for a frame that lacks columns or has wrong types (nothing is written then), for a table that is a
    single file, and when another writer holds the table for ten minutes.
    """
    kind = table_named(table, str(folder))
    rows = canonical(frame.lazy(), kind, str(folder)).collect()
    valid, broken = sift_rules(rows, kind)
    with sole_writer(folder, kind):
        sifted = [append_partition(folder, kind, group, origin) for group in grouped(valid, kind)]
        aside = pl.concat([broken, *(one.conflicting for one in sifted)], how="vertical")
        quarantine(folder, kind, aside, origin)
    return sum(
        (Appended(one.new.height, one.known, one.conflicting.height) for one in sifted),
        Appended(broken=broken.height),
    )


@contextmanager
def sole_writer(folder: Path, table: Table) -> Iterator[None]:
    """Hold a table of the lake against other writers, of this process or another."""
    if (folder / f"{table.name}.parquet").exists():
        raise DataError(
            str(folder),
            expected=f"a folder {table.name}/ or no such table",
            found=f"the single file {table.name}.parquet",
            remedy=f"bring it into another folder with `shaper data import canonical {folder} --out DIR`",
        )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / f".{table.name}.lock", timeout=WAIT_S):
            yield
    except Timeout as error:
        raise DataError(
            str(folder),
            expected=f"no other writer of {table.name} for longer than {WAIT_S:.0f} s",
            found="one that holds it",
            remedy="wait for it to end, or end it",
        ) from error


def grouped(rows: pl.DataFrame, table: Table) -> Iterator[pl.DataFrame]:
    """The rows by chain or symbol and by month."""
    column = entity_column(table)
    entity = pl.col(column) if column else pl.lit(None, pl.String)
    marked = rows.with_columns(month=pl.col("ts").dt.strftime("%Y-%m"), entity=entity)
    yield from marked.partition_by("entity", "month", maintain_order=True)


def append_partition(folder: Path, table: Table, group: pl.DataFrame, origin: str) -> Sifted:
    """Add the new ones of the rows of one partition; nothing is written when there are none."""
    place = partition_folder(folder, table, group["entity"][0], group["month"][0])
    # A key without a time (the number of a block) may be known in another month.
    near = [one.path for one in parts(place)] if "ts" in (table.key or table.dtypes) else files(place.parent)
    sifted = sift_known(group.select(*table.dtypes), scan(near, table), table)
    if sifted.new.height:
        write_part(place, sifted.new.with_columns(pl.lit(origin).alias(ORIGIN)))
        fold(place)
    return sifted


def write_part(place: Path, rows: pl.DataFrame) -> None:
    """Write rows as the next part of a partition, whole or not at all."""
    place.mkdir(parents=True, exist_ok=True)
    for left in place.glob(".*.partial"):  # of a writer that was killed; nobody else writes now
        left.unlink()
    number = 1 + max((one.last for one in parts(place)), default=0)
    name = f"part-{number:08d}-{number:08d}.parquet"
    partial = place / f".{name}.partial"
    try:
        rows.write_parquet(partial)
        partial.replace(place / name)
    finally:
        partial.unlink(missing_ok=True)
