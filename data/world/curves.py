"""Stylised facts that are curves: how long things remember, how far their tails reach, how counts bunch.

Decided here: the lags, tails and windows that are drawn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data.world.measured import Fees, Moves, Rates
from data.world.statistics import TAILS, Values, deviation, dispersion, memory

LAGS = (1, 2, 3, 6, 12, 24, 48, 72, 144, 288, 576)
TICKS_AN_HOUR = 12
WINDOWS_S = (1, 2, 5, 15, 60, 300)


@dataclass(frozen=True)
class Curve:
    """Points of a drawing; `logs` names the axes that are logarithmic."""

    name: str
    title: str
    across: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    logs: str = ""


def market_curves(moves: Moves | None) -> Iterator[Curve]:
    """How long volatility remembers, and how large moves are."""
    if moves is not None:
        size = np.abs(moves.returns)
        yield memories("memory_of_moves", "autocorrelation of |return|", size)
        yield tails("tail_of_moves", "|return| over its deviation", size / max(deviation(moves.returns), 1e-12))


def chain_curves(fees: Fees | None) -> Iterator[Curve]:
    """How long fees remember, and how far they jump."""
    if fees is not None:
        yield memories("memory_of_fees", "autocorrelation of ln base fee", fees.value)
        yield tails("tail_of_jumps", "5-minute jump of ln base fee", np.abs(np.diff(fees.value)))


def order_curves(rates: Rates | None) -> Iterator[Curve]:
    """How arrivals bunch."""
    if rates is not None:
        windows = [window for window in WINDOWS_S if len(rates.per_s) >= 20 * window]
        spread = [dispersion(rates.per_s, window) for window in windows]
        yield Curve("burstiness", "variance over mean of counts", "window, s", floats(windows), floats(spread), "xy")


def memories(name: str, title: str, values: Values) -> Curve:
    """Autocorrelation over lags up to a quarter of the length."""
    lags = [lag for lag in LAGS if lag < len(values) // 4]
    hours = [lag / TICKS_AN_HOUR for lag in lags]
    return Curve(name, title, "lag, h", floats(hours), floats([memory(values, lag) for lag in lags]), "x")


def tails(name: str, title: str, values: Values) -> Curve:
    """The value that a share of all values is above, over the share."""
    shares = [1 - level for level in TAILS]
    above = [np.quantile(values, level) for level in TAILS] if len(values) else []
    return Curve(name, title, "share above", floats(shares[: len(above)]), floats(above), "xy")


def floats(values: Sequence[float]) -> tuple[float, ...]:
    """The values as plain numbers."""
    return tuple(map(float, values))
