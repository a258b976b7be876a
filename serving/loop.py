"""The one loop: each step of the feed through the pipeline, and its outcome onto the board.

Decided here: all work on buffers and models happens on one worker thread, so that nothing needs a lock and the event loop
stays free to answer; a step that fails is counted and said, and the last good plan stays.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import polars as pl

from data.errors import DataError
from serving.dataplane import DataPlane
from serving.errors import RefusedError
from serving.feeds import Feed, Step
from serving.gateway import Report
from serving.observations import newest_known, read_observations
from serving.pipeline import Pipeline
from serving.state import Board

LOG = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class Sidecar:
    """A feed, a pipeline, the board that the API reads, the data planes that enforce plans, and the thread that works."""

    feed: Feed
    pipeline: Pipeline
    board: Board
    planes: tuple[DataPlane, ...] = ()
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="shaper"))
    has_failed: bool = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Step in the background while the context is open; a step under way is finished before it closes."""
        for plane in self.planes:
            await plane.open()
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            for plane in self.planes:
                await plane.close()
            await asyncio.to_thread(self.thread.shutdown, cancel_futures=True)

    async def run(self) -> None:
        """Step until the feed ends."""
        try:
            async for step in self.feed.steps():
                await self.advance(step)
        except Exception as error:
            LOG.exception("the feed failed")
            self.has_failed = True
            self.board.note("feed", f"failed: {type(error).__name__}: {error}")
            return
        self.board.note("feed", f"the recording ended at {self.feed.now().isoformat()}")
        LOG.info("the recording ended at %s", self.feed.now().isoformat())

    async def advance(self, step: Step) -> None:
        """Work one step and show what came of it."""
        try:
            for plane in self.planes:
                report = await plane.report()
                if report is not None:
                    await self.report(report)
            update = await self.work(lambda: self.pipeline.step(step.at, step.frames))
            if update.plan is not None:
                for plane in self.planes:
                    await plane.apply(update.plan)
        except Exception as error:
            LOG.exception("a step failed; the last good plan stays")
            self.pipeline.metrics.failures.inc()
            self.board.note("step", f"failed at {step.at.isoformat()}: {type(error).__name__}: {error}")
            return
        for line in self.board.post(update):
            LOG.info("%s: %s", update.at.isoformat(), line)

    async def observe(self, body: bytes) -> dict[str, int]:
        """Take posted rows, all or none; returns their number by table. Raises RefusedError or DataError."""
        if not self.feed.takes_posts:
            raise RefusedError(
                "/v1/observations",
                expected='feed.kind = "none"',
                found="a feed that plays recorded history",
                remedy="change feed.kind, or let the history play",
                status=409,
            )
        try:
            frames = await self.work(lambda: self.take(body))
        except DataError:
            self.pipeline.metrics.refused.inc()
            raise
        self.feed.heard(newest_known(frames))
        return {name: frame.height for name, frame in frames.items()}

    def take(self, body: bytes) -> dict[str, pl.DataFrame]:
        """Read and take posted rows, on the worker thread."""
        frames = read_observations(body, datetime.now(UTC))
        self.pipeline.take(frames)
        return frames

    async def report(self, report: Report) -> None:
        """Take what the gateway says of itself. Raises RefusedError."""
        at_s = self.feed.now().timestamp()
        await self.work(lambda: self.pipeline.gateway.take(report, at_s))

    async def work(self, job: Callable[[], T]) -> T:
        """Do a job on the worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, job)
