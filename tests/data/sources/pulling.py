"""Run the engine in a test: without waiting, and with every pause written down."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from data.lake.append import append
from data.sources.engine import Append, Outcome, Silent, Source, Store, pull
from data.sources.web import Manners, Web

QUICK = Manners(attempts=3, concurrency=3, timeout_s=5.0)


@dataclass
class Sleeps:
    """A sleep that takes no time and remembers how long it should have been."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def run_pull(
    source: Source, folder: Path, manners: Manners = QUICK, appending: Append = append, again: bool = False
) -> Outcome:
    """Pull a source into a folder."""

    async def run() -> Outcome:
        async with Web(manners, Sleeps()) as web:
            # No pause may hold the gate: time does not pass while a test sleeps.
            web.gate.clock = skipping_clock()
            return await pull(source, Store(folder, appending, again), web, Silent())

    return asyncio.run(run())


def skipping_clock() -> Callable[[], float]:
    """A clock that goes on by an hour each time it is read."""
    now = 0.0

    def read() -> float:
        nonlocal now
        now += 3600.0
        return now

    return read


def table(folder: Path, name: str) -> pl.DataFrame:
    """All rows of a table of the lake, in order, without their origin."""
    from data.history import History

    return History.open(folder).scan(name).collect()


def origins(folder: Path, name: str) -> set[str]:
    """Origins of the rows of a table."""
    paths = sorted((folder / name).rglob("*.parquet"))
    return set(pl.concat([pl.read_parquet(path, hive_partitioning=False)["origin"] for path in paths]))
