"""Levers as data: what may be set, how long it takes, what it costs, and how fast it may change.

Decided here: which moment of the forecast a lever reads (a stated quantile of its own delay plus one review), and that a lever
does not flap: after it was moved one way it is not moved back before its cooldown, and only by more than its band.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Literal

from shaper.erlang import servers_for_blocking

Kind = Literal["replicas", "node-weights", "quotas", "priorities", "connections", "nonce-lanes", "fee-bids"]


class LeverError(ValueError):
    """A lever that contradicts itself."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Delay:
    """How long a setting takes to work: log-normal with a median and a deviation of its logarithm (0: always the median)."""

    median_s: float
    log_sd: float = 0.0

    def at(self, level: float) -> float:
        """Quantile of the delay in seconds: median·exp(log_sd·Φ⁻¹(level))."""
        return self.median_s * math.exp(self.log_sd * NormalDist().inv_cdf(level))


def fitted_delay(seconds: Iterable[float]) -> Delay:
    """The log-normal delay of measured ones, by maximum likelihood. Raises LeverError unless all are positive and there are two."""
    logs = [math.log(s) if s > 0 else math.nan for s in seconds]
    if len(logs) < 2 or any(map(math.isnan, logs)):
        raise LeverError(f"expected two or more positive delays, found {logs}: measure more orders")
    mean = math.fsum(logs) / len(logs)
    return Delay(math.exp(mean), math.sqrt(math.fsum((log - mean) ** 2 for log in logs) / len(logs)))


@dataclass(frozen=True, slots=True)
class Lever:
    """One lever: its range least..most in steps of `step`, USD per unit and second, and its limits on change.

    A setting works after `delay`, read at `delay_level`. A review changes at most `max_change` (None: no limit). `cooldown_s`
    must pass before a change against the last one, which must then exceed `band` (hysteresis). A warm lever (connections, nonce
    lanes) is sized so that an order finds no free unit with at most the probability `blocking`; each holds one for `held_s`.
    Raises LeverError, naming the first contradiction.
    """

    name: str
    kind: Kind
    delay: Delay = Delay(0.0)
    cost_usd_per_unit_s: float = 0.0
    least: int = 0
    most: int = 1000
    step: int = 1
    max_change: int | None = None
    cooldown_s: float = 0.0
    band: int = 0
    delay_level: float = 0.9
    held_s: float = 1.0
    blocking: float = 0.01

    def __post_init__(self) -> None:
        """Check every number."""
        positive = (self.held_s, self.step, 1 if self.max_change is None else self.max_change - self.step + 1)
        waits = (self.delay.median_s, self.delay.log_sd, self.cost_usd_per_unit_s, self.cooldown_s, self.band)
        faults = (
            (0 <= self.least <= self.most, "0 <= least <= most", (self.least, self.most)),
            (min(positive) > 0, "a positive held_s and step, and max_change of at least a step", positive),
            (min(waits) >= 0 and all(map(math.isfinite, waits)), "delay, cost, cooldown and band of 0 or more", waits),
            (
                0 < self.delay_level < 1 and 0 < self.blocking < 1,
                "delay_level and blocking in (0, 1)",
                self.delay_level,
            ),
        )
        for holds, expected, found in faults:
            if not holds:
                raise LeverError(f"lever {self.name}: expected {expected}, found {found}")

    def lead_s(self, review_s: float) -> float:
        """How far ahead this lever reads the forecast: until a setting of now works, and until the next one would."""
        return self.delay.at(self.delay_level) + review_s

    def rounded(self, units: int) -> int:
        """Next higher number of units that the step allows, within the range."""
        steps = -(-(units - self.least) // self.step)
        return min(max(self.least + steps * self.step, self.least), self.most)

    def units_for(self, rate_per_s: float) -> int:
        """Units of a warm lever for a rate of orders: fewest with Erlang's B(n, rate·held) <= blocking."""
        load = rate_per_s * self.held_s
        if not load < self.most:
            return self.most
        return self.rounded(servers_for_blocking(load, self.blocking) if load > 0 else 0)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a lever is set to, and when it was last moved, up (+1) or down (−1); 0: never."""

    lever: str
    units: int
    moved_at_s: float = -math.inf
    direction: int = 0


def move(lever: Lever, setting: Setting, wanted: int, at_s: float) -> Setting:
    """The setting after one review that wants `wanted` units, or the same one where the lever may not move.

    A number that the step and the band round to what is set is no move.
    """
    aim = lever.rounded(wanted)
    limit = lever.most if lever.max_change is None else lever.max_change
    change = max(min(aim - setting.units, limit), -limit)
    direction = (change > 0) - (change < 0)
    if direction == 0:
        return setting
    if direction == -setting.direction and at_s - setting.moved_at_s < lever.cooldown_s:
        return setting
    if direction != setting.direction and setting.direction != 0 and abs(aim - setting.units) <= lever.band:
        return setting
    return Setting(setting.lever, setting.units + change, at_s, direction)


def reversals(settings: list[Setting]) -> list[float]:
    """Seconds between moves in opposite directions, in their order: what flapping would be seen by."""
    moves = [now for before, now in pairwise(settings) if now != before]
    return [b.moved_at_s - a.moved_at_s for a, b in pairwise(moves) if a.direction != b.direction]
