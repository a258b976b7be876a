"""The process around the API: a socket, uvicorn on it, and a clean end.

Decided here: the address is printed once requests are answered, and SIGTERM and SIGINT both end the process with status 0,
after the answers and the step under way.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import version
from typing import cast

import uvicorn

from serving.api import create_app
from serving.edge import App, Edge
from serving.loop import Sidecar
from serving.sockets import address, listen

DISTRIBUTION = "derivatives-traffic-shaper"
GRACE_S = 5
SWITCH_S = 0.0005  # how long the worker may hold the interpreter while an answer waits (Python's default is 5 ms)
LOG = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Uvicorn that says where it listens, and that does not raise the signal again which ended it."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print the address."""
        await super().startup(sockets)
        if self.started and not self.should_exit:
            for listener in sockets or ():
                print(f"shaper serves on {address(listener)}", flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGTERM and SIGINT; a second SIGINT does not wait."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(sidecar: Sidecar, host: str, port: int) -> None:
    """Answer until a signal. Raises DataError when the address is taken."""
    listener = listen(host, port)
    app = create_app(sidecar, version(DISTRIBUTION))
    config = uvicorn.Config(
        Edge(cast("App", app), sidecar.pipeline.metrics),
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = Server(config)
    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve([listener]))
    LOG.info("stopped")
