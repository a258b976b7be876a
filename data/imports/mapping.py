"""Any CSV or parquet, by a mapping file in TOML that says what each canonical column is.

    table = "blocks"                      # which canonical table
    separator = ";"                       # of a CSV; default ","

    [columns]                             # canonical = column of the file; equal names need no line
    number = "height"
    base_fee_wei = "fee"

    [units]                               # canonical = unit in the file, where it is another
    base_fee_wei = "gwei"

    [constants]                           # canonical = value of every row
    chain = "ethereum"

    [time]
    unit = "s"                            # s, ms, us or ns since 1970; "text" for written times; left out for datetimes
    format = "%Y-%m-%d %H:%M:%S"          # of written times; ISO 8601 when left out
    zone = "Europe/Berlin"                # of written times without a zone and of naive datetimes; there is no default
    label = "close"                       # of bars named by their close; default "open"

Decided here: nothing is guessed. A time without a zone needs `zone`, and an hour that a change of clocks makes
ambiguous is an error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from data.errors import DataError, UsageError
from data.history import known
from data.imports.chunk import Chunk, Options, pieces, require_columns, require_option, schema_of
from data.imports.units import factor
from data.schemas import Table
from data.strict import convert, read_toml

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True)
class Time:
    """How a file writes `ts`."""

    unit: Literal["s", "ms", "us", "ns", "text"] | None = None
    format: str | None = None
    zone: str | None = None
    label: Literal["open", "close"] = "open"


@dataclass(frozen=True)
class Plan:
    """A mapping file."""

    table: str
    separator: str = ","
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str | int | float] = field(default_factory=dict)
    time: Time = field(default_factory=Time)


def read(path: Path, options: Options) -> Iterator[Chunk]:
    """Rows of one CSV or parquet file. Raises UsageError for a mapping that cannot hold, DataError for a file that misfits."""
    require_option(options.mapping, "--mapping", path)
    mapping, table = read_mapping(Path(str(options.mapping)))
    is_parquet = path.suffix == ".parquet"
    frame = (
        pl.scan_parquet(path, glob=False) if is_parquet else pl.scan_csv(path, separator=mapping.separator, glob=False)
    )
    found = schema_of(frame, path)
    taken = {name: mapping.columns.get(name, name) for name in table.dtypes if name not in mapping.constants}
    needed = [source for name, source in taken.items() if name in mapping.columns or name not in table.optional]
    require_columns(found, tuple(needed), path, f"correct [columns] in {options.mapping}")
    given = {name: pl.col(source) for name, source in taken.items() if source in found}
    values = [
        *(value(name, given[name], found[taken[name]], mapping, table) for name in given if name != "ts"),
        *(pl.lit(constant).alias(name) for name, constant in mapping.constants.items()),
        moment(given["ts"], found[taken["ts"]], mapping.time, path).alias("ts"),
    ]
    rows = frame.select(values)
    if mapping.time.label == "close":
        rows = rows.with_columns(pl.col("ts") - pl.duration(seconds=pl.col("interval_s"), time_unit="ms"))
    for piece in pieces(rows, path):
        yield Chunk(table.name, piece, options.origin or f"{path.suffix.lstrip('.')}:{path.name}")


def read_mapping(path: Path) -> tuple[Plan, Table]:
    """A mapping and its table. Raises UsageError for unknown keys, tables, columns, units, and contradictions."""
    mapping = convert(Plan, read_toml(path), str(path))
    try:
        table = known(mapping.table, str(path))
    except DataError as error:
        raise UsageError(str(path), expected="a canonical table", found=mapping.table, remedy=str(error)) from error
    strange = sorted({*mapping.columns, *mapping.units, *mapping.constants} - set(table.dtypes))
    both = sorted({*mapping.columns} & {*mapping.constants})
    if strange or both:
        raise UsageError(
            str(path),
            expected=f"columns of {table.name} ({', '.join(table.dtypes)}), each once",
            found=", ".join([*strange, *(f"{name} twice" for name in both)]),
            remedy="correct or remove them",
        )
    if mapping.time.label == "close" and table.name != "bars":
        raise UsageError(str(path), expected="time.label only for bars", found=table.name, remedy="remove it")
    return mapping, table


def value(name: str, source: pl.Expr, found: pl.DataType, mapping: Plan, table: Table) -> pl.Expr:
    """One canonical column. A fraction where a whole number belongs becomes null, which the lake sets aside."""
    wanted = table.dtypes[name]
    if wanted == pl.String:
        return source.cast(pl.String).alias(name)
    if name in mapping.units:
        scaled = source.cast(pl.Float64) * factor(mapping.units[name], name)
        return (scaled.round() if wanted == pl.Int64 else scaled).cast(wanted).alias(name)
    if wanted == pl.Int64 and not found.is_integer():
        number = source.cast(pl.Float64)
        return pl.when(number == number.round()).then(number).cast(pl.Int64).alias(name)
    return source.cast(wanted).alias(name)


def moment(source: pl.Expr, found: pl.DataType, time: Time, path: Path) -> pl.Expr:
    """Times in UTC, from numbers, text or datetimes."""
    if time.unit == "text":
        found = pl.Datetime("us", "UTC" if time.format and "%z" in time.format else None)
        source = source.str.to_datetime(time.format, time_unit="us", time_zone=found.time_zone)
    elif time.unit is not None:
        return since_1970(source, time.unit)
    if not isinstance(found, pl.Datetime):
        raise DataError(
            str(path),
            expected="times",
            found=f"the type {found}",
            remedy="say time.unit in the mapping (s, ms, us, ns, text)",
        )
    if found.time_zone is None:
        if time.zone is None:
            raise DataError(
                str(path), expected="times with a zone", found="naive ones", remedy='say time.zone, e.g. "UTC"'
            )
        source = source.dt.replace_time_zone(time.zone)
    return source.dt.convert_time_zone("UTC").dt.cast_time_unit("us")


def since_1970(source: pl.Expr, unit: str) -> pl.Expr:
    """Times from numbers since 1970; fractions of the unit are kept to the microsecond."""
    per = PER_SECOND[unit]
    micros = source * (1_000_000 // per) if per <= 1_000_000 else source // (per // 1_000_000)
    return micros.cast(pl.Float64).round().cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
