"""Files from public archives: verified, unpacked, and read without trusting their columns.

Decided here: a file is used only if its SHA-256 is the published one; a header may be there or not; columns that were
added later are ignored, columns that vanished or changed their type are an error that names them.
"""

import asyncio
import tempfile
import zipfile
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Literal, TypeVar

import polars as pl

from data.errors import DataError
from data.sources.web import RUN_AGAIN, AbsentError, TransientError, Web, without_query

Result = TypeVar("Result")
SHA256_DIGITS = 64


async def download_verified(web: Web, url: str, path: Path) -> None:
    """Download a file whose SHA-256 stands in `URL.CHECKSUM`; tried again when they differ.

    Raises AbsentError when there is no such file, DataError when no try gave a file with that checksum.
    """

    async def once() -> None:
        found = await web.download(url, path)
        published = await checksum(web, url)
        if found != published:
            raise TransientError(f"a file with SHA-256 {found[:12]}… instead of {published[:12]}…")

    await web.tried(without_query(url), once)


async def checksum(web: Web, url: str) -> str:
    """The published SHA-256 of a file, in lower case."""
    where = f"{without_query(url)}.CHECKSUM"
    try:
        text = await web.get(f"{url}.CHECKSUM")
    except AbsentError as absent:
        raise DataError(where, expected="a published checksum", found="none", remedy=RUN_AGAIN) from absent
    digest, _, name = text.decode("utf-8", "replace").strip().lower().partition(" ")
    if len(digest) != SHA256_DIGITS or PurePosixPath(url).name.lower() != name.strip(" *"):
        raise DataError(
            where,
            expected=f"the SHA-256 of {PurePosixPath(url).name}",
            found=repr(text[:80].decode("utf-8", "replace")),
            remedy="look at the file",
        )
    return digest


async def fetch_file(
    download: Callable[[Web, str, Path], Awaitable[object]], web: Web, url: str, read: Callable[[Path], Result]
) -> Result:
    """Download to a temporary file, read it in another thread, and leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="shaper-pull-") as folder:
        path = Path(folder) / "download"
        await download(web, url, path)
        return await asyncio.to_thread(read, path)


@contextmanager
def unpacked(path: Path, where: str) -> Iterator[Path]:
    """The only file of a zip archive, unpacked beside it while the context lasts.

    Raises DataError for anything that is not a whole archive of one file (its CRC is checked).
    """
    target = path.with_suffix(".member")
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise damaged(where, f"{len(names)} files in it")
            with archive.open(names[0]) as source, target.open("wb") as copy:
                while piece := source.read(1 << 20):
                    copy.write(piece)
        yield target
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise damaged(where, f"{type(error).__name__}: {error}") from error
    finally:
        target.unlink(missing_ok=True)


def damaged(where: str, found: str) -> DataError:
    """The error for an archive that cannot be unpacked."""
    return DataError(where, expected="a whole zip archive of one file", found=found, remedy=RUN_AGAIN)


def read_csv(path: Path, columns: tuple[str, ...], wanted: Mapping[str, pl.DataType], where: str) -> pl.DataFrame:
    """The `wanted` columns of a CSV, by the names in its header or, without one, by the order of `columns`.

    Raises DataError when one is missing or does not have its type; empty values are null.
    """
    lines = pl.scan_csv(path, has_header=False, infer_schema=False)
    try:
        head = lines.head(1).collect()
        first = [value or "" for value in head.row(0)]
        has_header = not any(is_number(value) for value in first)
        names = first if has_header else list(columns)
        if len(names) != len(first) or missing(wanted, names):
            found = ", ".join(names) if has_header else f"{len(first)} columns without a header"
            raise drift(where, f"the columns {', '.join(columns)}", found)
        places = {name: head.columns[names.index(name)] for name in wanted}
        rows = (
            lines.slice(int(has_header)).select(pl.col(place).alias(name) for name, place in places.items()).collect()
        )
    except pl.exceptions.NoDataError:
        return pl.DataFrame(schema=dict(wanted))
    except pl.exceptions.PolarsError as error:
        raise drift(where, "rows of equal length", f"{error}".splitlines()[0]) from error
    return rows.select(typed(rows[name], dtype, where) for name, dtype in wanted.items())


def missing(wanted: Mapping[str, pl.DataType], names: list[str]) -> list[str]:
    """Wanted columns that are not there."""
    return [name for name in wanted if name not in names]


def is_number(text: str) -> bool:
    """Whether a field looks like a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def typed(column: pl.Series, dtype: pl.DataType, where: str) -> pl.Series:
    """A column of text as its type, or DataError with the first value that does not fit."""
    text = column.replace({"": None})
    cast = text.cast(dtype, strict=False)
    bad = text.filter(cast.is_null() & text.is_not_null())
    if bad.len():
        raise drift(where, f"the type {dtype} in the column {column.name}", f"{bad[0]!r}")
    return cast


def drift(where: str, expected: str, found: str) -> DataError:
    """The error for a file whose form has changed."""
    return DataError(
        where,
        expected=expected,
        found=found,
        remedy="the source changed its format: use a mapping file with `shaper data import`",
    )


def utc(column: str, unit: Literal["ms", "us"] = "ms") -> pl.Expr:
    """Times from epoch milliseconds or microseconds, told apart value by value (1e14 ms would be the year 5138)."""
    value = pl.col(column)
    micros = pl.when(value >= 10**14).then(value).otherwise(value * 1000)
    return pl.from_epoch(micros, time_unit="us").dt.replace_time_zone("UTC").dt.cast_time_unit(unit)
