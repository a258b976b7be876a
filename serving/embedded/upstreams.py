"""One upstream: a limit on what is under way there, what an attempt came to, and what is thought of it.

Decided here: attempts beyond the limit wait for a place, first come first served; what an upstream would hardly answer in time is
not sent; only what it is to blame for counts against it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from serving.embedded.connections import BrokenError, Connections, UnsentError
from serving.gateway_settings import UpstreamSettings
from shaper.choice import Health, after_answer

MARGIN = 2.0  # usual latencies that must be left of an order's time for it to be sent
DEADLINE_HEADER = b"Shaper-Deadline-Ms"  # how long the order may still take, as `grpc-timeout` says it


@dataclass(frozen=True, slots=True)
class Answered:
    """An upstream's answer and how long it took."""

    status: int
    body: bytes
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, why, whether the request may have arrived, and whether the upstream is to blame."""

    why: str
    sent: bool
    blame: bool = True


Attempt = Answered | Failed


class Upstream:
    """One node: its load, its health as orders found it, and whether its circuit is open, so that nothing is sent there."""

    __slots__ = ("_waiting", "connections", "health", "in_flight", "limit", "name", "on_failure", "open", "settings")

    def __init__(self, settings: UpstreamSettings, loop: asyncio.AbstractEventLoop) -> None:
        self.settings, self.name, self.limit = settings, settings.node, settings.max_in_flight
        self.connections = Connections(settings.url, loop)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_flight, self.open, self.health = 0, False, Health()
        self.on_failure: Callable[[], None] = lambda: None

    async def send(self, method: str, body: bytes, until_s: float, path: str = "", headers: bytes = b"") -> Attempt:
        """One attempt when there is a place for it, over at a time of the loop's at the latest."""
        loop = asyncio.get_running_loop()
        if self.in_flight < self.limit:
            self.in_flight += 1
        elif not await self._place(loop, until_s):
            return Failed("no place", sent=False, blame=False)
        try:
            left_s = until_s - loop.time()
            if left_s <= MARGIN * (self.health.latency_s or 0.0):
                return Failed("too little time was left", sent=False, blame=False)
            return await self.ask(method, body, min(left_s, self.settings.timeout_s), path, headers)
        finally:
            self._release()

    async def ask(self, method: str, body: bytes, within_s: float, path: str = "", headers: bytes = b"") -> Attempt:
        """One request, whatever else is under way."""
        told = headers + b"%b: %d\r\n" % (DEADLINE_HEADER, within_s * 1000)
        began_s = time.perf_counter()
        try:
            status, content = await self.connections.ask(method, path, told, body, within_s)
        except UnsentError as error:
            return Failed(str(error), sent=False)
        except BrokenError as error:
            return Failed(str(error), sent=True)
        except TimeoutError as error:
            return Failed(str(error), sent=True, blame=within_s >= self.settings.timeout_s)
        return Answered(status, content, time.perf_counter() - began_s)

    def trust(self, answer: Answered) -> None:
        """Count a sound answer."""
        self.health = after_answer(self.health, answer.latency_s)

    def distrust(self) -> None:
        """Count a failure, or an answer that makes no sense."""
        self.health = after_answer(self.health, None)
        self.on_failure()

    async def _place(self, loop: asyncio.AbstractEventLoop, until_s: float) -> bool:
        """Wait for a place, which is then taken; False when there was none in time."""
        place: asyncio.Future[None] = loop.create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout_at(until_s):
                await place
        except (TimeoutError, asyncio.CancelledError) as error:
            if place.done() and not place.cancelled():
                self._release()  # it was handed over in the same moment
            if isinstance(error, asyncio.CancelledError):
                raise
            return False
        return True

    def _release(self) -> None:
        """Hand a place to who waits for it, or give it up."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.in_flight -= 1
