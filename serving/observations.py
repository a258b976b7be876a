"""Posted rows: JSON to canonical frames, all of a request or none of it.

Decided here: the JSON form of each canonical table (made from its schema, so that it cannot differ), and that a row from the
future is refused: it would push the past out of the buffers.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any

import msgspec
import polars as pl

from data.schemas import TABLES, Table
from data.validation import faults
from serving.errors import RefusedError

AHEAD = timedelta(seconds=60)  # clocks of feeds may run ahead of ours by this much
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
MEND = "correct the rows and post all of them again, for none was taken"


@cache
def observations_type() -> type[msgspec.Struct]:
    """The type of a request body: for each canonical table a list of rows."""
    tables: list[tuple[str, Any, Any]] = []
    for name, table in TABLES.items():
        row: Any = row_type(table)
        tables.append((name, list[row], msgspec.field(default_factory=list)))
    return msgspec.defstruct("Observations", tables, forbid_unknown_fields=True)


def row_type(table: Table) -> type[msgspec.Struct]:
    """The type of one row of a table; columns that a file may lack, or that may be null, default to null."""
    required: list[tuple[str, Any]] = []
    optional: list[tuple[str, Any, Any]] = []
    for name, column in table.schema.columns().items():
        kind = json_type(column.dtype)
        if name in table.optional or column.nullable:
            optional.append((name, kind | None, None))
        else:
            required.append((name, kind))
    return msgspec.defstruct(table.schema.__name__, [*required, *optional], forbid_unknown_fields=True)


def json_type(dtype: pl.DataType) -> Any:
    """The JSON type of a column: times are ISO 8601 with their zone."""
    if isinstance(dtype, pl.Datetime):
        return Instant
    return {pl.Int64: Whole, pl.Float64: float, pl.String: str}[type(dtype)]


def read_observations(body: bytes, now: datetime) -> dict[str, pl.DataFrame]:
    """Canonical, ordered, checked frames by table. Raises RefusedError at the first thing that is wrong with any of them."""
    try:
        decoded = msgspec.json.decode(body, type=observations_type())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(
            "body", expected="rows by canonical table, as in /schema/openapi.json", found=str(error), remedy=MEND
        ) from error
    posted = {name: rows for name in TABLES if (rows := getattr(decoded, name))}
    if not posted:
        raise RefusedError(
            "body", expected="at least one row", found="none", remedy=f"post rows of {', '.join(TABLES)}"
        )
    return {name: checked(TABLES[name], rows, now) for name, rows in posted.items()}


def checked(table: Table, rows: list[Any], now: datetime) -> pl.DataFrame:
    """The rows of one table as a valid frame in canonical order; equal rows with a key count once."""
    try:
        frame = pl.DataFrame({name: column(rows, name, dtype) for name, dtype in table.dtypes.items()})
    except OverflowError as error:
        raise RefusedError(table.name, expected="times of our era", found=str(error), remedy=MEND) from error
    frame = (frame.unique(maintain_order=True) if table.key else frame).sort(table.order, maintain_order=True)
    first = frame.filter(~known_by(table, now + AHEAD)).head(1)
    if first.height:
        found = f"one of {first['ts'][0].isoformat()}"
        raise RefusedError(table.name, expected=f"rows known by now, {now.isoformat()}", found=found, remedy=MEND)
    for fault in faults(frame, table)[:1]:
        raise RefusedError(table.name, expected=fault.expected, found=fault.found, remedy=MEND)
    return frame


def known_by(table: Table, at: datetime) -> pl.Expr:
    """Whether a row was known by a time, and not before it happened (an interval beyond all bounds wraps round)."""
    return (pl.col("ts") <= table.known_at) & (table.known_at <= at)


def column(rows: list[Any], name: str, dtype: pl.DataType) -> pl.Series:
    """One column of decoded rows; times in UTC."""
    values = [getattr(row, name) for row in rows]
    if isinstance(dtype, pl.Datetime):
        values = [None if value is None else value.astimezone(UTC) for value in values]
    return pl.Series(name, values, dtype)


def newest_known(frames: Mapping[str, pl.DataFrame]) -> datetime:
    """When the last of some rows became known."""
    times = [frame.select(TABLES[name].known_at.max()).item() for name, frame in frames.items()]
    newest: datetime = max(times)
    return newest
