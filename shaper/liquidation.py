"""How many liquidations a price forecast implies: positions by their distance, and the chance that the price gets there in time.

With ln price a Brownian motion of drift m and deviation σ per √second, a level b below the start is reached by t with probability

    Φ((−b − m·t)/(σ√t)) + e^(−2mb/σ²)·Φ((−b + m·t)/(σ√t))          (reflection principle with drift; Harrison 1985, §1.8)

and likewise above with −m. σ is forecast as a distribution, so the probability is the mean over its quantiles.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shaper.forecast import Forecast
from shaper.solvers import special

Floats = NDArray[np.float64]


class PositionError(ValueError):
    """A position that cannot be."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Position:
    """`count` like positions that are liquidated once ln price has moved by `distance` (below 0: downwards, a long position).

    Each liquidation sends `orders` orders. Raises PositionError for numbers that are not finite or negative.
    """

    distance: float
    count: float = 1.0
    orders: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not (math.isfinite(self.distance) and 0 <= self.count < math.inf and 0 <= self.orders < math.inf):
            raise PositionError(f"expected a finite distance, count and orders of 0 or more, found {self}")


def first_passage(distances: Floats, sigma: float, drift: float, horizon_s: float) -> Floats:
    """Probability that ln price moves by each of `distances` (signed) within a horizon; 1 for a distance of 0."""
    gap = np.abs(distances)
    if horizon_s <= 0 or sigma <= 0:
        reached = np.sign(distances) * drift * max(horizon_s, 0.0) >= gap
        return np.asarray(reached | (gap == 0), dtype=np.float64)
    toward = np.sign(distances) * drift
    root = sigma * math.sqrt(horizon_s)
    direct = special().ndtr((-gap + toward * horizon_s) / root)
    reflected = np.exp(2 * toward * gap / sigma**2 + special().log_ndtr((-gap - toward * horizon_s) / root))
    return np.where(gap == 0, 1.0, np.minimum(direct + reflected, 1.0))


def orders_by(positions: tuple[Position, ...], forecast: Forecast, age_s: float, lead_s: float) -> float | None:
    """Expected orders of liquidations within `lead_s` of now, `age_s` after the forecast's issue.

    Reads the target `volatility` (ln of the deviation of returns per tick), and `drift` (ln return per tick, median) where it is
    forecast; None where volatility is not, or the lead is beyond the forecast.
    """
    curve = forecast.curve("volatility", age_s + lead_s / 2)
    if curve is None or age_s + lead_s > forecast.reach_s:
        return None
    drift = forecast.quantile("drift", age_s + lead_s / 2, 0.5) or 0.0
    distances = np.array([position.distance for position in positions])
    weights = np.array([position.count * position.orders for position in positions])
    edges = [0.0, *((a + b) / 2 for a, b in pairwise(forecast.levels)), 1.0]
    total = 0.0
    for value, (low, high) in zip(curve, pairwise(edges), strict=True):
        sigma = math.exp(value) / math.sqrt(forecast.tick_s)
        chances = first_passage(distances, sigma, drift / forecast.tick_s, lead_s)
        total += (high - low) * float(weights @ chances)
    return total


def orders_per_s(
    positions: tuple[Position, ...], forecast: Forecast, age_s: float, start_s: float, end_s: float
) -> float:
    """Expected liquidation orders per second between two leads from now; 0 where `orders_by` has no answer."""
    if not positions:
        return 0.0
    by_end, by_start = (orders_by(positions, forecast, age_s, lead) for lead in (end_s, max(start_s, 0.0)))
    if by_end is None or by_start is None:
        return 0.0
    return max(by_end - by_start, 0.0) / (end_s - start_s)
