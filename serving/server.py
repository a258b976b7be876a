"""The process around the API: a socket, uvicorn on it, and a clean end.

Decided here: the address is printed once requests are answered, and SIGTERM and SIGINT both end the process with status 0,
after the answers and the step under way.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from types import FrameType
from typing import Any, cast

import uvicorn

from data.errors import DataError
from serving.api import create_app
from serving.beside import beside
from serving.dashboard.page import Page
from serving.desk import Desk
from serving.direct.connection import DirectConnection
from serving.direct.door import Door
from serving.edge import App, Edge
from serving.front import Front
from serving.guard import Guard
from serving.oip.endpoint import InferenceEndpoint
from serving.security import Access, Security
from serving.sockets import address, listen
from serving.wire import Bounded, BoundedServer

DISTRIBUTION = "derivatives-traffic-shaper"
GRACE_S = 5
PIECE_S = 600.0  # rows may come as a stream with pauses
SWITCH_S = 0.0005  # how long the worker may hold the interpreter while an answer waits (Python's default is 5 ms)
LOG = logging.getLogger(__name__)


class Server(BoundedServer):
    """Uvicorn that says where it listens, and that does not raise the signal again which ended it.

    The stream of events is closed with it: who watches would never go by himself. SIGHUP has the desk read the settings again.
    """

    def __init__(self, config: uvicorn.Config, desk: Desk) -> None:
        super().__init__(config)
        self.desk = desk
        self.reloading: asyncio.Task[None] | None = None
        self.again = False

    def reload(self) -> None:
        """Have the settings read again; once more after a reading that is under way, which may have come before a change."""
        self.again = True
        if self.reloading is None or self.reloading.done():
            self.reloading = asyncio.create_task(self.reload_all())

    async def reload_all(self) -> None:
        """Read the settings as often as was asked for, several requests in the meantime being one."""
        while self.again:
            self.again = False
            try:
                await self.desk.reload()
            except Exception as error:
                LOG.exception("the settings could not be read again; the present ones stay")
                self.desk.sidecar.board.note("settings", f"not read again: {type(error).__name__}: {error}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        self.desk.sidecar.board.events.close()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print the address. What is there by now stays: the collector need not go through it while a plan waits."""
        await super().startup(sockets)
        gc.freeze()
        if self.started and not self.should_exit:
            for listener in sockets or ():
                url = address(listener)
                print(f"shaper serves on {url.replace('http', 'https', 1) if self.config.is_ssl else url}", flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGTERM and SIGINT, a second SIGINT does not wait; read the settings again on SIGHUP."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(desk: Desk, host: str, port: int, access: Access) -> None:
    """Answer until a signal. Raises DataError when an address is taken or a data plane will never open."""
    listener = listen(host, port)
    sidecar = desk.sidecar
    surface = Surface.of(desk, version(DISTRIBUTION), access)
    config = uvicorn.Config(
        surface.app,
        http=cast("type[asyncio.Protocol]", surface.connection),
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        lifespan="on",
        ws="none",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=access.security.max_connections,
        **encryption(access.security),
        timeout_graceful_shutdown=GRACE_S,
    )
    server = Server(config, desk)
    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(serving(server, listener, desk, access, surface.door.inference))
    if sidecar.stopped_by is not None:
        raise DataError(
            "data plane", expected="one that opens", found=str(sidecar.stopped_by), remedy="correct its settings"
        ) from sidecar.stopped_by
    LOG.info("stopped")


async def serving(
    server: Server, listener: socket.socket, desk: Desk, access: Access, inference: InferenceEndpoint
) -> None:
    """Serve until a signal, with what works beside it. Raises DataError when that cannot begin."""
    async with beside(desk, listener.getsockname()[0], access, inference):
        await server.serve([listener])


@dataclass(frozen=True)
class Surface:
    """All that answers: the application with edge and guard around it, and the door for what is answered past it."""

    app: App
    door: Door

    @classmethod
    def of(cls, desk: Desk, release: str, access: Access) -> "Surface":
        """The edge, the guard, behind them the parts with paths of their own, and the framework for the rest."""
        sidecar, page = desk.sidecar, Page()
        inference = InferenceEndpoint(lambda: sidecar.pipeline.forecaster, release)
        parts: dict[str, App] = {"": page, "dashboard": page, "v2": inference}
        guard = Guard.around(Front(parts, cast("App", create_app(sidecar, release, desk))), access)
        edge = Edge(guard, sidecar.pipeline.metrics, access.is_local)
        return cls(edge, Door(edge, guard, inference, sidecar.board))

    def connection(self, **server: Any) -> DirectConnection:
        """What uvicorn is to talk through; it gives what its own protocol is made of."""
        most = server["config"].limit_concurrency
        return DirectConnection(self.door, lambda: Bounded(**server, piece_s=PIECE_S), server["server_state"], most)


def encryption(security: Security) -> dict[str, Any]:
    """Uvicorn's settings for TLS; none without a certificate."""
    if security.certificate is None:
        return {}
    shown = (
        {} if security.client_ca is None else {"ssl_ca_certs": security.client_ca, "ssl_cert_reqs": ssl.CERT_REQUIRED}
    )
    return {"ssl_certfile": security.certificate, "ssl_keyfile": security.key, **shown}
