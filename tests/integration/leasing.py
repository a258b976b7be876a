"""Sidecars that share a capacity, each in a process of its own, with what they enforce written down against one clock."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from serving.dataplane import RecordedPlane
from serving.gateway import Report
from serving.leases.plane import LeasedPlane
from serving.leases.settings import Leases
from shaper.plan import Plan, Settings, TierSetting
from tests.integration.parts import part

WHOLE_PER_S = 100.0
EVERY_S = 0.02


@dataclass
class Sidecar:
    """A process whose samples (monotonic time, part of the capacity that it enforces) go to a file."""

    process: subprocess.Popen[bytes]
    file: Path

    def samples(self) -> list[tuple[float, float]]:
        lines = self.file.read_text().splitlines(keepends=True)
        return [(float(at), float(used)) for at, used in (line.split() for line in lines if line.endswith("\n"))]

    def now(self) -> float:
        """What it enforced last; nothing before it has said so."""
        return self.samples()[-1][1] if self.file.exists() and self.samples() else 0.0


@dataclass
class Venue:
    """All that were started, living or dead."""

    sidecars: list[Sidecar] = field(default_factory=list)

    def most(self) -> float:
        """The most that all together enforced at any time; one that was killed enforces nothing any more."""
        every = [(at, number, used) for number, one in enumerate(self.sidecars) for at, used in one.samples()]
        ends = [(one.samples()[-1][0] + 5 * EVERY_S, number, 0.0) for number, one in enumerate(self.sidecars)]
        current, most = [0.0] * len(self.sidecars), 0.0
        for _, number, used in sorted(every + ends):
            current[number] = used
            most = max(most, sum(current))
        return most


@contextmanager
def sidecars(
    folder: Path, demands: list[float], urls: list[str], ttl_s: float, prefix: list[list[str]]
) -> Iterator[Venue]:
    """Start one for each demand, and end them."""
    venue = Venue()
    try:
        for number, (demand, url, before) in enumerate(zip(demands, urls, prefix, strict=True)):
            file = folder / f"sidecar-{number}.txt"
            command = [
                sys.executable,
                "-m",
                "tests.integration.leasing",
                url,
                str(len(demands)),
                str(ttl_s),
                str(demand),
                str(file),
            ]
            venue.sidecars.append(Sidecar(subprocess.Popen([*before, *command], start_new_session=True), file))
        yield venue
    finally:
        for one in venue.sidecars:
            one.process.kill()
            one.process.wait(30)


@contextmanager
def redis(folder: Path, port: int, *addresses: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis that keeps nothing when it dies."""
    options = ["--port", str(port), "--save", "", "--appendonly", "no", "--protected-mode", "no", "--bind", *addresses]
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(
            [part("redis-server"), *options], stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


async def hold(url: str, replicas: int, ttl_s: float, demand: float, file: Path) -> None:
    """Share a plan of one tier for ever."""
    inner = RecordedPlane(told=Report(demand_per_s=demand))
    plane = LeasedPlane(inner, Leases(url, replicas, ttl_s))
    await plane.open()
    tier = TierSetting("all", 0, WHOLE_PER_S, 1.0, "")
    await plane.apply(Plan(0.0, 30.0, "reactive", "", (), (tier,), (), None, Settings((), (), ())))
    with file.open("w", buffering=1) as out:
        while True:
            out.write(f"{time.monotonic():.4f} {inner.plans[-1].quotas[0].rate_per_s / WHOLE_PER_S:.9f}\n")
            await asyncio.sleep(EVERY_S)


if __name__ == "__main__":
    _, where, count, lease_s, orders, out = sys.argv
    asyncio.run(hold(where, int(count), float(lease_s), float(orders), Path(out)))
