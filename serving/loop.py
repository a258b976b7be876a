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
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TypeVar

import msgspec
import polars as pl

from data.errors import DataError
from serving.audit.trail import Trail
from serving.dataplane import DataPlane, DataPlaneError
from serving.errors import RefusedError
from serving.feeds import Feed, Step
from serving.gateway import Report
from serving.keeping.keeper import Keeper
from serving.observations import newest_known, read_observations
from serving.pipeline import Pipeline
from serving.planes import Link, ask
from serving.series import Series
from serving.state import Board, Update
from serving.tracing import Tracer, Untraced
from shaper import solvers
from shaper.plan import Plan

LOG = logging.getLogger(__name__)
SLOW_S = 5.0  # a step that takes longer is said to hang
DISTRIBUTION = "derivatives-traffic-shaper"
T = TypeVar("T")


@dataclass
class Sidecar:
    """A feed, a pipeline, the board that the API reads, the data planes that enforce plans, and the thread that works.

    Without a `trail` nothing is recorded, without a `keeper` nothing survives a restart.
    `stopped_by` is why it could not start; the process ends with it.
    """

    feed: Feed
    pipeline: Pipeline
    board: Board
    planes: tuple[DataPlane, ...] = ()
    trail: Trail | None = None
    keeper: Keeper | None = None
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="shaper"))
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    tracer: Tracer = field(default_factory=Untraced)
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
            self.begin_trail()
            await self.come_back()
            self.name_model()
            task = asyncio.create_task(self.run())
            yield
        finally:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await asyncio.gather(*(link.close() for link in self.links))
            if self.keeper is not None and task is not None:
                await self.keep(self.keeper)
                await asyncio.to_thread(self.keeper.close)
            await asyncio.to_thread(self.thread.shutdown, cancel_futures=True)
            if self.trail is not None:
                await asyncio.to_thread(self.trail.close)
            await asyncio.to_thread(self.tracer.close)

    async def come_back(self) -> None:
        """Go on where the last process ended, with its plan as long as that holds."""
        keeper, at = self.keeper, self.feed.now()
        if keeper is None:
            return
        kept, said = await self.work(lambda: keeper.restore(self.pipeline, at))
        self.board.say("state", said)
        newest = self.pipeline.panel.newest
        if newest is not None:
            self.feed.heard(newest)
        if kept is not None and kept.plan is not None:
            self.board.resume(kept.plan)

    async def keep(self, keeper: Keeper) -> None:
        """Have the state kept as it is now."""
        at_s, plan = self.board.now_s(), self.board.plan
        keeper.save(await self.work(lambda: keeper.capture(self.pipeline, at_s, plan)))

    def begin_trail(self) -> None:
        """Record what runs from now on."""
        if self.trail is None:
            return
        contract, torn = self.pipeline.forecaster.contract, self.trail.files.cut_bytes
        if torn:
            self.board.say("audit", f"{torn} bytes of a torn last record were cut off")
        started = {"version": version(DISTRIBUTION), "model": contract.name, "contract": contract.digest}
        self.trail.start(self.board.now_s(), self.pipeline.venue, started)

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
        await self.work(solvers.load)
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
        async with self.turn:
            self.note_clock(step)
            await self.ask_planes(step.at.timestamp())
            await self.make(step.at, lambda: self.pipeline.step(step.at, step.frames))

    async def make(self, at: datetime, job: Callable[[], Update]) -> None:
        """Make a plan and have it enforced; while that takes too long, and when it fails, the last good one stays."""
        try:
            with self.tracer.span("step") as span:
                update = await self.watched(at, job)
                span.tell({"at": at.isoformat(), "stage": update.plan.stage if update.plan else "none"})
        except Exception as error:
            LOG.exception("a step failed; the last good plan stays")
            self.pipeline.metrics.failures.inc()
            self.board.note("step", f"failed at {at.isoformat()}: {type(error).__name__}: {error}")
            return
        self.series.take(update)
        self.board.post(update)
        if update.plan is not None:
            self.record(update)
            with self.tracer.span("data planes") as span:
                span.tell({"plan": self.board.plan_id or "", "planes": len(self.links)})
                await self.tell_planes(update.plan)
        await self.work(self.pipeline.shadow)
        self.tell_models()
        if self.keeper is not None:
            self.board.note("state", self.keeper.fault)
            if self.keeper.due():
                await self.keep(self.keeper)

    def tell_models(self) -> None:
        """Say and record what became of models."""
        for change in self.pipeline.swapper.changed():
            self.pipeline.metrics.model_changes.labels(change.change).inc()
            self.board.say("model", f"{change.model} {change.change}: {change.why}")
            self.name_model()
            if self.trail is not None:
                self.trail.record(self.board.now_s(), "model", change)

    def name_model(self) -> None:
        """Show which model leads."""
        contract = self.pipeline.forecaster.contract
        self.pipeline.metrics.build.clear()
        self.pipeline.metrics.build.labels(version(DISTRIBUTION), contract.name, contract.digest[:12]).set(1)

    def record(self, update: Update) -> None:
        """Have a plan recorded with what it was made of, and say when that fails."""
        if self.trail is None or update.plan is None or update.inputs is None:
            return
        self.trail.plan(update.inputs, update.plan)
        self.board.note("audit", self.trail.fault)

    def refused(self, kind: str, error: DataError) -> None:
        """Count something that was refused."""
        if self.trail is not None:
            self.trail.refusal(kind, str(error))

    async def watched(self, at: datetime, job: Callable[[], Update]) -> Update:
        """The outcome of a step; it is said when that takes too long. There is no other worker, so it is waited for."""
        task = asyncio.ensure_future(self.work(job))
        try:
            ended, _ = await asyncio.wait({task}, timeout=SLOW_S)
            if not ended:
                self.pipeline.metrics.failures.inc()
                self.board.note(
                    "step", f"of {at.isoformat()} has not ended after {SLOW_S:g} s; the last good plan stays"
                )
            return await task
        except asyncio.CancelledError:
            task.cancel()
            raise

    def note_clock(self, step: Step) -> None:
        """Say that the clock has jumped; a calm step later it is no news any more."""
        if step.jump_s:
            self.pipeline.metrics.clock_jumps.inc()
            self.board.note("clock", f"it jumped by {step.jump_s:+.0f} s, to {step.at.isoformat()}; plans follow it")
        else:
            self.board.note("clock", None)

    async def ask_planes(self, at_s: float) -> None:
        """Believe what the data planes report now; a report of what cannot be is said and passed over.

        A played history brings its own demand: what passes through a data plane meanwhile is not of its time.
        """
        report = await ask(self.links)
        if report is not None and not self.feed.takes_posts:
            report = msgspec.structs.replace(report, demand_per_s=None, queued={})
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
        except DataError as error:
            self.pipeline.metrics.refused.inc()
            self.refused("observations", error)
            raise
        self.feed.heard(newest_known(frames))
        return {name: frame.height for name, frame in frames.items()}

    def take(self, body: bytes) -> dict[str, pl.DataFrame]:
        """Read and take posted rows, on the worker thread."""
        frames = read_observations(body, datetime.now(UTC))
        self.pipeline.take(frames)
        if self.keeper is not None:
            self.keeper.rows(frames)
        return frames

    async def report(self, report: Report) -> None:
        """Take what the gateway says of itself. Raises RefusedError."""
        at_s = self.feed.now().timestamp()
        try:
            await self.work(lambda: self.pipeline.gateway.take(report, at_s))
        except DataError as error:
            self.refused("report", error)
            raise

    async def plan_again(self) -> None:
        """Make a plan between two steps, where one was made before, for something else has changed than what is measured."""
        if self.board.newest is None:
            return
        async with self.turn:
            at = max(self.feed.now(), self.board.newest.at)
            await self.make(at, lambda: self.pipeline.again(at))

    def settle(self, period_s: float) -> None:
        """Step as often as the settings say now, and record the venue that plans are for."""
        self.feed.period_s = period_s
        if self.trail is not None:
            self.trail.settle(self.board.now_s(), self.pipeline.venue)

    async def work(self, job: Callable[[], T]) -> T:
        """Do a job on the worker thread."""
        inside = copy_context()  # the span that is open, for those opened in the job
        return await asyncio.get_running_loop().run_in_executor(self.thread, lambda: inside.run(job))
