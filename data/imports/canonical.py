"""Canonical parquet: a file TABLE.parquet, or a folder of tables (single files or a lake), into another lake."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from data.history import found as tables_of
from data.history import known
from data.imports.chunk import Chunk, Options, pieces, schema_of
from data.parts import ORIGIN, entity_column, entity_of, files
from data.schemas import Table


def read(path: Path, options: Options) -> Iterator[Chunk]:
    """Rows of a table or of all tables of a folder; rows that have an `origin` keep it unless another is given."""
    tables = tables_of(path) if path.is_dir() else [(path.stem, path)]
    for name, place in tables:
        for file in files(place) if place.is_dir() else [place]:
            yield from rows(file, known(name, str(path)), options)


def rows(path: Path, table: Table, options: Options) -> Iterator[Chunk]:
    """Rows of one file."""
    frame = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    found = schema_of(frame, path)
    column, entity = entity_column(table), entity_of(path)
    if column and column not in found and entity is not None:
        frame = frame.with_columns(pl.lit(entity).alias(column))
    default = options.origin or f"canonical:{path.name}"
    keep = ORIGIN in found and options.origin is None
    for piece in pieces(frame, path):
        groups = piece.partition_by(ORIGIN, maintain_order=True) if keep else [piece]
        for group in groups:
            yield Chunk(table.name, group, (group[ORIGIN][0] or default) if keep else default)
