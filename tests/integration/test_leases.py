import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.leasing import Venue, redis, sidecars
from tests.integration.parts import absent, free_port

pytestmark = pytest.mark.integration
TTL_S = 1.0
DEMANDS = [5.0, 60.0, 60.0]  # of 100: the first leaves most of its share to the others
LENT = (0.05, 0.475, 0.475)
ROUNDING = 1e-6


def until(holds: Callable[[], bool], venue: Venue, limit_s: float = 30.0) -> None:
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < limit_s, [one.samples()[-1:] for one in venue.sidecars]
        time.sleep(0.05)


def shared(venue: Venue, *expected: float) -> Callable[[], bool]:
    return lambda: [one.now() for one in venue.sidecars] == pytest.approx(list(expected), abs=0.02)


def test_three_sidecars_share_by_demand_and_a_killed_redis_leads_each_to_its_safe_share(tmp_path: Path) -> None:
    port = free_port()
    urls = [f"redis://127.0.0.1:{port}"] * 3
    with sidecars(tmp_path, DEMANDS, urls, TTL_S, [[], [], []]) as venue:
        with redis(tmp_path, port, "127.0.0.1"):
            until(shared(venue, *LENT), venue)
        until(shared(venue, 1 / 3, 1 / 3, 1 / 3), venue)
        with redis(tmp_path, port, "127.0.0.1"):
            until(shared(venue, *LENT), venue)
            venue.sidecars[2].process.kill()
            until(lambda: venue.sidecars[1].now() == pytest.approx(0.6, abs=0.07), venue)
        assert venue.most() <= 1 + ROUNDING


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def namespaces(count: int) -> Iterator[list[tuple[str, str, str]]]:
    """Network namespaces, each with a wire to this one: name, this side's device, this side's address."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        absent("network namespaces need iproute2 and root")
    tag = f"{os.getpid() % 100000:x}"
    made: list[tuple[str, str, str]] = []
    try:
        for number in range(count):
            name, here, there = f"shaper-{tag}-{number}", f"sh{tag}h{number}", f"sh{tag}r{number}"
            subnet = f"10.{77 + number}.{os.getpid() % 250}"
            try:
                ip("netns", "add", name)
            except subprocess.CalledProcessError as error:
                absent(f"no network namespaces here: {error.stderr.decode().strip()}")
            made.append((name, here, f"{subnet}.1"))
            ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
            ip("addr", "add", f"{subnet}.1/30", "dev", here)
            ip("link", "set", here, "up")
            ip("-n", name, "addr", "add", f"{subnet}.2/30", "dev", there)
            ip("-n", name, "link", "set", there, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield made
    finally:
        for name, here, _ in made:
            subprocess.run(["ip", "link", "del", here], capture_output=True, check=False)
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def test_a_partition_leads_to_the_safe_share_and_never_to_more_than_the_whole(tmp_path: Path) -> None:
    port = free_port()
    with namespaces(3) as wires, redis(tmp_path, port, *(address for _, _, address in wires)):
        urls = [f"redis://{address}:{port}" for _, _, address in wires]
        prefix = [["ip", "netns", "exec", name] for name, _, _ in wires]
        with sidecars(tmp_path, DEMANDS, urls, TTL_S, prefix) as venue:
            until(shared(venue, *LENT), venue)
            ip("link", "set", wires[0][1], "down")  # the one that had lent its share
            until(shared(venue, 1 / 3, 1 / 3, 1 / 3), venue)
            ip("link", "set", wires[1][1], "down")  # and one that had borrowed
            time.sleep(3 * TTL_S)
            assert shared(venue, 1 / 3, 1 / 3, 1 / 3)()
            for _, here, _ in wires[:2]:
                ip("link", "set", here, "up")
            until(shared(venue, *LENT), venue)
            ip("link", "set", wires[2][1], "down")  # one that holds more than the safe share
            until(lambda: venue.sidecars[2].now() == pytest.approx(1 / 3, abs=0.02), venue)
            assert venue.most() <= 1 + ROUNDING
