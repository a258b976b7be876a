"""Rows that the lake would not take, kept beside it with the reason: `_quarantine/TABLE/aside-DIGEST.parquet`.

Decided here: nothing is thrown away, and the same rows set aside twice are kept once.
"""

import hashlib
from pathlib import Path

import polars as pl

from data.lake.sifting import REASON
from data.parts import ORIGIN
from data.schemas import Table

FOLDER = "_quarantine"


def quarantine(folder: Path, table: Table, rows: pl.DataFrame, origin: str) -> int:
    """Keep rows (canonical columns and `reason`) that are not there yet; returns how many were added."""
    if rows.is_empty():
        return 0
    place = folder / FOLDER / table.name
    columns = [*table.dtypes, REASON, ORIGIN]
    marked = rows.with_columns(pl.lit(origin).alias(ORIGIN)).select(columns).unique(maintain_order=True)
    fresh = marked.join(
        quarantined(folder, table).collect(), on=columns, how="anti", nulls_equal=True, maintain_order="left"
    )
    if fresh.height:
        place.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(fresh.write_csv().encode()).hexdigest()[:16]
        partial = place / f".aside-{digest}.partial"
        fresh.write_parquet(partial)
        partial.replace(place / f"aside-{digest}.parquet")
    return fresh.height


def quarantined(folder: Path, table: Table) -> pl.LazyFrame:
    """Rows of a table that were set aside: canonical columns, `reason` and `origin`."""
    paths = sorted((folder / FOLDER / table.name).glob("*.parquet"))
    schema = {**table.dtypes, REASON: pl.String(), ORIGIN: pl.String()}
    if not paths:
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(paths, schema=schema, missing_columns="insert", extra_columns="ignore")
