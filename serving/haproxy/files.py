"""The files that HAProxy reads: written as a whole or not at all, and tried before they are put in place.

Decided here: a configuration that HAProxy itself refuses never takes the place of one that works.
"""

import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from data.errors import DataError
from serving.haproxy.render import maps, render
from serving.haproxy.settings import HAProxy
from shaper.venue import Venue

CONFIGURATION = "haproxy.cfg"
CHECK_LIMIT_S = 30.0
PLACES = "/usr/sbin:/usr/local/sbin"  # where systems put servers, often not on a user's PATH


def files(own: HAProxy, venue: Venue) -> dict[str, str]:
    """Text by file name."""
    lines = {
        name: "".join(f"{key} {value}\n" for key, value in entries.items())
        for name, entries in maps(own, venue).items()
    }
    return {CONFIGURATION: render(own, venue), **{f"{name}.map": text for name, text in lines.items()}}


def write(own: HAProxy, venue: Venue) -> Path:
    """Write all files into the folder, each under a temporary name first; returns the path of the configuration."""
    folder = Path(own.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(own, venue).items():
        waiting = folder / f".{name}.new"
        waiting.write_text(text, "utf-8")
        waiting.replace(folder / name)
    return folder / CONFIGURATION


def check(own: HAProxy, venue: Venue) -> str:
    """What `haproxy -c` says of the configuration. Raises DataError when it refuses it, or when there is no HAProxy."""
    program = shutil.which("haproxy", path=PLACES) or shutil.which("haproxy")
    if program is None:
        raise DataError(
            "haproxy", expected="the program haproxy", found="none", remedy="install it: apt-get install haproxy"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = write(replace(own, folder=folder), venue)
        done = subprocess.run(  # noqa: S603 (a program of the system, on a file of ours)
            [program, "-c", "-f", str(path)], capture_output=True, text=True, timeout=CHECK_LIMIT_S, check=False
        )
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        raise DataError(
            "haproxy -c", expected="a configuration that it takes", found=said, remedy="see the lines it names"
        )
    return said
