"""Where rows and the time come from: a recorded history that is played, or rows that are posted.

Decided here: when a step is due, and which rows a live system would have had by then. Every feed steps on multiples of its
period since 1970, so that steps fall on tick ends. A wall clock that jumps, either way, is followed at once and never slept for.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import polars as pl

from serving.recording import Recording

JUMP_S = 2.0  # a wall clock that has moved this much against one that only ticks has been set


@dataclass(frozen=True)
class Step:
    """A time at which to plan, the rows that became known since the step before, and how far the clock has jumped since."""

    at: datetime
    frames: Mapping[str, pl.DataFrame]
    jump_s: float = 0.0


class Feed(Protocol):
    """A source of time and rows."""

    takes_posts: bool
    period_s: float

    def now(self) -> datetime:
        """The time on the feed's clock."""
        ...

    def steps(self) -> AsyncIterator[Step]:
        """Steps as they fall due, until the feed has ended (or for ever)."""
        ...

    def heard(self, known_at: datetime) -> None:
        """Rows known at a time were posted."""
        ...


@dataclass
class HistoryFeed:
    """A recording played at `speed` seconds a second from its start; a step that takes too long delays those after it."""

    recording: Recording
    period_s: float
    speed: float
    takes_posts: bool = field(default=False, init=False)
    played: datetime | None = field(default=None, init=False)
    since: float = field(default=0.0, init=False)

    def now(self) -> datetime:
        """The time played to; between steps it goes on at the feed's speed, but not past the next step."""
        if self.played is None:
            return self.recording.start
        gone_s = min((time.monotonic() - self.since) * self.speed, self.period_s)
        return self.played + timedelta(seconds=gone_s)

    async def steps(self) -> AsyncIterator[Step]:
        """One step a period until the recording ends; the first brings the look-back."""
        due = time.monotonic()
        at = ceil(self.recording.start, self.period_s)
        last: datetime | None = None
        while at <= self.recording.end:
            frames = await asyncio.to_thread(self.recording.rows, last, at)
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            self.played, self.since = at, time.monotonic()
            yield Step(at, frames)
            last, at = at, at + timedelta(seconds=self.period_s)
            due = max(due + self.period_s / self.speed, time.monotonic() - 1.0)

    def heard(self, known_at: datetime) -> None:
        """Nothing is posted to a recording."""


def utc_now() -> datetime:
    """The wall clock's time."""
    return datetime.now(UTC)


@dataclass
class WallFeed:
    """Posted rows under the wall clock: a step is due `settle_s` after each period's end, so that its rows can arrive.

    `now` is the clock on the wall, `steady_s` one that nobody sets.
    """

    period_s: float
    settle_s: float
    now: Callable[[], datetime] = utc_now
    steady_s: Callable[[], float] = time.monotonic
    takes_posts: bool = field(default=True, init=False)

    async def steps(self) -> AsyncIterator[Step]:
        """One step a period, for ever; periods that passed during a step are left out."""
        settle = timedelta(seconds=self.settle_s)
        at = floor(self.now() - settle, self.period_s)
        apart_s = self.apart_s()
        while True:
            wait_s = (at + settle - self.now()).total_seconds()
            await asyncio.sleep(min(max(wait_s, 0.0), self.period_s + self.settle_s))
            jump_s, apart_s = self.apart_s() - apart_s, self.apart_s()
            jumped = abs(jump_s) >= JUMP_S
            at = floor(self.now() - settle, self.period_s) if jumped else at
            yield Step(at, {}, jump_s if jumped else 0.0)
            at = max(at + timedelta(seconds=self.period_s), floor(self.now() - settle, self.period_s))

    def apart_s(self) -> float:
        """How far the wall clock is from the steady one."""
        return self.now().timestamp() - self.steady_s()

    def heard(self, known_at: datetime) -> None:
        """The wall clock does not follow rows."""


@dataclass
class RowsFeed:
    """Posted rows that carry the time with them: it is when the newest of them was known."""

    period_s: float
    takes_posts: bool = field(default=True, init=False)
    newest: datetime | None = field(default=None, init=False)
    news: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def now(self) -> datetime:
        """The time of the newest row, the wall clock's before the first."""
        return self.newest or datetime.now(UTC)

    async def steps(self) -> AsyncIterator[Step]:
        """One step for the newest period that rows have ended, whenever they end one."""
        last: datetime | None = None
        while True:
            await self.news.wait()
            self.news.clear()
            at = floor(self.now(), self.period_s)
            if last is None or at > last:
                last = at
                yield Step(at, {})

    def heard(self, known_at: datetime) -> None:
        """Move the time on to a row's."""
        self.newest = known_at if self.newest is None else max(known_at, self.newest)
        self.news.set()


def floor(at: datetime, period_s: float) -> datetime:
    """The newest multiple of a period since 1970 that is not after a time."""
    return datetime.fromtimestamp(at.timestamp() // period_s * period_s, UTC)


def ceil(at: datetime, period_s: float) -> datetime:
    """The oldest multiple of a period since 1970 that is not before a time."""
    return datetime.fromtimestamp(-(-at.timestamp() // period_s) * period_s, UTC)
