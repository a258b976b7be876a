"""Demand as it is measured now: orders a second, counted over the last seconds.

Decided here: how orders are counted from rows that may come late or twice, and what is believed when none were counted.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl

from data.schemas import TABLES
from shaper.venue import DemandMap

ORDER_TABLES = ("request_counts", "arrivals")  # the first that has rows in the window tells; they count the same orders
US = 1e6  # microseconds of a second
LAG_US = {name: 1_000_000 * int(TABLES[name].lag_s) for name in ORDER_TABLES}  # from a row's time until it is known
Key = tuple[float, str | None]


class Rate(NamedTuple):
    """Orders a second, and the time (seconds since 1970) in the middle of what was measured."""

    per_s: float
    at_s: float


@dataclass
class RecentOrders:
    """Orders of the last `window_s` seconds by table, time and tier; a repeated row counts once."""

    window_s: float
    counts: dict[str, dict[Key, tuple[float, float]]] = field(default_factory=dict)

    def take(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Count the orders in canonical frames; other tables are passed over."""
        for name in ORDER_TABLES:
            frame = frames.get(name)
            if frame is None or frame.is_empty():
                continue
            held = self.counts.setdefault(name, {})
            held.update(counted(name, frame, 2 * self.window_s))
            newest = max(known for known, _ in held.values())
            self.counts[name] = {key: row for key, row in held.items() if key[0] >= newest - 2 * self.window_s}

    def turn_back(self, at_s: float) -> None:
        """The clock went back to a time: orders of later ones have not come."""
        self.counts = {
            name: {key: row for key, row in held.items() if row[0] <= at_s} for name, held in self.counts.items()
        }

    def rate(self, at_s: float, max_age_s: float | None = None) -> Rate | None:
        """Mean rate over the window that ends with the newest order known by a time.

        None if that order is `max_age_s` old or older (by default the window's length). The window follows the orders and
        not the clock, so that rows that come two seconds late do not look like calm.
        """
        oldest_s = at_s - (self.window_s if max_age_s is None else max_age_s)
        for name in ORDER_TABLES:
            held = self.counts.get(name, {}).items()
            rows = [(ts, known, orders) for (ts, _), (known, orders) in held if known <= at_s]
            end_s = max((known for _, known, _ in rows), default=-math.inf)
            if end_s > oldest_s:
                total = sum(orders for ts, _, orders in rows if ts >= end_s - self.window_s)
                return Rate(total / self.window_s, end_s - self.window_s / 2)
        return None


def counted(name: str, frame: pl.DataFrame, tail_s: float) -> dict[Key, tuple[float, float]]:
    """(when known, orders) by time and tier, of the last seconds of a frame."""
    us = frame["ts"].to_numpy().astype("datetime64[us]").astype(np.int64)
    recent = us >= us.max() - tail_s * US
    orders = frame["count"].to_numpy()[recent] if "count" in frame.columns else np.ones(recent.sum())
    known = us[recent] + LAG_US[name]
    rows = zip(
        us[recent].tolist(), known.tolist(), frame["tier"].to_numpy()[recent].tolist(), orders.tolist(), strict=True
    )
    found: dict[Key, tuple[float, float]] = {}
    for second, known_us, tier, n in rows:
        key = second / US, tier
        found[key] = known_us / US, found.get(key, (0.0, 0.0))[1] + n
    return found


def mapped(demand: DemandMap, values: Mapping[str, float]) -> float | None:
    """Orders a second that known target values imply: exp(intercept + Σ coefficient·value); None if one is unknown."""
    terms = [factor * values.get(name, math.nan) for name, factor in demand.coefficients]
    log = demand.intercept + sum(terms)
    return math.exp(min(log, 700.0)) if math.isfinite(log) else None
