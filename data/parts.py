"""Where the rows of a growing table lie: `TABLE/<chain|symbol>=VALUE/month=YYYY-MM/part-FIRST-LAST.parquet`.

Decided here: how partitions and parts are named, and which parts count. A part is written once and never changed.
FIRST-LAST are the numbers of the appends it holds; a part whose numbers lie within those of another was folded into it
and no longer counts, so that a fold (write the wide part, remove the narrow ones) is never half-visible.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import polars as pl

from data.schemas import Table

ORIGIN = "origin"
NAME = re.compile(r"part-(\d+)-(\d+)\.parquet")


@dataclass(frozen=True, order=True)
class Part:
    """One file of a partition and the numbers of the appends it holds (both -1 for a file of another writer)."""

    first: int
    last: int
    path: Path

    def holds(self, other: "Part") -> bool:
        """Whether the other part was folded into this one."""
        wider = self.last - self.first > other.last - other.first
        return wider and self.first <= other.first and other.last <= self.last


def entity_column(table: Table) -> str | None:
    """The column that the first level of folders is named after; None when the table has neither chain nor symbol."""
    return next((name for name in ("chain", "symbol") if name in table.dtypes), None)


def entity_folder(folder: Path, table: Table, entity: str | None) -> Path:
    """Folder of all months of one chain or symbol; characters that a file name cannot hold are percent-encoded."""
    column = entity_column(table)
    return folder / table.name / f"{column}={quote(entity or '', safe='')}" if column else folder / table.name


def partition_folder(folder: Path, table: Table, entity: str | None, month: str) -> Path:
    """Folder of one month (YYYY-MM, of `ts`) of one chain or symbol."""
    return entity_folder(folder, table, entity) / f"month={month}"


def entity_of(path: Path) -> str | None:
    """The chain or symbol that a path inside a table names, None when it names none."""
    found = [part.partition("=")[2] for part in path.parts if part.startswith(("chain=", "symbol="))]
    return unquote(found[-1]) if found else None


def parts(partition: Path) -> list[Part]:
    """Parts of one folder that count, in the order of their appends."""
    every = sorted(part(path) for path in partition.glob("*.parquet"))
    return [one for one in every if not any(other.holds(one) for other in every)]


def part(path: Path) -> Part:
    """A file and the numbers in its name."""
    name = NAME.fullmatch(path.name)
    return Part(int(name[1]), int(name[2]), path) if name else Part(-1, -1, path)


def files(folder: Path) -> list[Path]:
    """Every parquet file below a folder that counts, sorted by path."""
    return [one.path for place in sorted(partitions(folder)) for one in parts(place)]


def partitions(folder: Path) -> Iterator[Path]:
    """Every folder at or below a folder that holds parquet files."""
    yield from {path.parent for path in folder.rglob("*.parquet")}


def scan(paths: Sequence[Path], table: Table) -> pl.LazyFrame:
    """Rows of some parts with the canonical columns and `origin`; columns that an older part lacks are null."""
    schema = {**table.dtypes, ORIGIN: pl.String()}
    if not paths:
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(
        list(paths), schema=schema, hive_partitioning=False, missing_columns="insert", extra_columns="ignore"
    )
