"""Ranges of time that are asked for one by one.

Decided here: ranges lie on a fixed grid, so that overlapping requests share them, and a range is finished only when it
lies wholly in the past of the server.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from data.errors import UsageError
from data.sources.engine import Fetched, Rows
from data.sources.web import Web

Ask = Callable[[Web, "Chunk"], Awaitable[tuple[Rows, ...]]]


@dataclass(frozen=True)
class Chunk:
    """Milliseconds [start, end) since 1970."""

    start: int
    end: int


@dataclass(frozen=True)
class ChunkPart:
    """One range of one stream of rows; rows of times before `now` (ms by the server's clock) change no more."""

    stream: str
    chunk: Chunk
    now: int
    ask: Ask

    @property
    def key(self) -> str:
        """Lasting name: stream and range."""
        return f"{self.stream}/{self.chunk.start}-{self.chunk.end}"

    async def fetch(self, web: Web) -> Fetched:
        """The rows of the range; complete when it is over."""
        return Fetched(await self.ask(web, self.chunk), complete=self.chunk.end <= self.now)


def chunks(since: datetime, until: datetime, step_ms: int) -> list[Chunk]:
    """The ranges of a grid that cover [since, until), cut at its ends."""
    first, last = milliseconds(since), milliseconds(until)
    if first >= last:
        raise UsageError(
            "--until", expected=f"a time after {since:%F %T}", found=f"{until:%F %T}", remedy="give a later time"
        )
    starts = range(first - first % step_ms, last, step_ms)
    return [Chunk(max(start, first), min(start + step_ms, last)) for start in starts]


def milliseconds(at: datetime) -> int:
    """Milliseconds since 1970."""
    return round(at.timestamp() * 1000)


def at(ms: int) -> datetime:
    """The time of so many milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)
