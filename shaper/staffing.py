"""Which law sets capacity: the newsvendor where the rate itself is uncertain, queueing where only arrivals and services are.

Decided here: the regime. With σ the standard deviation of the forecast load and R its mean, both in servers, the randomness of
M/M/c is √R; where σ exceeds it, the newsvendor on the forecast is optimal to lower order (Bassamboo, Randhawa, Zeevi 2010).
Otherwise Erlang-A where orders expire soon, square-root staffing with the economic β where they do not.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from shaper.erlang import economic_beta, erlang_a, square_root_servers

Regime = Literal["newsvendor", "erlang-a", "square-root"]
PATIENT = 200.0  # mean patience in service times from which abandonment no longer matters


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
