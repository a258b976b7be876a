"""Admission that reacts to latency: an adaptive limit of concurrency, and rates that rise slowly and fall fast.

Decided here: their constants, which are those of their sources where these name any.
"""

from dataclasses import replace
from typing import Protocol

import numpy as np

from shaper.replay.levers import Seen, Settings
from shaper.replay.trace import Floats
from shaper.venue import Venue, urgency_usd_per_s

QUICK_S = 1.0  # wait at which rates are cut


def fair_shares(venue: Venue) -> Floats:
    """Shares of the tiers by priority, (tiers,): their demand weighed with what a second of their waiting costs at the worst."""
    weights = np.array(
        [max(tier.demand_share, 1e-3) * max(urgency_usd_per_s(tier), 1e-6) for tier in venue.by_priority]
    )
    return np.asarray(weights / weights.sum())


class Pace(Protocol):
    """A rule of admission, asked every `every_s`; it remembers, so each run takes a new one."""

    every_s: float

    def applied(self, settings: Settings, seen: Seen) -> Settings:
        """The settings with admission set."""
        ...


class Gradient:
    """Concurrency limit by the gradient of latency (Netflix concurrency-limits, Gradient2).

    limit ← limit·clip(tolerance·long/short, ½, 1) + √limit, smoothed; long is a slow mean of the latency, short the newest.
    """

    every_s = 1.0
    SMOOTHING, SLOW = 0.2, 1 / 600

    def __init__(self, venue: Venue, tolerance: float = 1.5) -> None:
        self._service_s, self._tolerance = 1 / venue.pool.unit_rate_per_s, tolerance
        self._rate = venue.pool.unit_rate_per_s
        self._long_s, self._limit = self._service_s, 0.0

    def applied(self, settings: Settings, seen: Seen) -> Settings:
        """The settings with a limit on the orders under way."""
        if not self._limit:
            self._limit = 2.0 * max(seen.observed.ready_units, 1)
        begun = float(seen.begun.sum())
        if begun:
            short_s = self._service_s + float(seen.begun @ seen.wait_s) / begun
            self._long_s += self.SLOW * (short_s - self._long_s)
            self._long_s = min(self._long_s, 2 * short_s)
            gradient = float(np.clip(self._tolerance * self._long_s / short_s, 0.5, 1.0))
            wanted = self._limit * gradient + np.sqrt(self._limit)
            self._limit += self.SMOOTHING * (wanted - self._limit)
        most = 4.0 * max(seen.observed.ready_units, 1) + 10
        self._limit = min(max(self._limit, float(seen.observed.ready_units), 1.0), most)
        return replace(settings, limit=self._limit)


class Aimd:
    """Rates by class that grow by a share of the capacity a second, and are cut when the class waits (Chiu and Jain 1989).

    None falls below the class's fair share of the capacity.
    """

    every_s = 1.0
    RISE, CUT, HOLD_S = 0.1, 0.7, 3.0

    def __init__(self, venue: Venue) -> None:
        self._unit_rate = venue.pool.unit_rate_per_s
        self._shares = fair_shares(venue)
        self._rates, self._cut_at_s = np.zeros(0), np.full(len(venue.tiers), -np.inf)

    def applied(self, settings: Settings, seen: Seen) -> Settings:
        """The settings with a quota for each class."""
        capacity = max(seen.observed.ready_units, 1) * self._unit_rate
        if not len(self._rates):
            self._rates = 2 * capacity * self._shares
        slow = (seen.begun > 0) & (seen.wait_s > QUICK_S) & (seen.observed.at_s - self._cut_at_s >= self.HOLD_S)
        self._cut_at_s = np.where(slow, seen.observed.at_s, self._cut_at_s)
        self._rates = np.where(slow, self._rates * self.CUT, self._rates + self.RISE * capacity * self._shares)
        self._rates = np.clip(self._rates, capacity * self._shares, 3 * capacity)
        return replace(settings, quota_per_s=self._rates)
