"""What lies in a folder of history: rows, range, gaps and oddities, and every fault.

Decided here: what is a fault (training and forecasting refuse it) and what is only a note (recorded history has holes,
outages and odd blocks, and the rest of the product knows how to live with them).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType

import polars as pl

from data.errors import DataError
from data.gaps import arrival_notes, bar_notes, block_notes, count_notes, pause_notes
from data.history import found
from data.lake.coverage import Lane, table_lanes
from data.lake.pieces import LIMIT, Piece, pieces
from data.lake.review import Said, review_folder, review_rows
from data.schemas import TABLES, Table
from data.validation import Fault, faults

Notes = Callable[[pl.DataFrame], list[str]]

NOTES: Mapping[str, Notes] = MappingProxyType(
    {
        "blocks": block_notes,
        "bars": bar_notes,
        "request_counts": count_notes,
        "arrivals": arrival_notes,
        "funding": lambda rows: pause_notes(rows, "symbol"),
        "mempool": lambda rows: pause_notes(rows, "chain"),
    }
)


@dataclass(frozen=True)
class TableReport:
    """One table: `first` and `last` event time (None without rows), notes and faults as sentences."""

    name: str
    rows: int
    first: datetime | None
    last: datetime | None
    notes: tuple[str, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All tables of a folder, and the files in it that are not canonical tables."""

    folder: str
    tables: tuple[TableReport, ...]
    ignored: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no table has a fault."""
        return not any(table.faults for table in self.tables)

    @property
    def plain(self) -> dict[str, object]:
        """The report as JSON knows it: times in ISO 8601."""
        tables = [
            {
                "name": table.name,
                "rows": table.rows,
                "first": table.first.isoformat() if table.first else None,
                "last": table.last.isoformat() if table.last else None,
                "notes": list(table.notes),
                "faults": list(table.faults),
            }
            for table in self.tables
        ]
        return {"folder": self.folder, "ok": self.ok, "tables": tables, "ignored": list(self.ignored)}


def inspect(folder: Path, now: datetime | None = None, max_age: timedelta | None = None) -> Report:
    """Look at every table of a folder; with a clock and an age, older feeds are faults.

    Raises DataError only when there is no folder or no table in it.
    """
    paths = found(folder)
    names = {path.name for path in folder.iterdir() if not path.name.startswith((".", "_"))}
    reports = [inspect_table(name, path) for name, path in paths]
    said = review_folder(folder, tuple(lanes(reports, dict(paths))), now, max_age)
    tables = tuple(
        replace(
            report,
            notes=report.notes + said.get(report.name, Said()).notes,
            faults=report.faults + said.get(report.name, Said()).faults,
        )
        for report in reports
    )
    return Report(str(folder), tables, tuple(sorted(names - {path.name for _, path in paths})))


def lanes(reports: Sequence[TableReport], paths: Mapping[str, Path]) -> Iterator[Lane]:
    """Coverage of the tables that have readable rows."""
    for report in reports:
        if report.first is not None:
            yield from table_lanes(TABLES[report.name], paths[report.name])


def inspect_table(name: str, path: Path, limit: int = LIMIT) -> TableReport:
    """Look at one table, `limit` rows at a time."""
    table = TABLES[name]
    try:
        seen = list(map(partial(look, table), pieces(table, path, limit)))  # which lets go of a piece before the next
    except DataError as error:
        return TableReport(name, 0, None, None, (), (str(error),))
    rows = sum(one.rows for one in seen)
    ends = [end for one in seen for end in (one.first, one.last) if end is not None]
    broken = tuple(f"{f.rows} rows break: {f.expected}; first, {f.found}" for f in joined(seen))
    if not rows:
        return TableReport(name, 0, None, None, ("no rows",), broken)
    # Gaps mean something only between rows that are in order and unique.
    notes, faulty = ((), ()) if broken else (told(seen, "notes"), told(seen, "faults"))
    return TableReport(name, rows, min(ends), max(ends), notes, broken + faulty)


@dataclass(frozen=True)
class Seen:
    """What one piece of a table shows: its own rows, their ends, broken rules, and sentences that hold if there are none."""

    rows: int
    first: datetime | None
    last: datetime | None
    broken: tuple[Fault, ...]
    said: Said


def look(table: Table, piece: Piece) -> Seen:
    """Look at one piece; a fault of its seam was told of the piece before."""
    before = {fault.expected: fault.rows for fault in faults(piece.rows.head(piece.seam), table)}
    found = [replace(f, rows=f.rows - before.get(f.expected, 0)) for f in faults(piece.rows, table, piece.start)]
    broken = tuple(fault for fault in found if fault.rows)
    first, last = piece.own.select(first=pl.col("ts").min(), last=pl.col("ts").max()).row(0)
    said = Said()
    if not broken and piece.own.height:
        said = review_rows(table.name, piece.rows)
        said = Said((*(NOTES[table.name](piece.rows) if table.name in NOTES else ()), *said.notes), said.faults)
    return Seen(piece.own.height, first, last, broken, said)


def joined(seen: Sequence[Seen]) -> list[Fault]:
    """The broken rules of all pieces: the first row of each, and all rows."""
    found: dict[str, Fault] = {}
    for fault in (fault for one in seen for fault in one.broken):
        known = found.get(fault.expected)
        found[fault.expected] = replace(known, rows=known.rows + fault.rows) if known else fault
    return list(found.values())


def told(seen: Sequence[Seen], kind: str) -> tuple[str, ...]:
    """Sentences about all pieces: once what is said of each, with its time what is said of some."""
    every = [getattr(one.said, kind) for one in seen]
    everywhere = [text for text in every[0] if all(text in texts for texts in every)]
    some = [
        f"{one.first:%Y-%m-%d %H:%M} to {one.last:%Y-%m-%d %H:%M}: {text}"
        for one, texts in zip(seen, every, strict=True)
        for text in texts
        if text not in everywhere
    ]
    return (*everywhere, *some)
