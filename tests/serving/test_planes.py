import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from serving import planes
from serving.dataplane import DataPlaneError, RecordedPlane
from serving.feeds import Step
from serving.gateway import Report
from serving.loop import Sidecar
from serving.planes import Link, merged
from serving.state import Board
from shaper.plan import Plan
from tests.serving.made import START, counts
from tests.serving.test_pipeline import AT, TICK, metric


@dataclass
class Hanging(RecordedPlane):
    """A plane that answers nothing while it hangs, and that does not even end when it is told to."""

    hangs: bool = True
    stubborn: bool = False
    calls: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def apply(self, plan: Plan) -> None:
        self.calls += 1
        while self.hangs:
            try:
                await self.wake.wait()
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise
        await super().apply(plan)


@dataclass
class Clock:
    at_s: float = 0.0

    def __call__(self) -> float:
        return self.at_s


def ignored(*_: str) -> None:
    pass


def run(job: Callable[[], Any]) -> Any:
    return asyncio.run(job())


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planes, "APPLY_S", 0.01)


def with_planes(sidecar: Sidecar, *given: RecordedPlane) -> Sidecar:
    sidecar.pipeline.take({"request_counts": counts(START, 7200)})
    return Sidecar(sidecar.feed, sidecar.pipeline, Board(lambda: 0.0), given)


def test_a_plan_reaches_every_plane_and_their_reports_reach_the_plan(sidecar: Sidecar) -> None:
    first, second = RecordedPlane(told=Report(demand_per_s=90.0)), RecordedPlane("second")
    made = with_planes(sidecar, first, second)

    async def job() -> None:
        async with made.running():
            await made.advance(Step(AT, {}))

    run(job)
    assert first.plans == second.plans
    assert len(first.plans) == 1
    assert metric(made.pipeline, "shaper_demand_orders_per_second") == 90.0
    assert metric(made.pipeline, "shaper_data_plane_up", plane="second") == 1.0


def test_a_plane_that_refuses_is_named_counted_and_left_alone_while_the_others_go_on(sidecar: Sidecar) -> None:
    bad, good = RecordedPlane("bad", refusal="weight 300 is above 256"), RecordedPlane("good")
    made = with_planes(sidecar, bad, good)

    async def job() -> None:
        await made.open_planes()
        for tick in range(3):
            await made.advance(Step(AT + tick * TICK, {}))

    run(job)
    assert len(good.plans) == 3
    assert made.board.notes["plane bad"] == "apply: weight 300 is above 256"
    assert metric(made.pipeline, "shaper_data_plane_failures_total", plane="bad", call="apply") == 1
    assert [event.kind for event in made.board.events.events].count("plane bad") == 1


def test_a_plane_that_hangs_delays_a_plan_by_its_deadline_once(sidecar: Sidecar) -> None:
    made = with_planes(sidecar, Hanging("slow", stubborn=True))

    async def job() -> float:
        await made.open_planes()
        begun = asyncio.get_running_loop().time()
        for tick in range(3):
            await made.advance(Step(AT + tick * TICK, {}))
        took = asyncio.get_running_loop().time() - begun
        made.planes[0].hangs = False  # type: ignore[attr-defined]
        made.planes[0].wake.set()  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        return took

    assert run(job) < 5
    assert made.board.notes["plane slow"] == "apply: no answer within 0.01 s"
    assert made.planes[0].calls == 1  # type: ignore[attr-defined]


def test_pauses_double_up_to_a_minute_and_three_good_calls_end_a_fault() -> None:
    plane, clock, failed = RecordedPlane(told=Report(), refusal="no"), Clock(), []
    link = Link(plane, clock, lambda *call: failed.append(call))
    pauses = []

    async def job() -> None:
        await link.open()
        for _ in range(9):
            await link.apply(None)  # type: ignore[arg-type]
            pauses.append(link.retry_s - clock.at_s)
            clock.at_s = link.retry_s
        plane.refusal = None
        seen = [await link.report() for _ in range(4)]
        assert seen == [None, None, Report(), Report()]

    run(job)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert failed == [("recorded", "apply")] * 9
    assert link.fault is None


def test_a_plane_that_will_never_open_ends_the_start_and_one_that_is_slow_does_not() -> None:
    class Never(RecordedPlane):
        async def open(self) -> None:
            raise DataPlaneError("port 80 is taken")

    class Broken(RecordedPlane):
        tries = 0

        async def open(self) -> None:
            self.tries += 1
            if self.tries == 1:
                raise OSError("not yet")

    async def job() -> None:
        with pytest.raises(DataPlaneError, match="port 80"):
            await Link(Never(), Clock(), ignored).open()
        clock = Clock()
        link = Link(Broken(), clock, ignored)
        await link.open()
        assert link.fault == "open: OSError: not yet"
        await link.apply(None)  # type: ignore[arg-type]
        clock.at_s = 1.0
        await link.apply(None)  # type: ignore[arg-type]
        assert link.opened

    run(job)


def test_reports_are_joined_number_by_number() -> None:
    one, two = Report(None, {"maker": 1.0}, 3), Report(7.0, {"maker": 2.0, "taker": 4.0}, 9, 9)
    assert merged([one, two]) == Report(7.0, {"maker": 3.0, "taker": 4.0}, 3, 9)


def test_a_report_of_what_cannot_be_is_said_and_the_plan_is_made_without_it(sidecar: Sidecar) -> None:
    made = with_planes(sidecar, RecordedPlane(told=Report(queued={"gold": 1.0})))

    async def job() -> None:
        await made.open_planes()
        await made.advance(Step(AT, {}))

    run(job)
    assert made.board.plan is not None
    assert "gold" in made.board.notes["report"]


def test_a_step_that_hangs_is_said_while_it_does(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.loop.SLOW_S", 0.01)
    made, gate = with_planes(sidecar), threading.Event()
    step = made.pipeline.step

    def hanging(*args: Any) -> Any:
        gate.wait(20)
        return step(*args)

    monkeypatch.setattr(made.pipeline, "step", hanging)

    async def job() -> str:
        task = asyncio.create_task(made.advance(Step(AT, {})))
        while "step" not in made.board.notes:
            await asyncio.sleep(0.01)
        said = made.board.notes["step"]
        gate.set()
        await task
        return said

    assert "has not ended after 0.01 s; the last good plan stays" in run(job)
    assert made.board.plan is not None
    assert "step" not in made.board.notes
