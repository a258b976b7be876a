"""The data plane that buys capacity on this machine: one worker process for each unit, warm when it answers on its port.

Decided here: ready is what listens, not what was started; what was started last is released first; a worker that ended by itself
is replaced at the next plan. A proxy before the workers is told first: one that is released finishes its orders, at most for a
limit, and is then ended. Workers end with the sidecar when it closes in order; if it is killed they go on, and a new sidecar passes
over their ports.
"""

import asyncio
import contextlib
import logging
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from serving.capacity.settings import Processes
from serving.dataplane import DataPlaneError
from serving.gateway import Report
from shaper.plan import Plan
from shaper.venue import Venue

LOG = logging.getLogger(__name__)
PROBE_S = 0.1
TOLD_S = 5.0  # a proxy that does not answer by then is not waited for


class Front(Protocol):
    """The proxy that gives orders to the processes, which it knows by their addresses."""

    async def drain(self, address: str) -> None:
        """Give a process no more orders; returns when it has none. Raises DataPlaneError."""
        ...

    async def expect(self, address: str) -> None:
        """Give a process that was started orders once it answers. Raises DataPlaneError."""
        ...


@dataclass(frozen=True)
class Worker:
    """A process that was started, and the port it is to listen on."""

    process: Process
    port: int

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None


class ProcessPlane:
    """The pool as processes of this machine."""

    name = "processes"

    def __init__(self, own: Processes, venue: Venue, front: Front | None = None) -> None:
        self.own = own
        self.pool = venue.pool
        self.front = front
        self.workers: list[Worker] = []
        self.under_way: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Nothing is started before the first plan."""

    async def apply(self, plan: Plan) -> None:
        """Start or release the difference. Raises DataPlaneError when the command cannot be started."""
        wanted = next(setting.units for setting in plan.capacity if setting.pool == self.pool.name)
        self.workers = [worker for worker in self.workers if worker.lives]
        while len(self.workers) > wanted:
            self.begin(self.release(self.workers.pop()))
        while len(self.workers) < wanted:
            self.workers.append(await self.start())
            if self.front is not None:
                self.begin(told(self.front.expect(self.address(self.workers[-1])), TOLD_S))

    async def start(self) -> Worker:
        """Start one on the first port that is free. Raises DataPlaneError."""
        port = self.free_port()
        try:
            words = [word.replace("{port}", str(port)) for word in self.own.command]
            process = await asyncio.create_subprocess_exec(
                *words, stdin=DEVNULL, stdout=DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise DataPlaneError(
                f"dataplane.processes.command: expected a program that starts; found {error}; correct it"
            ) from error
        return Worker(process, port)

    def free_port(self) -> int:
        """The first port of the range that nobody has. Raises DataPlaneError when there is none."""
        taken = {worker.port for worker in self.workers}
        for port in range(self.own.first_port, self.own.first_port + self.pool.max_units):
            if port not in taken and is_free(self.own.host, port):
                return port
        raise DataPlaneError(
            f"dataplane.processes.first_port: expected {self.pool.max_units} free ports from {self.own.first_port}; "
            "found fewer; choose another"
        )

    def address(self, worker: Worker) -> str:
        """Where a worker is reached, as proxies write it."""
        host = f"[{self.own.host}]" if ":" in self.own.host else self.own.host
        return f"{host}:{worker.port}"

    def begin(self, job: Coroutine[Any, Any, None]) -> None:
        """Have something done without waiting for it."""
        task = asyncio.create_task(job)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def release(self, worker: Worker) -> None:
        """Let a worker finish its orders, and ask it to end."""
        if self.front is not None:
            await told(self.front.drain(self.address(worker)), self.own.drain_s)
        await end(worker.process, self.own.grace_s)

    async def report(self) -> Report | None:
        """Workers that answer, and those that were started."""
        living = [worker for worker in self.workers if worker.lives]
        warm = await asyncio.gather(*(listens(self.own.host, worker.port) for worker in living))
        return Report(ready_units=sum(warm), ordered_units=len(living))

    async def close(self) -> None:
        """End all workers."""
        for worker in self.workers:
            self.begin(self.release(worker))
        self.workers = []
        await asyncio.gather(*self.under_way)


async def told(job: Coroutine[Any, Any, None], limit_s: float) -> None:
    """Have a proxy told something; one that cannot be told, or takes too long, stops nothing."""
    try:
        await asyncio.wait_for(job, limit_s)
    except (DataPlaneError, TimeoutError) as error:
        LOG.warning("the proxy before the processes: %s", str(error) or f"not done within {limit_s:g} s")


async def end(process: Process, grace_s: float) -> None:
    """Ask a process to end; end it when it has not after a grace."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), grace_s)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections on a port."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), PROBE_S)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def is_free(host: str, port: int) -> bool:
    """Whether a port could be bound now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
