"""Where the world's chance comes from, and the recursions that give it memory.

Every disturbance has a stream of its own, named and drawn in the order of time. So another disturbance, or more days,
change nothing of what a seed gave before: the first week of a month is the week that seven days give.
"""

import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from data.world.constants import Echo, Swing

Series = NDArray[np.float64]

# Generations of self-excitation that are followed; with 0.5 children each, what is cut off is below 1 % of the events.
GENERATIONS = 7


@dataclass(frozen=True)
class Clock:
    """A grid of `count` steps of `step_s` seconds from `start_s` (seconds since 1970)."""

    start_s: int
    step_s: int
    count: int

    @property
    def times_s(self) -> Series:
        """Start of each step, seconds since 1970."""
        return (self.start_s + self.step_s * np.arange(self.count)).astype(np.float64)


@dataclass(frozen=True)
class Chance:
    """The streams of one seed."""

    seed: int

    def stream(self, name: str) -> np.random.Generator:
        """The stream of that name: the same for equal seeds, independent of the streams with other names."""
        key = zlib.crc32(name.encode())
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=(key,))))

    def swing(self, name: str, swing: Swing, clock: Clock) -> Series:
        """A stationary Ornstein-Uhlenbeck path on the clock, exact at its steps."""
        draws = self.stream(name).standard_normal(clock.count)
        kept = math.exp(-clock.step_s / swing.memory_s)
        draws[1:] *= math.sqrt(1 - kept * kept)  # the first draw stays whole: the path starts in its stationary law
        return swing.deviation * recursion(draws, kept)

    def events(self, name: str, per_step: Series) -> NDArray[np.int64]:
        """Number of events in each step, Poisson with the given means."""
        return self.stream(name).poisson(per_step)

    def cluster(self, name: str, per_step: Series, echo: Echo, step_s: int) -> NDArray[np.int64]:
        """Events in each step of a self-exciting process, generation after generation (Hawkes and Oakes 1974).

        Children come at least one step after their parent.
        """
        kept = math.exp(-step_s / echo.delay_s)
        generation = self.events(f"{name} 0", per_step)
        total = generation.copy()
        for number in range(1, GENERATIONS):
            means = echo.children * (1 - kept) * delayed(recursion(generation, kept), 1)
            generation = self.events(f"{name} {number}", means)
            total += generation
        return total

    def impulses(self, name: str, counts: NDArray[np.int64], mean: float, shape: float = 1.0) -> Series:
        """Sum of the gamma sizes of the events of each step; exponential unless a shape is given."""
        steps = np.repeat(np.arange(len(counts)), counts)
        sizes = self.stream(name).gamma(shape, mean / shape, len(steps))
        return np.bincount(steps, sizes, len(counts)).astype(np.float64)

    def dealt(self, name: str, impulses: Series, shares: tuple[float, ...]) -> list[Series]:
        """The impulses dealt out whole to as many kinds as there are shares."""
        draws = self.stream(name).random(len(impulses))
        kinds = np.searchsorted(np.cumsum(shares)[:-1], draws, side="right")
        return [np.where(kinds == kind, impulses, 0.0) for kind in range(len(shares))]


def recursion(inputs: NDArray[np.generic], kept: float) -> Series:
    """The path of y = kept * y_before + input."""
    path: Series = lfilter([1.0], [1.0, -kept], inputs)
    return path


def delayed(values: Series, steps: int) -> Series:
    """The same values `steps` later, zeros before."""
    return np.concatenate([np.zeros(min(steps, len(values))), values[: max(len(values) - steps, 0)]])


def smoothed(values: Series, memory_s: float, step_s: int) -> Series:
    """Exponentially weighted mean of what lies at or before each step; the first steps weigh what little there is."""
    kept = math.exp(-step_s / memory_s)
    return recursion(values, kept) / recursion(np.ones(len(values)), kept)


def fading(impulses: Series, memory_s: float, step_s: int) -> Series:
    """Response that is an impulse's size at once and fades to 1/e in `memory_s`."""
    return recursion(impulses, math.exp(-step_s / memory_s))


def swelling(impulses: Series, peak_s: float, memory_s: float, step_s: int) -> Series:
    """Response that rises to an impulse's size until `peak_s` and then fades over `memory_s`, which must be the longer.

    Difference of two exponentials whose shorter memory puts the peak there, scaled to peak at 1. Raises ValueError when the
    memory is not longer than the time to the peak, as no such pair exists then.
    """
    if not 0 < peak_s < memory_s:
        raise ValueError(f"expected a time to the peak below the memory of {memory_s} s, found {peak_s} s")
    rise_s = _rise(peak_s, memory_s)
    height = math.exp(-peak_s / memory_s) - math.exp(-peak_s / rise_s)
    return (fading(impulses, memory_s, step_s) - fading(impulses, rise_s, step_s)) / height


def _rise(peak_s: float, memory_s: float) -> float:
    """The shorter memory r of exp(-t/m) - exp(-t/r) with its maximum at `peak_s`: ln(m/r) m r / (m - r), by bisection."""
    low, high = 1e-6 * memory_s, 0.999 * memory_s
    for _ in range(60):
        middle = (low + high) / 2
        peak = math.log(memory_s / middle) * memory_s * middle / (memory_s - middle)
        low, high = (middle, high) if peak < peak_s else (low, middle)
    return (low + high) / 2


def humped(impulses: Series, peak_s: float, step_s: int) -> Series:
    """Response t^2 exp(2 - 2 t / peak) / peak^2: slow at first, at an impulse's size after `peak_s`, soon over."""
    kept = math.exp(-2 * step_s / peak_s)
    scale = (step_s / peak_s) ** 2 * math.exp(2)
    # sum over n of n^2 k^n z^n = k z (1 + k z) / (1 - k z)^3
    path: Series = lfilter([0.0, scale * kept, scale * kept**2], [1.0, -3 * kept, 3 * kept**2, -(kept**3)], impulses)
    return path


def periodic(times_s: Series, table: tuple[float, ...], period_s: float, origin_s: float = 0.0) -> Series:
    """Values of a table spread evenly over a period, each at the middle of its part, with straight lines between."""
    part_s = period_s / len(table)
    middles = (np.arange(len(table)) + 0.5) * part_s
    values: Series = np.interp((times_s - origin_s) % period_s, middles, np.array(table), period=period_s)
    return values
