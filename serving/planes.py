"""Data planes at work: every call within a deadline, none while one is under way, fewer while they fail.

Decided here: a data plane that fails is asked again after 1, 2, 4, … 60 s, and counts as well only after three calls in a row
that went well; until then its report is not believed, but plans are sent. What several planes report is joined field by field:
the first one in the list that tells a number is believed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from serving.dataplane import DataPlane, DataPlaneError
from serving.gateway import Report
from shaper.plan import Plan

LOG = logging.getLogger(__name__)
T = TypeVar("T")
OPEN_S, REPORT_S, APPLY_S, CLOSE_S = 5.0, 0.25, 1.0, 30.0  # deadlines; to close may mean to finish accepted orders
LONGEST_PAUSE_S = 60.0
GOOD_IN_A_ROW = 3
Failed = Callable[[str, str], None]  # told the plane's name and the operation that failed


@dataclass
class Link:
    """One data plane and how it has behaved; `now_s` is a clock that never jumps."""

    plane: DataPlane
    now_s: Callable[[], float]
    failed: Failed
    opened: bool = False
    failures: int = 0
    owed: int = 0
    retry_s: float = float("-inf")
    fault: str | None = None
    under_way: "asyncio.Task[Any] | None" = field(default=None, repr=False)

    @property
    def well(self) -> bool:
        """Whether its report may be believed."""
        return self.opened and self.fault is None

    async def open(self) -> None:
        """Open it. Raises DataPlaneError when that will never work; being slow is a failure like any other."""
        await self.call("open", self.plane.open, OPEN_S, fatal=True)

    async def report(self) -> Report | None:
        """What it measures, None while it fails or cannot tell."""
        told = await self.ready_call("report", self.plane.report, REPORT_S)
        return told if self.well else None

    async def apply(self, plan: Plan) -> None:
        """Send it a plan, unless it is to be left alone for now."""
        await self.ready_call("apply", lambda: self.plane.apply(plan), APPLY_S)

    async def close(self) -> None:
        """Let go of it, whatever state it is in."""
        if self.under_way is not None:
            self.under_way.cancel()
            await asyncio.wait({self.under_way}, timeout=APPLY_S)
            self.under_way = None
        await self.call("close", self.plane.close, CLOSE_S)

    async def ready_call(self, what: str, job: Callable[[], Awaitable[T]], deadline_s: float) -> T | None:
        """Do a job unless a failure is too recent; a plane whose opening failed is opened first."""
        if self.now_s() < self.retry_s:
            return None
        if not self.opened:
            await self.call("open", self.plane.open, OPEN_S)
        return await self.call(what, job, deadline_s) if self.opened else None

    async def call(
        self, what: str, job: Callable[[], Awaitable[T]], deadline_s: float, fatal: bool = False
    ) -> T | None:
        """Do a job within its deadline; one that goes on after it is cancelled, and nothing else begins before it has ended."""
        if self.under_way is not None and not self.under_way.done():
            self.worse(what, "an earlier call has not ended")
            return None
        task: asyncio.Task[T] = asyncio.create_task(done(job))
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # also where nobody waits any more
        self.under_way = task
        try:
            ended, _ = await asyncio.wait({task}, timeout=deadline_s)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not ended:
            task.cancel()
            self.worse(what, f"no answer within {deadline_s:g} s")
            return None
        self.under_way = None
        error = task.exception()
        if fatal and isinstance(error, DataPlaneError):
            raise error
        if error is not None:
            self.worse(what, str(error) if isinstance(error, DataPlaneError) else f"{type(error).__name__}: {error}")
            return None
        self.better()
        self.opened = self.opened or what == "open"
        return task.result()

    def worse(self, what: str, found: str) -> None:
        """Count a failure and leave the plane alone for a while."""
        pause_s = min(2.0**self.failures, LONGEST_PAUSE_S)
        self.failures, self.owed, self.retry_s = self.failures + 1, GOOD_IN_A_ROW, self.now_s() + pause_s
        self.fault = f"{what}: {found}"
        self.failed(self.plane.name, what)

    def better(self) -> None:
        """Count a call that went well; the last of those owed ends the fault."""
        self.owed = max(self.owed - 1, 0)
        if self.owed == 0:
            self.failures, self.fault = 0, None


async def done(job: Callable[[], Awaitable[T]]) -> T:
    """The outcome of a job, as a coroutine that a task may be made of; a job that cancels itself has failed."""
    try:
        return await job()
    except asyncio.CancelledError as error:
        raise DataPlaneError("it was cancelled") from error


async def ask(links: Sequence[Link]) -> Report | None:
    """What the planes report, joined; None when none tells anything."""
    told = [report for report in await asyncio.gather(*(link.report() for link in links)) if report is not None]
    return merged(told) if told else None


def merged(reports: Sequence[Report]) -> Report:
    """One report of several: of each number the first that is told, of queues the sums by tier."""
    first = {
        name: next((value for report in reports if (value := getattr(report, name)) is not None), None)
        for name in Report.__struct_fields__
        if name != "queued"
    }
    queued: dict[str, float] = {}
    for report in reports:
        for tier, orders in report.queued.items():
            queued[tier] = queued.get(tier, 0.0) + orders
    return Report(queued=queued, **first)
