import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from serving.capacity.processes import ProcessPlane
from serving.capacity.settings import Processes, process_rules
from serving.dataplane import DataPlaneError
from serving.gateway import Report
from tests.integration.parts import free_port
from tests.serving.keda.test_scaler import plan
from tests.serving.made import venue

LISTEN = "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)"
STUBBORN = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(sys.argv); time.sleep(60)"


def with_pool(job: Callable[[ProcessPlane], Awaitable[None]], code: str = LISTEN, **limits: float) -> ProcessPlane:
    own = Processes((sys.executable, "-S", "-c", code, "{port}"), free_port(), **limits)  # type: ignore[arg-type]
    plane = ProcessPlane(own, venue())

    async def whole() -> None:
        await plane.open()
        try:
            await job(plane)
        finally:
            await plane.close()

    asyncio.run(asyncio.wait_for(whole(), 60))
    return plane


async def warm(plane: ProcessPlane, units: int) -> Report:
    while (report := await plane.report()) is None or report.ready_units != units:
        await asyncio.sleep(0.01)
    return report


def test_units_are_processes_that_count_once_they_listen_and_end_with_the_pool() -> None:
    async def job(plane: ProcessPlane) -> None:
        await plane.apply(plan(3))
        first = await plane.report()
        assert first is not None
        assert first.ordered_units == 3
        assert await warm(plane, 3) == Report(ready_units=3, ordered_units=3)
        started = [worker.process.pid for worker in plane.workers]
        await plane.apply(plan(1))
        assert [worker.process.pid for worker in plane.workers] == started[:1]
        plane.workers[0].process.kill()
        await plane.workers[0].process.wait()
        assert await plane.report() == Report(ready_units=0, ordered_units=0)
        await plane.apply(plan(2))
        assert await warm(plane, 2) == Report(ready_units=2, ordered_units=2)

    assert with_pool(job).workers == []


def test_a_worker_that_does_not_end_when_asked_is_ended() -> None:
    async def job(plane: ProcessPlane) -> None:
        await plane.apply(plan(1))
        worker = plane.workers[0]
        await asyncio.sleep(0.3)
        await plane.apply(plan(0))
        await asyncio.gather(*plane.under_way)
        assert not worker.lives

    with_pool(job, STUBBORN, grace_s=0.1)


class Recorded:
    """A proxy that is slow to drain, or that cannot be told."""

    def __init__(self, fault: DataPlaneError | None = None) -> None:
        self.told: list[str] = []
        self.fault = fault

    async def drain(self, address: str) -> None:
        await self.expect(f"drain {address}")
        await asyncio.sleep(60)

    async def expect(self, address: str) -> None:
        self.told.append(address)
        if self.fault is not None:
            raise self.fault


@pytest.mark.parametrize("fault", [None, DataPlaneError("no HAProxy")])
def test_a_proxy_is_told_before_a_worker_ends_and_that_it_is_slow_or_gone_holds_nothing_up(
    fault: DataPlaneError | None,
) -> None:
    front = Recorded(fault)

    async def job(plane: ProcessPlane) -> None:
        plane.front = front
        await plane.apply(plan(1))
        worker = plane.workers[0]
        await warm(plane, 1)
        await plane.apply(plan(0))
        await asyncio.sleep(0)
        assert worker.lives
        await asyncio.gather(*plane.under_way)
        assert not worker.lives
        assert front.told == [f"127.0.0.1:{worker.port}", f"drain 127.0.0.1:{worker.port}"]

    with_pool(job, drain_s=0.05)


def test_a_command_that_cannot_start_is_said() -> None:
    plane = ProcessPlane(Processes(("no-such-program", "{port}"), free_port()), venue())
    with pytest.raises(DataPlaneError, match="expected a program that starts"):
        asyncio.run(plane.apply(plan(1)))


@pytest.mark.parametrize(
    "own",
    [
        Processes(("serve",)),
        Processes(("serve", "{port}"), 65530),
        Processes(("serve", "{port}"), grace_s=0.0),
        Processes(("serve", "{port}"), drain_s=0.0),
    ],
)
def test_settings_that_cannot_be_break_a_rule(own: Processes) -> None:
    assert not all(holds for holds, *_ in process_rules(own, venue()))
