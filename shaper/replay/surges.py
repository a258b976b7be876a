"""Seeded order flow with surges: an intensity that wobbles, surges with and without warning, and the orders drawn from it.

Decided here: the shape of a surge (a straight ramp to a multiple of the calm, the same down), and how its tiers shift.
"""

from dataclasses import dataclass

import numpy as np

from shaper.replay.orders import Clients, Orders, orders_of
from shaper.replay.trace import Floats
from shaper.venue import Venue

STEP_S = 1.0  # of the intensity


@dataclass(frozen=True, slots=True)
class Surge:
    """A surge that begins at a time drawn from [earliest_s, latest_s] and lasts `length_s`, to `factor` times the calm.

    Factor and length vary from seed to seed by a log-normal of `spread`. `heralded` says whether anything precedes it that a
    forecast could see. `tilt` multiplies tiers' shares meanwhile, as (tier, times).
    """

    earliest_s: float
    latest_s: float
    factor: float
    length_s: float
    ramp_s: float = 10.0
    spread: float = 0.15
    heralded: bool = True
    tilt: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Market:
    """Order flow: `calm_per_s` orders that wobble (log-normal, `wobble_sd`, correlated over `wobble_s`), and surges."""

    length_s: float = 1500.0
    calm_per_s: float = 40.0
    wobble_sd: float = 0.06
    wobble_s: float = 120.0
    surges: tuple[Surge, ...] = ()


@dataclass(frozen=True, slots=True)
class Episode:
    """A surge as one seed drew it; `level` is the multiple of the calm."""

    start_s: float
    end_s: float
    level: float
    surge: Surge


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """What one seed drew: intensity in orders/s by second and tier (seconds, tiers), the surges, and the orders."""

    intensity: Floats
    episodes: tuple[Episode, ...]
    orders: Orders


def draw(venue: Venue, market: Market, clients: Clients, seed: int) -> Flow:
    """The flow of a seed; equal seeds give equal flows."""
    rng = np.random.Generator(np.random.PCG64([seed, 1]))
    seconds = np.arange(round(market.length_s / STEP_S), dtype=np.float64) * STEP_S
    episodes = tuple(_episode(surge, rng) for surge in market.surges)
    shares = np.tile([tier.demand_share for tier in venue.tiers], (len(seconds), 1))
    level = np.exp(_wobble(market, len(seconds), rng)) * market.calm_per_s
    for episode in episodes:
        on = _profile(episode, seconds)
        level *= 1 + on * (episode.level - 1)
        tilt = np.array([dict(episode.surge.tilt).get(tier.name, 1.0) for tier in venue.tiers])
        shares *= 1 + on[:, None] * (tilt - 1)
    intensity = level[:, None] * shares / shares.sum(axis=1, keepdims=True)
    return Flow(intensity, episodes, _orders(venue, clients, intensity, market.length_s, rng, seed))


def _episode(surge: Surge, rng: np.random.Generator) -> Episode:
    start = float(rng.uniform(surge.earliest_s, surge.latest_s))
    factor, length = np.exp(surge.spread * rng.standard_normal(2)) * (surge.factor, surge.length_s)
    return Episode(start, start + float(length), float(factor), surge)


def _wobble(market: Market, count: int, rng: np.random.Generator) -> Floats:
    """A stationary first-order autoregression, one value a step."""
    keep = np.exp(-STEP_S / market.wobble_s)
    push = rng.standard_normal(count) * market.wobble_sd * np.sqrt(1 - keep**2)
    state = np.empty(count)
    state[0] = market.wobble_sd * rng.standard_normal()
    for i in range(1, count):
        state[i] = keep * state[i - 1] + push[i]
    return state


def _profile(episode: Episode, seconds: Floats) -> Floats:
    """0 before and after, 1 during, straight in between."""
    ramp = max(episode.surge.ramp_s, 1e-9)
    rise, fall = (seconds - episode.start_s) / ramp, (episode.end_s + ramp - seconds) / ramp
    return np.clip(np.minimum(rise, fall), 0, 1)


def _orders(
    venue: Venue, clients: Clients, intensity: Floats, length_s: float, rng: np.random.Generator, seed: int
) -> Orders:
    """A Poisson number of orders in each second and tier, at uniform times in it."""
    counts = rng.poisson(intensity * STEP_S)
    second, tier = (index.ravel() for index in np.indices(counts.shape))
    at = (np.repeat(second, counts.ravel()) + rng.random(int(counts.sum()))) * STEP_S
    order = np.argsort(at, kind="stable")
    return orders_of(venue, clients, at[order], np.repeat(tier, counts.ravel())[order].astype(np.int8), length_s, seed)
