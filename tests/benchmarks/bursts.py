"""Bursts of orders at one proxy, by turns in two conditions: what it serves, and what an order costs it in CPU time.

On a machine that is shared, throughput says as much about the neighbours as about the proxy; the CPU time of the proxy's own
process does not, and is the reciprocal of its throughput where the proxy is what limits. Conditions come in the order ABBA, so that
a load that grows or falls evenly weighs on both alike; every A is compared with the B beside it, and the median of the ratios has
an interval of 95 % from 2,000 samples of the pairs (seed 1).
"""

import os
import random
import re
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.integration.parts import part

SAMPLES, SEED = 2000, 1
TURNS = int(os.environ.get("SHAPER_TURNS", "4"))  # of four bursts of a second each


@dataclass(frozen=True)
class Burst:
    """Orders a second, and CPU seconds of the proxy for each."""

    per_s: float
    cpu_s: float


@dataclass(frozen=True)
class Ratio:
    """Median of the ratios of pairs, and its interval."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Cost:
    """Throughput of the second condition over that of the first, and CPU time an order of the first over the second's."""

    throughput: Ratio
    cpu: Ratio
    pairs: int

    def __str__(self) -> str:
        load = "/".join(f"{one:.1f}" for one in os.getloadavg())
        return f"throughput {self.throughput}, by CPU time of the proxy {self.cpu}, {self.pairs} pairs, load {load}"


def burst(pid: int, address: str, tier: str, seconds: int = 1) -> Burst:
    """Send orders of a tier for some seconds, 16 at a time; all have to be served."""
    begun = on_cpu_s(pid)
    command = [part("wrk"), "-t1", "-c16", f"-d{seconds}s", "-H", f"x-tier: {tier}", f"http://{address}/"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "Non-2xx" not in shown, shown
    per_s, orders = (re.search(pattern, shown) for pattern in (r"Requests/sec:\s+([\d.]+)", r"(\d+) requests in"))
    assert per_s is not None, shown
    assert orders is not None, shown
    return Burst(float(per_s.group(1)), (on_cpu_s(pid) - begun) / int(orders.group(1)))


def on_cpu_s(pid: int) -> float:
    """CPU seconds that all threads of a process have had, to the nanosecond (proc_pid_schedstat(5))."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def by_turns(switch: Callable[[bool], None], run: Callable[[], Burst], turns: int = TURNS) -> Cost:
    """Run in both conditions in the order ABBA, told which by `switch`; a first pair warms up and does not count."""
    for second in (False, True):
        switch(second)
        run()
    pairs = []
    for _ in range(turns):
        done = []
        for second in (False, True, True, False):
            switch(second)
            done.append(run())
        pairs += [(done[0], done[1]), (done[3], done[2])]
    return Cost(ratio([b.per_s / a.per_s for a, b in pairs]), ratio([a.cpu_s / b.cpu_s for a, b in pairs]), len(pairs))


def ratio(values: list[float]) -> Ratio:
    """The median of some ratios and the interval that holds 95 % of the medians of samples of them (Efron's bootstrap)."""
    draws = random.Random(SEED)  # noqa: S311
    medians = sorted(statistics.median(draws.choices(values, k=len(values))) for _ in range(SAMPLES))
    return Ratio(statistics.median(values), medians[SAMPLES // 40], medians[-SAMPLES // 40])
