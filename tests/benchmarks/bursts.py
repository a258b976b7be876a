"""Bursts of orders at one proxy, by turns in two conditions: what it serves, and what an order costs it in CPU time.

On a machine that is shared, throughput says as much about the neighbours as about the proxy; the CPU time of the proxy's own
process does not, and is the reciprocal of its throughput where the proxy is what limits.
"""

import re
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.integration.parts import part


@dataclass(frozen=True)
class Burst:
    """Orders a second, and CPU seconds of the proxy for each."""

    per_s: float
    cpu_s: float


@dataclass(frozen=True)
class Cost:
    """Throughput of the second condition over that of the first (median of turns), and CPU time of the first over the second's."""

    throughput: float
    cpu: float

    def __str__(self) -> str:
        return f"throughput {self.throughput:.3f}, by CPU time of the proxy {self.cpu:.3f}"


def burst(process: psutil.Process, address: str, tier: str, seconds: int) -> Burst:
    """Send orders of a tier for some seconds, 16 at a time; all have to be served."""
    begun = sum(process.cpu_times()[:2])
    command = [part("wrk"), "-t1", "-c16", f"-d{seconds}s", "-H", f"x-tier: {tier}", f"http://{address}/"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "Non-2xx" not in shown, shown
    per_s, orders = (re.search(pattern, shown) for pattern in (r"Requests/sec:\s+([\d.]+)", r"(\d+) requests in"))
    assert per_s is not None, shown
    assert orders is not None, shown
    return Burst(float(per_s.group(1)), (sum(process.cpu_times()[:2]) - begun) / int(orders.group(1)))


def by_turns(switch: Callable[[bool], None], run: Callable[[], Burst], turns: int) -> Cost:
    """Run in both conditions by turns, told which by `switch`; the first pair warms up and does not count."""
    pairs = []
    for turn in range(turns + 1):
        found = {}
        for second in (False, True) if turn % 2 else (True, False):
            switch(second)
            found[second] = run()
        pairs.append((found[False], found[True]))
    first, second = zip(*pairs[1:], strict=True)
    return Cost(
        statistics.median(b.per_s / a.per_s for a, b in zip(first, second, strict=True)),
        sum(a.cpu_s for a in first) / sum(b.cpu_s for b in second),
    )
