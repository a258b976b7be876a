"""The one loop: each step of the feed through the pipeline, and its outcome onto the board.

Decided here: all work on buffers and models happens on one worker thread, so that nothing needs a lock and the event loop
stays free to answer; a step that fails is counted and said, and the last good plan stays. Data planes are asked before each
step and told after it, within their deadlines.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import polars as pl

from data.errors import DataError
from serving.dataplane import DataPlane, DataPlaneError
from serving.errors import RefusedError
from serving.feeds import Feed, Step
from serving.gateway import Report
from serving.observations import newest_known, read_observations
from serving.pipeline import Pipeline
from serving.planes import Link, ask
from serving.series import Series
from serving.state import Board
from shaper.plan import Plan

LOG = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class Sidecar:
    """A feed, a pipeline, the board that the API reads, the data planes that enforce plans, and the thread that works.

    `stopped_by` is why it could not start; the process ends with it.
    """

    feed: Feed
    pipeline: Pipeline
    board: Board
    planes: tuple[DataPlane, ...] = ()
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="shaper"))
    has_failed: bool = False
    stopped_by: DataPlaneError | None = None
    links: tuple[Link, ...] = field(init=False)
    series: Series = field(init=False)

    def __post_init__(self) -> None:
        """Watch over each data plane."""
        self.series = Series(self.pipeline)
        failures = self.pipeline.metrics.plane_failures
        self.links = tuple(
            Link(plane, time.monotonic, lambda name, what: failures.labels(name, what).inc()) for plane in self.planes
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the data planes and step in the background while the context is open; a step under way is finished first.

        Raises DataPlaneError when a data plane says that it will never open.
        """
        task: asyncio.Task[None] | None = None
        try:
            await self.open_planes()
            task = asyncio.create_task(self.run())
            yield
        finally:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await asyncio.gather(*(link.close() for link in self.links))
            await asyncio.to_thread(self.thread.shutdown, cancel_futures=True)

    async def open_planes(self) -> None:
        """Open all data planes at once. Raises DataPlaneError."""
        try:
            await asyncio.gather(*(link.open() for link in self.links))
        except DataPlaneError as error:
            self.stopped_by = error
            raise
        finally:
            self.note_planes()

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
        """Work one step on what the data planes report, show what came of it, and have it enforced."""
        self.note_clock(step)
        await self.ask_planes(step.at.timestamp())
        try:
            update = await self.work(lambda: self.pipeline.step(step.at, step.frames))
        except Exception as error:
            LOG.exception("a step failed; the last good plan stays")
            self.pipeline.metrics.failures.inc()
            self.board.note("step", f"failed at {step.at.isoformat()}: {type(error).__name__}: {error}")
            return
        self.series.take(update)
        self.board.post(update)
        if update.plan is not None:
            await self.tell_planes(update.plan)

    def note_clock(self, step: Step) -> None:
        """Say that the clock has jumped; a calm step later it is no news any more."""
        if step.jump_s:
            self.pipeline.metrics.clock_jumps.inc()
            self.board.note("clock", f"it jumped by {step.jump_s:+.0f} s, to {step.at.isoformat()}; plans follow it")
        else:
            self.board.note("clock", None)

    async def ask_planes(self, at_s: float) -> None:
        """Believe what the data planes report now; a report of what cannot be is said and passed over."""
        report = await ask(self.links)
        try:
            if report is not None:
                await self.work(lambda: self.pipeline.gateway.take(report, at_s))
            self.board.note("report", None)
        except RefusedError as error:
            self.board.note("report", str(error))

    async def tell_planes(self, plan: Plan) -> None:
        """Have a plan enforced."""
        await asyncio.gather(*(link.apply(plan) for link in self.links))
        self.note_planes()

    def note_planes(self) -> None:
        """Say which data planes are not as they should be."""
        for link in self.links:
            self.board.note(f"plane {link.plane.name}", link.fault)
            self.pipeline.metrics.plane_up.labels(link.plane.name).set(link.well)

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
