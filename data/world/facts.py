"""Stylised facts of a history or a world: single numbers, each from the tables that are there.

Decided here: what is compared, and its definitions. A tick is 5 minutes; volatility is Parkinson's, ln(high / low) / sqrt(4 ln 2);
a base-fee surge is a tick whose mean fee is over twice its 6-hour median. For the lead of volatility, a surge that had not begun
before a bar is a mean fee of the 15 minutes after it over 1.5 times that of the half hour before it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl

from data.history import Tables
from data.world.curves import Curve, chain_curves, market_curves, order_curves
from data.world.measured import Fees, Moves, Rates, fees, moves, rates
from data.world.statistics import deviation, dispersion, episodes, kurtosis, mean, median, memory, tail

T = TypeVar("T")
Measures = tuple[tuple[str, str, Callable[[T], float | None]], ...]

HOUR_TICKS, DAY_TICKS = 12, 288
VIOLENT = (0.001, 0.005, 0.01)  # shares of all bars
AFTER_TICKS, BEFORE_TICKS = 3, 6  # the 15 minutes after a bar, the half hour before it
LEAD_FACTOR = 1.5


@dataclass(frozen=True)
class Fact:
    """One number: `name` is its key, `label` says what it is with its unit; None where the history cannot tell."""

    name: str
    label: str
    value: float | None


@dataclass(frozen=True)
class Facts:
    """All facts of one history."""

    facts: tuple[Fact, ...]
    curves: tuple[Curve, ...]

    def value(self, name: str) -> float | None:
        """The value of a fact."""
        return next(fact.value for fact in self.facts if fact.name == name)

    @property
    def plain(self) -> dict[str, object]:
        """The facts as JSON knows them."""
        return {fact.name: fact.value for fact in self.facts} | {
            curve.name: {"x": list(curve.x), "y": list(curve.y)} for curve in self.curves
        }


MARKET: Measures[Moves] = (
    ("kurtosis", "kurtosis of 5-minute returns", lambda its: kurtosis(its.returns)),
    ("clustering_1h", "autocorrelation of |return|, 1 h", lambda its: memory(np.abs(its.returns), HOUR_TICKS)),
    ("clustering_1d", "autocorrelation of |return|, 1 day", lambda its: memory(np.abs(its.returns), DAY_TICKS)),
    ("log_volatility", "ln volatility, median", lambda its: median(its.log_volatility)),
    ("log_volatility_sd", "ln volatility, deviation", lambda its: deviation(its.log_volatility)),
    ("volatility_memory", "autocorrelation of ln volatility, 1 h", lambda its: memory(its.log_volatility, HOUR_TICKS)),
    ("large_move", "range of the 99.9 % bar over the median", lambda its: tail(np.exp(its.log_volatility))),
    ("correlation", "correlation with the other symbol", lambda its: related(its)),
)
CHAIN: Measures[Fees] = (
    ("base_fee", "base fee, median, gwei", lambda its: math.exp(median(its.value))),
    ("log_fee_sd", "ln base fee, deviation", lambda its: deviation(its.value)),
    ("full_share", "share of blocks that are full", lambda its: its.full_share),
    ("utilisation_sd", "gas used over limit, deviation", lambda its: its.utilisation_sd),
    ("surges", "base-fee surges over 2x, a month", lambda its: episodes(its.surging(2.0), HOUR_TICKS) / its.months),
    ("jump_50", "5-minute jump of ln base fee, median", lambda its: jump(its, 0.5)),
    ("jump_99", "5-minute jump of ln base fee, 99 %", lambda its: jump(its, 0.99)),
    ("jump_99_9", "5-minute jump of ln base fee, 99.9 %", lambda its: jump(its, 0.999)),
)
ORDERS: Measures[Rates] = (
    ("orders_per_s", "orders per second, mean", lambda its: float(its.per_s.mean())),
    ("dispersion_1", "variance over mean of counts in 1 s", lambda its: dispersion(its.per_s, 1)),
    ("dispersion_15", "variance over mean of counts in 15 s", lambda its: dispersion(its.per_s, 15)),
    ("dispersion_60", "variance over mean of counts in 60 s", lambda its: dispersion(its.per_s, 60)),
    ("bursts", "deviation over mean of counts in 60 s", lambda its: bursts(its)),
    ("rushes", "doublings of the rate over its 1 h median, a day", lambda its: rushes(its)),
)


def measure(history: Tables) -> Facts:
    """The facts of a history; those whose tables are missing are None and have no curve."""
    prices, chain, orders = moves(history), fees(history), rates(history)
    shares = lead(prices, chain) if prices and chain else [None] * (len(VIOLENT) + 1)
    found = [*told(MARKET, prices), *told(CHAIN, chain), *lead_facts(shares), *told(ORDERS, orders)]
    curves = [*market_curves(prices), *chain_curves(chain), *lead_curve(shares), *order_curves(orders)]
    return Facts(tuple(found), tuple(curves))


def told(measures: Measures[T], series: T | None) -> Iterator[Fact]:
    """Facts of some series."""
    for name, label, of in measures:
        yield fact(name, label, None if series is None else of(series))


def fact(name: str, label: str, value: float | None) -> Fact:
    """A fact; a value that is not finite is None."""
    return Fact(name, label, None if value is None or not math.isfinite(value) else float(value))


def lead_facts(shares: Sequence[float | None]) -> Iterator[Fact]:
    """Volatility before congestion."""
    for share, value in zip(VIOLENT, shares, strict=False):
        yield fact(f"lead_{share}", f"fee surge within 15 min of a bar in the top {100 * share:g} %", value)
    yield fact("lead_other", "the same of any other bar", shares[-1])


def lead_curve(shares: Sequence[float | None]) -> Iterator[Curve]:
    """The same, drawn."""
    known = [(share, value) for share, value in zip((*VIOLENT, 1.0), shares, strict=True) if value is not None]
    if known:
        x, y = zip(*known, strict=True)
        yield Curve(
            "lead", "fee surge within 15 min of a violent bar", "most violent share of bars (1: all others)", x, y, "x"
        )


def lead(moves: Moves, fees: Fees) -> list[float | None]:
    """Shares of bars that a fee surge follows: of the most violent ones, and last of all others; None without such bars."""
    fee = pl.Series(fees.value).exp()
    before = fee.rolling_mean(BEFORE_TICKS).shift(1)
    after = fee.rolling_mean(AFTER_TICKS).shift(-AFTER_TICKS)
    surges = pl.DataFrame({"tick": fees.tick, "surge": after > LEAD_FACTOR * before}).drop_nulls()
    levels = [float(np.quantile(moves.log_volatility, 1 - share)) for share in VIOLENT]
    bars = pl.DataFrame({"tick": moves.tick, "size": moves.log_volatility}).join(surges, on="tick")
    size, surge = bars["size"].to_numpy(), bars["surge"].to_numpy()
    return [mean(surge[size >= level]) for level in levels] + [mean(surge[size < levels[-1]])]


def related(moves: Moves) -> float | None:
    """Correlation of the returns of both symbols where both are known."""
    known = np.isfinite(moves.other_returns)
    return float(np.corrcoef(moves.returns[known], moves.other_returns[known])[0, 1]) if known.sum() > 2 else None


def jump(fees: Fees, level: float) -> float | None:
    """A quantile of the change of ln fee from tick to tick, whatever its sign."""
    changes = np.abs(np.diff(fees.value))
    return float(np.quantile(changes, level)) if len(changes) else None


def bursts(rates: Rates) -> float:
    """Deviation over mean of the counts by minute; unlike the dispersion it does not grow with the rate."""
    return math.sqrt(dispersion(rates.per_s, 60) / (60 * float(rates.per_s.mean())))


def rushes(rates: Rates) -> float:
    """Times a day that the 15-second rate passes twice its median of the last hour, those within 5 minutes being one."""
    each = rates.per_s[: len(rates.per_s) // 15 * 15].reshape(-1, 15).mean(1)
    usual = pl.Series(each).rolling_median(240, min_samples=240).fill_null(math.inf).to_numpy()
    return episodes(each > 2 * usual, 20) / (len(rates.per_s) / 86400)


def both(measured: Sequence[Facts]) -> Iterator[tuple[str, list[float | None]]]:
    """Label and values of each fact, side by side."""
    for fact in measured[0].facts:
        yield fact.label, [one.value(fact.name) for one in measured]
