"""Recorded history: a folder of canonical tables, read with suspicion and written whole or not at all.

Decided here: where a table lies (`NAME.parquet`, or a hive of files below `NAME/`), when it is checked (its columns on
opening, its rows on first use), and what its digest is made of (content, not file layout).
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from data import parts
from data.errors import DataError
from data.schemas import TABLES, Table
from data.validation import canonical, require_valid


class Tables(Protocol):
    """Anything that holds canonical tables: recorded history, a simulated world, the sidecar's buffers."""

    @property
    def tables(self) -> frozenset[str]:
        """Names of the tables that are there."""
        ...

    def scan(self, name: str) -> pl.LazyFrame:
        """Valid rows of one table in canonical order."""
        ...


@dataclass(frozen=True)
class Memory:
    """Canonical frames that are already valid and in order."""

    frames: Mapping[str, pl.DataFrame]

    @property
    def tables(self) -> frozenset[str]:
        """Names of the tables that are there."""
        return frozenset(self.frames)

    def scan(self, name: str) -> pl.LazyFrame:
        """Rows of one table."""
        return self.frames[name].lazy()


@dataclass(frozen=True)
class Source:
    """Where the rows of one table come from; a hive is put in order after reading, a single file has to be in order."""

    table: Table
    frame: pl.LazyFrame
    is_hive: bool = False


@dataclass(frozen=True)
class History:
    """Canonical tables under one name `where`, up to what was knowable at `cut` (None: all)."""

    where: str
    sources: Mapping[str, Source]
    cut: datetime | None = None
    loaded: dict[str, pl.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path) -> "History":
        """The tables of a folder; their columns are checked now, their rows when they are first used.

        Raises DataError when there is no such folder, no table in it, or a table with missing or mistyped columns.
        """
        sources = {
            name: Source(TABLES[name], canonical_scan(path, name), path.is_dir()) for name, path in found(folder)
        }
        return cls(str(folder), sources)

    @classmethod
    def of(cls, frames: Mapping[str, pl.DataFrame], where: str = "memory") -> "History":
        """History held in memory, checked like files."""
        for name in frames:
            known(name, where)
        return cls(
            where, {name: Source(TABLES[name], canonical(f.lazy(), TABLES[name], where)) for name, f in frames.items()}
        )

    @property
    def tables(self) -> frozenset[str]:
        """Names of the tables that are there."""
        return frozenset(self.sources)

    def scan(self, name: str) -> pl.LazyFrame:
        """Rows of one table in canonical order, knowable at the cut.

        Raises DataError when the table is not there, or at its first fault (nulls, NaN, disorder, duplicates, …).
        """
        if name not in self.sources:
            raise DataError(
                self.where,
                expected=f"a table {name}",
                found=", ".join(sorted(self.tables)) or "none",
                remedy=f"add {name}.parquet",
            )
        if name not in self.loaded:
            self.loaded[name] = read(self.sources[name], self.where)
        rows = self.loaded[name].lazy()
        return rows if self.cut is None else rows.filter(knowable(TABLES[name], self.cut))

    def before(self, at: datetime) -> "History":
        """The same history as it was knowable at a time: rows with ts < at and known_at <= at."""
        require_zone(at, self.where)
        return History(self.where, self.sources, at if self.cut is None else min(at, self.cut), self.loaded)

    def digest(self, names: Sequence[str] | None = None) -> str:
        """SHA-256 (hexadecimal) of the content of some tables, of all by default; equal for every file layout."""
        total = hashlib.sha256()
        for name in sorted(self.tables if names is None else names):
            total.update(f"{name}:{content_digest(self.scan(name).collect())};".encode())
        return total.hexdigest()


