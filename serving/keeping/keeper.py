"""Keeping the state of a running sidecar, in a thread of its own.

Decided here: when a snapshot is due (after a while, when the journal has grown, when an operator pinned something, at the end),
and that the disk holds nothing up: rows that it does not take in time are not journalled, which is said, and the next snapshot has
them anyway.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from data.errors import DataError
from serving.keeping.kept import Capture, Kept, captured, packed, restore, unpacked
from serving.keeping.store import Store
from serving.pipeline import Pipeline

LOG = logging.getLogger(__name__)
MOST_WAITING = 200  # requests' rows that wait for the disk


@dataclass
class Keeper:
    """A store, how often it is to have a snapshot, and how long its journal may become; `now_s` never jumps."""

    store: Store
    every_s: float
    journal_bytes: int
    now_s: Callable[[], float]
    saved_s: float = float("-inf")
    asked: bool = False
    journal_fault: str | None = None
    snapshot_fault: str | None = None
    waiting: deque[Mapping[str, pl.DataFrame]] = field(default_factory=deque)
    under_way: "Future[None] | None" = None
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="state"))

    @property
    def fault(self) -> str | None:
        """What cannot be kept now."""
        return self.snapshot_fault or self.journal_fault

    def restore(self, pipeline: Pipeline, at: datetime) -> tuple[Kept | None, str]:
        """Put a pipeline back where the last process left it; returns the snapshot, and in words what was found."""
        kept, wrong = self.store.load()
        if wrong is not None:
            LOG.warning("state: the snapshot cannot be used: %s", wrong)
        try:
            if kept is not None:
                restore(pipeline, kept, at)
            replayed = sum(self.replay(pipeline, rows) for rows in self.store.entries(kept.generation if kept else 0))
        except (DataError, ValueError, pl.exceptions.PolarsError) as error:
            return kept, f"only a part of the last state could be used: {error}"
        if kept is None:
            return None, f"no snapshot ({wrong or 'none was made'}), {replayed} rows from the journal"
        return kept, f"back from a snapshot {at.timestamp() - kept.at_s:.1f} s old and {replayed} rows from the journal"

    def replay(self, pipeline: Pipeline, rows: Mapping[str, bytes]) -> int:
        """Take rows that came after the snapshot; returns how many."""
        frames = {name: unpacked(content) for name, content in rows.items()}
        pipeline.take(frames)
        return sum(frame.height for frame in frames.values())

    def rows(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Have rows journalled."""
        if len(self.waiting) >= MOST_WAITING:
            self.journal_fault = f"the disk is too slow: {len(self.waiting)} requests' rows wait for the journal"
            return
        self.waiting.append(frames)
        self.thread.submit(self.drain)

    def drain(self) -> None:
        """Write what waits into the journal, as long as that is short enough."""
        try:
            while self.waiting:
                frames = self.waiting.popleft()
                if self.store.total < 4 * self.journal_bytes:  # else snapshots have failed for long
                    self.store.append({name: packed(frame) for name, frame in frames.items()})
            self.journal_fault = None
        except OSError as error:
            self.journal_fault = f"rows cannot be journalled: {error}"

    def due(self) -> bool:
        """Whether a snapshot is due and none is under way."""
        if self.under_way is not None and not self.under_way.done():
            return False
        grown = self.store.total >= self.journal_bytes
        return self.asked or grown or self.now_s() - self.saved_s >= self.every_s

    def capture(self, pipeline: Pipeline, at_s: float, plan: bytes | None) -> Capture:
        """The state now, on the thread that changes it; rows from now on go to the next journal."""
        generation = self.store.generation + 1
        self.thread.submit(self.turn, generation)
        return captured(pipeline, at_s, generation, plan)

    def turn(self, generation: int) -> None:
        """Write what waits into the journal that it belongs to, and begin the next."""
        self.drain()
        try:
            self.store.turn(generation)
        except OSError as error:
            self.journal_fault = f"a journal cannot be finished: {error}"

    def save(self, capture: Capture) -> None:
        """Have a snapshot written."""
        self.saved_s, self.asked = self.now_s(), False
        self.under_way = self.thread.submit(self.write, capture)

    def write(self, capture: Capture) -> None:
        """Write a snapshot."""
        try:
            self.store.save(capture.bytes(), capture.kept.generation)
            self.snapshot_fault = None
        except OSError as error:
            self.snapshot_fault = f"a snapshot cannot be written: {error}"
        except Exception as error:
            LOG.exception("a snapshot failed")
            self.snapshot_fault = f"a snapshot failed: {type(error).__name__}: {error}"

    def close(self) -> None:
        """Finish what was begun."""
        self.thread.shutdown()
        self.store.close()
