"""Small venues, forecasts and traces that the tests of the shaper share."""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from shaper.forecast import Forecast
from shaper.replay.trace import ForecastSeries, Trace
from shaper.venue import Node, Pool, Tier, Venue

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
HORIZONS = tuple(range(1, 21))
CRITICAL = Tier("critical", 0, 0.05, 5.0, 10.0, 0.1, 0.1)
MAKER = Tier("maker", 1, 0.005, 0.05, 10.0, 0.05, 0.6)
BULK = Tier("bulk", 2, 0.0005, 0.01, 120.0, 0.05, 0.3)
POOL = Pool("gateway", 5.0, 2, 400, 60.0, 0.002)
NODES = (
    Node("a", "one", "eu", "l2", 60.0, 0.02, 0.0010),
    Node("b", "one", "us", "l2", 60.0, 0.03, 0.0005),
    Node("c", "two", "eu", "l2", 40.0, 0.05, 0.0001),
    Node("d", "three", "ap", "l2", 40.0, 0.05, 0.0001),
)


def venue(delay_s: float = 60.0, nodes: tuple[Node, ...] = ()) -> Venue:
    """Three tiers on one pool."""
    return Venue((CRITICAL, MAKER, BULK), replace(POOL, actuation_delay_s=delay_s), nodes)


def one_tier(delay_cost_usd_per_s: float, delay_s: float = 60.0) -> Venue:
    """A single tier that never expires within the planning lead, so that the newsvendor has its closed form."""
    return Venue((Tier("all", 0, delay_cost_usd_per_s, 0.0, 1e6, 0.0, 1.0),), replace(POOL, actuation_delay_s=delay_s))


def forecast(median: float = 100.0, spread: float = 0.2, issued_at_s: float = 1000.0) -> Forecast:
    """Log-normal demand around one median, the same at every horizon; 20 ticks of 15 s."""
    curve = tuple(math.log(median) + spread * NormalDist().inv_cdf(level) for level in LEVELS)
    return Forecast(
        issued_at_s,
        issued_at_s + 60,
        15.0,
        "test",
        "digest",
        ("demand",),
        HORIZONS,
        LEVELS,
        ((curve,) * 20,),
        ((0.1,) * 20,),
    )


def trace_of(rates: np.ndarray, of: Venue, start_s: float = 0.0, slot_s: float = 5.0) -> Trace:
    """Orders per slot from rates (orders/s), shared over the tiers as usual."""
    return Trace(slot_s, start_s, np.outer(rates * slot_s, [tier.demand_share for tier in of.tiers]))


class AutoregressiveDemand:
    """ln demand of 15-s ticks as AR(1) about a median, whose quantiles at every horizon are known exactly."""

    def __init__(
        self, ticks: int, seed: int, median: float = 60.0, persistence: float = 0.95, sd: float = 0.12
    ) -> None:
        random = np.random.Generator(np.random.PCG64(seed))
        state = np.zeros(ticks)
        for i in range(1, ticks):
            state[i] = persistence * state[i - 1] + sd * random.standard_normal()
        self.state, self.middle, self.persistence, self.sd = state, math.log(median), persistence, sd

    def trace(self, of: Venue, first: int, last: int) -> Trace:
        """The ticks first..last in slots of 5 s."""
        return trace_of(np.repeat(np.exp(self.middle + self.state[first:last]), 3), of, first * 15.0)

    def forecasts(self) -> ForecastSeries:
        """What an honest model would say at the end of every tick."""
        steps = np.array(HORIZONS, dtype=np.float64)
        fade = self.persistence**steps
        spread = self.sd * np.sqrt((1 - fade**2) / (1 - self.persistence**2))
        z = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
        log = self.middle + self.state[:, None, None] * fade[:, None] + spread[:, None] * z
        return self._series(log)

    def perfect(self) -> ForecastSeries:
        """What one would say who knows the future: every level is what comes."""
        after = np.minimum(np.arange(len(self.state))[:, None] + np.array(HORIZONS), len(self.state) - 1)
        return self._series(np.repeat(self.middle + self.state[after][:, :, None], len(LEVELS), axis=2))

    def _series(self, log: np.ndarray) -> ForecastSeries:
        issued = (np.arange(len(self.state)) + 1) * 15.0
        spike = np.full((len(log), 1, len(HORIZONS)), 0.1)
        return ForecastSeries(issued, log[:, None], spike, 15.0, ("demand",), HORIZONS, LEVELS, 60.0, "ar1", "digest")