def write_table(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    """Put a table in order, check it and write `NAME.parquet`, whole or not at all; returns the path.

    Raises DataError at the first fault; then nothing is written.
    """
    table = known(name, str(folder))
    rows = canonical(frame.lazy(), table, str(folder)).collect().sort(table.order, maintain_order=True)
    require_valid(rows, table, str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    partial = folder / f".{name}.{os.getpid()}.partial"
    try:
        rows.write_parquet(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def known(name: str, where: str) -> Table:
    """The canonical table of that name, or DataError."""
    if name not in TABLES:
        raise DataError(where, expected=f"one of the tables {', '.join(TABLES)}", found=name, remedy="rename it")
    return TABLES[name]


def found(folder: Path) -> list[tuple[str, Path]]:
    """(table, file or hive folder) for each canonical table in a folder."""
    if not folder.is_dir():
        raise DataError(
            str(folder),
            expected="a folder of parquet tables",
            found="a file" if folder.exists() else "nothing there",
            remedy="name a folder with e.g. blocks.parquet, or make one with `shaper data simulate --out DIR`",
        )
    paths = [(name, path) for name in TABLES for path in (folder / f"{name}.parquet", folder / name) if is_table(path)]
    if len({name for name, _ in paths}) < len(paths):
        raise DataError(
            str(folder), expected="a table once", found="both a file and a folder of it", remedy="remove one of them"
        )
    if not paths:
        raise DataError(
            str(folder),
            expected=f"at least one of {', '.join(f'{name}.parquet' for name in TABLES)}",
            found="none of them",
            remedy="name another folder, or make one with `shaper data simulate --out DIR`",
        )
    return paths


def is_table(path: Path) -> bool:
    """Whether a path is a parquet file or a folder with some."""
    return path.is_file() if path.suffix == ".parquet" else path.is_dir() and any(path.rglob("*.parquet"))


def canonical_scan(path: Path, name: str) -> pl.LazyFrame:
    """Lazy canonical rows of a file or hive; DataError when it cannot be read as such."""
    table = TABLES[name]
    try:
        if path.is_dir():
            return pl.concat(canonical(part_scan(part, table), table, str(part)) for part in parts.files(path))
        return canonical(pl.scan_parquet(path), table, str(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from error


def part_scan(path: Path, table: Table) -> pl.LazyFrame:
    """Lazy rows of one file of a hive; the chain or symbol is taken from its folder where the file does not say it."""
    frame, column = pl.scan_parquet(path, hive_partitioning=False), parts.entity_column(table)
    if column is None or column in frame.collect_schema():
        return frame
    entity = parts.entity_of(path)
    return frame if entity is None else frame.with_columns(pl.lit(entity).alias(column))


def unreadable(path: Path | str, error: Exception) -> DataError:
    """The error for a file that polars cannot read."""
    return DataError(
        str(path), expected="parquet", found=str(error).splitlines()[0], remedy="write or download the file again"
    )


def load(source: Source, where: str) -> pl.DataFrame:
    """Rows of one table as they were recorded; a hive is in canonical order. Raises DataError when they cannot be read."""
    try:
        rows = source.frame.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(f"{where}: {source.table.name}", error) from error
    if source.table.name == "mempool":  # recorders write -1 where they had no price
        rows = rows.with_columns(pl.when(pl.col("price_usd") > 0).then("price_usd"))
    return rows.sort(source.table.order, maintain_order=True) if source.is_hive else rows


def read(source: Source, where: str) -> pl.DataFrame:
    """Rows of one table, checked and in canonical order."""
    rows = load(source, where)
    require_valid(rows, source.table, where)
    return rows if source.is_hive else rows.sort(source.table.order, maintain_order=True)


def knowable(table: Table, at: datetime) -> pl.Expr:
    """Whether a live system could have used a row at a time: it happened before, and was known by then."""
    return (pl.col("ts") < at) & (table.known_at <= at)


def require_zone(at: datetime, where: str) -> None:
    """Raise DataError for a naive time."""
    if at.tzinfo is None:
        raise DataError(where, expected="a time with a time zone", found=f"{at}", remedy="add the zone, e.g. +00:00")


def content_digest(frame: pl.DataFrame) -> str:
    """SHA-256 of names, types, nulls and values, column by column."""
    total = hashlib.sha256(f"{frame.height}".encode())
    for column in frame.iter_columns():
        total.update(f"|{column.name}:{column.dtype}:{column.null_count()}|".encode())
        if column.null_count():
            total.update(column.is_null().to_numpy().tobytes())
        values = column.drop_nulls()
        if column.dtype == pl.String:
            names = values.unique().sort()
            total.update("\0".join(names).encode())
            values = values.replace_strict(names, range(len(names)), return_dtype=pl.Int64)
        total.update(values.to_physical().to_numpy().astype("<f8" if values.dtype.is_float() else "<i8").tobytes())
    return total.hexdigest()
