"""The real parts that integration tests start: found on this machine, or said to be missing.

Decided here: a part that is missing fails the test in CI, where `make parts` has installed it, and skips it elsewhere.
"""

import contextlib
import os
import shutil
import socket
from pathlib import Path
from typing import NoReturn

import pytest

NODE_PARTS = Path(__file__).parent.parent.parent / "var" / "parts" / "node_modules" / ".bin"
SYSTEM_PLACES = ("/usr/sbin", "/usr/local/sbin")  # where Debian puts servers, often not on a user's PATH


def part(name: str) -> str:
    """The path of a program; the test fails in CI, or is skipped elsewhere, when there is none."""
    places = os.pathsep.join([str(NODE_PARTS), os.environ.get("PATH", ""), *SYSTEM_PLACES])
    found = shutil.which(name, path=places)
    return found or absent(f"no {name} on this machine: `make parts` installs it")


def absent(reason: str) -> NoReturn:
    """End a test that lacks what it needs: it fails in CI, and is skipped elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def free_ports(count: int) -> tuple[int, ...]:
    """Neighbouring loopback ports that nobody listens on now."""
    while True:
        first = free_port()
        with contextlib.ExitStack() as held, contextlib.suppress(OSError, OverflowError):
            for port in range(first, first + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return tuple(range(first, first + count))
