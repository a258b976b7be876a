"""A real sidecar process for tests that need one: it is started on a free port and ended with the test."""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "serving.cli", "serve"]


@dataclass(frozen=True)
class Running:
    """A process that has said where it listens (for orders too, if it does), and how long that took from its start (s)."""

    process: subprocess.Popen[str]
    port: int
    start_s: float
    orders_port: int = 0

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Status and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Decoded JSON of a path that has to answer 200."""
        status, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def wait_for(self, path: str, limit_s: float = 60.0) -> float:
        """Wait until a path answers 200; returns how long that took (s)."""
        begun = time.monotonic()
        while self.ask("GET", path)[0] != 200:
            assert time.monotonic() - begun < limit_s, self.ask("GET", "/readyz")
            time.sleep(0.01)
        return time.monotonic() - begun

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def running(config: Path, *options: str, scheme: str = "http", command: Sequence[str] = COMMAND) -> Iterator[Running]:
    """Start `shaper serve`, hand it over once it answers, and end it. Its log goes to `serve.log` beside the configuration."""
    begun = time.monotonic()
    with (config.parent / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--config", str(config), *options],
            stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        ports = {}
        while "serves" not in ports:
            line = process.stdout.readline()
            assert f" on {scheme}://127.0.0.1:" in line or line.startswith("shaper takes"), (
                config.parent / "serve.log"
            ).read_text()
            ports[line.split()[1]] = int(line.rpartition(":")[2])
        yield Running(process, ports["serves"], time.monotonic() - begun, ports.get("takes", 0))
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()
