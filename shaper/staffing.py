"""Which law sets capacity: the newsvendor where the rate itself is uncertain, queueing where only arrivals and services are.

Decided here: the regime. With σ the standard deviation of the forecast load and R its mean, both in servers, the randomness of
M/M/c is √R; where σ exceeds it, the newsvendor on the forecast is optimal to lower order (Bassamboo, Randhawa, Zeevi 2010).
Otherwise Erlang-A where orders expire soon, square-root staffing where they do not. Where tiers are served by priority only the
last ones wait, so that waiting is priced tier by tier (`ranked_servers`) and not at its mean.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from shaper.erlang import economic_beta, erlang_a, halfin_whitt, square_root_servers

Regime = Literal["newsvendor", "erlang-a", "square-root"]
PATIENT = 50.0  # mean patience in service times from which abandonment no longer matters

STEEPEST = 6.0  # β from which nobody waits
HEAVIEST = 0.25  # β below which a queue is still growing when the next plan is made
Ranks = tuple[
    tuple[float, float], ...
]  # by priority: share of the load up to a tier, USD/s of one waiting order beyond the next tier's


@dataclass(frozen=True, slots=True)
class Load:
    """Forecast load in servers (mean and standard deviation), and mean patience in service times (inf: nobody leaves)."""

    mean: float
    sd: float
    patience: float


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per server and second, per waiting order and second, and per order that is lost."""

    server_usd_per_s: float
    wait_usd_per_s: float
    lost_usd: float


def regime(load: Load) -> Regime:
    """The law that fits a load."""
    if load.sd**2 > load.mean:
        return "newsvendor"
    return "erlang-a" if load.patience < PATIENT else "square-root"


def servers(load: Load, prices: Prices, service_s: float) -> int:
    """Servers at the least cost under the regime of a load, for services of a mean time."""
    chosen = regime(load)
    if chosen == "erlang-a":
        return erlang_a_servers(load, prices, service_s)
    if chosen == "square-root":
        return max(square_root_servers(load.mean, economic_beta(prices.wait_usd_per_s, prices.server_usd_per_s)), 1)
    lost_usd_per_s = prices.lost_usd / service_s
    level = max(lost_usd_per_s - prices.server_usd_per_s, 0.0) / lost_usd_per_s
    margin = NormalDist().inv_cdf(min(max(level, 1e-6), 1 - 1e-6)) * load.sd
    return max(square_root_servers(load.mean + margin, 0.0), 1) if load.mean + margin > 0 else 1


def ranked_usd_per_s(count: int, mean: float, irregularity: float, ranks: Ranks) -> float:
    """USD per second of waiting for a number of servers and a load of `mean` servers, for tiers that are served by priority.

    With R_k the load of the first k tiers, P(wait)·R_k/(c − R_k) of their orders wait (M/M/c without preemption: Cobham 1954,
    Kella, Yechiali 1985), times the irregularity; P is Halfin-Whitt's. The load is taken to be at most so near to the servers
    as `HEAVIEST` says: beyond that queues do not settle within a plan's time.
    """
    beta = (count - mean) / math.sqrt(mean)
    if beta > STEEPEST:
        return 0.0
    near = max(beta, HEAVIEST)
    free = near * math.sqrt(mean)
    waiting = sum(step_usd * share * mean / (free + (1 - share) * mean) for share, step_usd in ranks)
    return halfin_whitt(near) * waiting * irregularity


def erlang_a_servers(load: Load, prices: Prices, service_s: float) -> int:
    """Fewest servers such that one more costs more than it saves, by bisection: cost(c) is convex for Erlang-A."""
    low, high = 1, max(square_root_servers(load.mean, 8.0), 2)
    while low < high:
        middle = (low + high) // 2
        saved = cost_usd_per_s(middle, load, prices, service_s) - cost_usd_per_s(middle + 1, load, prices, service_s)
        low, high = (middle + 1, high) if saved > 0 else (low, middle)
    return low


def cost_usd_per_s(count: int, load: Load, prices: Prices, service_s: float) -> float:
    """USD per second of servers, waiting and abandonment in M/M/c+M."""
    state = erlang_a(count, load.mean, load.patience)
    lost_per_s = state.abandons * load.mean / service_s
    return count * prices.server_usd_per_s + state.queue * prices.wait_usd_per_s + lost_per_s * prices.lost_usd
