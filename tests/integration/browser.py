"""A headless Chromium for the tests of the page, spoken to over its DevTools protocol; nothing leaves this machine."""

import base64
import http.client
import itertools
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.integration.parts import part

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip


@dataclass
class Tab:
    """One page, and what its console and its network have complained of."""

    socket: ClientConnection
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    complaints: list[str] = field(default_factory=list)

    def tell(self, method: str, **params: Any) -> Any:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(timeout=30))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self.hear(message)

    def hear(self, message: Any) -> None:
        if message["method"] == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(message["params"]["exceptionDetails"]))
        elif message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.complaints.append(f"{message['params']['entry']['text']} {message['params']['entry'].get('url')}")

    def value(self, expression: str) -> Any:
        answer = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str, limit_s: float = 30.0) -> Any:
        end = time.monotonic() + limit_s
        while not (found := self.value(expression)):
            assert time.monotonic() < end, f"never true: {expression}; {self.complaints}; {self.text('body')[:2000]}"
            time.sleep(0.1)
        return found

    def text(self, selector: str) -> str:
        found: str = self.value(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def look(self, width: int, height: int, scheme: str = "light") -> None:
        """Be as wide and as high as a screen, which prefers light or dark."""
        self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def shoot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", captureBeyondViewport=True)["data"]))


@contextmanager
def opened(profile: Path) -> Iterator[Tab]:
    """An empty tab, in a browser that is ended with the test."""
    process = subprocess.Popen(
        [part("chromium"), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        with connect(debugger(profile, process), max_size=2**26) as socket:
            tab = Tab(socket)
            for area in ("Page", "Runtime", "Log"):
                tab.tell(f"{area}.enable")
            yield tab
            tab.tell("Browser.close")
    finally:
        process.kill()
        process.wait(30)


def debugger(profile: Path, process: "subprocess.Popen[bytes]") -> str:
    """Where the first page of a browser listens, once it does."""
    end = time.monotonic() + 60
    while True:
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        assert time.monotonic() < end, "the browser does not listen"
        told = profile / "DevToolsActivePort"
        if told.is_file() and (lines := told.read_text().splitlines()):
            connection = http.client.HTTPConnection("127.0.0.1", int(lines[0]), timeout=10)
            connection.request("GET", "/json/list")
            pages = [page for page in json.loads(connection.getresponse().read()) if page["type"] == "page"]
            connection.close()
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
