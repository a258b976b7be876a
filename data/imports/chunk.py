"""What every reader of a foreign format takes and gives.

Decided here: files are read in pieces of bounded size, so that a file larger than memory can be brought in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data.errors import DataError, UsageError

ROWS = 100_000  # of a piece; a few ten MB in memory


@dataclass(frozen=True)
class Chunk:
    """Some rows of one canonical table, and where they came from."""

    table: str
    frame: pl.DataFrame
    origin: str


@dataclass(frozen=True)
class Options:
    """What a file may not say about itself: `interval_s` seconds, `gas_limit` gas; None where the file says it."""

    symbol: str | None = None
    interval_s: int | None = None
    chain: str | None = None
    gas_limit: int | None = None
    mapping: Path | None = None
    origin: str | None = None


def pieces(frame: pl.LazyFrame, path: Path, rows: int = ROWS) -> Iterator[pl.DataFrame]:
    """The rows of a file, some at a time, in order. Raises DataError when it cannot be read to its end."""
    try:
        for piece in frame.collect_batches(chunk_size=rows, maintain_order=True, engine="streaming"):
            for start in range(0, piece.height, rows):
                yield piece.slice(start, rows)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from error


def schema_of(frame: pl.LazyFrame, path: Path) -> pl.Schema:
    """Columns and types of a file. Raises DataError when it is not of the format that its reader expects."""
    try:
        return frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception, expected: str = "a whole file of the format that was named") -> DataError:
    """The error for a file that cannot be read."""
    found = str(error).strip().splitlines() or [type(error).__name__]
    return DataError(str(path), expected=expected, found=found[0], remedy="name another format or fetch the file again")


def require_columns(found: pl.Schema, wanted: tuple[str, ...], path: Path, remedy: str) -> None:
    """Raise DataError when a file lacks columns."""
    missing = [name for name in wanted if name not in found]
    if missing:
        raise DataError(
            str(path),
            expected=f"the columns {', '.join(wanted)}",
            found=f"no column {', '.join(missing)} (there are {', '.join(found)})",
            remedy=remedy,
        )


def require_option(value: str | int | Path | None, option: str, path: Path) -> None:
    """Raise UsageError when the user has to say what the file does not."""
    if value is None:
        raise UsageError(
            str(path), expected=f"{option}", found="nothing", remedy=f"add {option}: the file does not say it"
        )
