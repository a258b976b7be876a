"""Pull a source into a lake: bounded concurrency, resume, nothing half-written.

Decided here: what a source has to offer (parts with lasting keys), in which order things happen (fetch, append,
journal), and when a pull gives up (after three parts that failed for good; the others are kept).
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from data.errors import DataError
from data.sources.journal import Entry, Journal
from data.sources.web import AbsentError, Web

MOST_FAILURES = 3


@dataclass(frozen=True)
class Rows:
    """Rows of one canonical table and where they came from."""

    table: str
    frame: pl.DataFrame
    origin: str


@dataclass(frozen=True)
class Fetched:
    """What a part held. A part that may still grow is not `complete` and is pulled again next time."""

    rows: tuple[Rows, ...]
    complete: bool = True


class Part(Protocol):
    """A piece of a source that is fetched at once. Equal keys mean equal rows, for ever."""

    @property
    def key(self) -> str:
        """Name of the part in the journal."""
        ...

    async def fetch(self, web: Web) -> Fetched:
        """Get the rows. Raises AbsentError when the source does not have the part, DataError when it is unusable."""
        ...


class Source(Protocol):
    """Something that history can be pulled from."""

    async def parts(self, web: Web) -> Sequence[Part]:
        """The parts of what was asked for, oldest first."""
        ...


class Appended(Protocol):
    """What became of rows in the lake: written, there already, or set aside with the reason."""

    @property
    def new(self) -> int:
        """Rows that were written."""
        ...

    @property
    def known(self) -> int:
        """Rows that were there."""
        ...

    @property
    def conflicting(self) -> int:
        """Rows that contradict known ones."""
        ...

    @property
    def broken(self) -> int:
        """Rows that break a rule of their table."""
        ...


Append = Callable[[Path, str, pl.DataFrame, str], Appended]


class Progress(Protocol):
    """Somebody who wants to know how far a pull is."""

    def begin(self, parts: int, finished: int) -> None:
        """There are so many parts, some of them finished earlier."""
        ...

    def advance(self, key: str) -> None:
        """One more part is dealt with."""
        ...


class Silent:
    """Progress that nobody watches."""

    def begin(self, parts: int, finished: int) -> None:
        """Say nothing."""

    def advance(self, key: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Store:
    """Where rows go: a folder, the function that appends to it, and whether to pull finished parts `again`."""

    folder: Path
    append: Append
    again: bool = False

    @property
    def journal(self) -> Journal:
        """The record of finished parts, beside the tables."""
        return Journal(self.folder / ".pull" / "journal.jsonl")

    def keep(self, part: Part, fetched: Fetched) -> list[tuple[str, Appended]]:
        """Append the rows of a part, then record it; returns what became of them by table."""
        kept = [(rows.table, self.append(self.folder, rows.table, rows.frame, rows.origin)) for rows in fetched.rows]
        if fetched.complete:
            count = sum(rows.frame.height for rows in fetched.rows)
            self.journal.add(Entry(part.key, count, datetime.now(UTC).isoformat(timespec="seconds")))
        return kept


@dataclass
class Counts:
    """Rows of one table: written, there already, in quarantine for either reason."""

    new: int = 0
    known: int = 0
    conflicting: int = 0
    broken: int = 0

    def add(self, appended: Appended) -> None:
        """Count one more append."""
        self.new += appended.new
        self.known += appended.known
        self.conflicting += appended.conflicting
        self.broken += appended.broken


@dataclass
class Outcome:
    """What a pull did: parts in all, parts finished earlier, parts the source lacks, failures, rows by table."""

    parts: int = 0
    skipped: int = 0
    absent: list[str] = field(default_factory=list)
    failures: list[DataError] = field(default_factory=list)
    tables: dict[str, Counts] = field(default_factory=dict)

    def count(self, kept: Sequence[tuple[str, Appended]]) -> None:
        """Count the rows of one part."""
        for table, appended in kept:
            self.tables.setdefault(table, Counts()).add(appended)

    def require_success(self, where: str) -> None:
        """Raise the first failure, or DataError when the source had nothing of what was asked for."""
        if self.failures:
            raise self.failures[0]
        if self.parts and len(self.absent) == self.parts:
            raise DataError(
                where,
                expected="something to pull",
                found=f"none of {self.parts} parts, e.g. no {self.absent[0]}",
                remedy="check symbol, kind and dates",
            )


@dataclass(frozen=True)
class Pull:
    """One run of the engine."""

    store: Store
    web: Web
    progress: Progress
    outcome: Outcome = field(default_factory=Outcome)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def work(self, waiting: Iterator[Part]) -> None:
        """Take parts from a shared iterator until there are none, or too many failed."""
        for part in waiting:
            await self.one(part)
            self.progress.advance(part.key)
            if len(self.outcome.failures) >= MOST_FAILURES:
                return

    async def one(self, part: Part) -> None:
        """Fetch, append and record one part; its failure is kept for the end, so that the others are pulled."""
        try:
            fetched = await part.fetch(self.web)
            async with self.writing:
                self.outcome.count(await asyncio.to_thread(self.store.keep, part, fetched))
        except AbsentError:
            self.outcome.absent.append(part.key)
        except DataError as error:
            self.outcome.failures.append(error)


async def pull(source: Source, store: Store, web: Web, progress: Progress) -> Outcome:
    """Pull what is not yet finished; returns what was done. Failures of single parts are in the outcome.

    Raises DataError when the parts themselves cannot be found out.
    """
    try:
        parts = await source.parts(web)
    except AbsentError as absent:
        raise DataError(
            str(absent), expected="a source", found="404 Not Found", remedy="check the address and the names"
        ) from absent
    finished = frozenset[str]() if store.again else await asyncio.to_thread(store.journal.finished)
    waiting = [part for part in parts if part.key not in finished]
    run = Pull(store, web, progress)
    run.outcome.parts, run.outcome.skipped = len(parts), len(parts) - len(waiting)
    progress.begin(len(parts), run.outcome.skipped)
    await together(run, iter(waiting), min(web.manners.concurrency, len(waiting)))
    return run.outcome


async def together(run: Pull, waiting: Iterator[Part], workers: int) -> None:
    """Let so many workers share the parts; the first unexpected error ends them all."""
    tasks = [asyncio.create_task(run.work(waiting)) for _ in range(workers)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
