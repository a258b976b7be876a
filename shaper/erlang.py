"""Queues with known laws: how many servers keep delay, loss or abandonment low when arrivals are random but their rate is known.

λ: arrivals per second, μ: services per second of one server, R = λ/μ: offered load in servers, θ: 1/mean patience.
Sources: Erlang 1917; Jagerman 1974 (recurrence); Halfin, Whitt 1981; Borst, Mandelbaum, Reiman 2004; Palm 1946 and Garnett,
Mandelbaum, Reiman 2002 (Erlang-A); Allen 1990 (Allen-Cunneen).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from shaper.solvers import optimize

NORMAL = NormalDist()
NEGLIGIBLE = 1e-15  # states rarer than this, relative to the commonest, end the sum of Erlang-A


@dataclass(frozen=True, slots=True)
class Abandonment:
    """Steady state of M/M/c+M: probability that an order waits, that it abandons, and the mean number waiting."""

    waits: float
    abandons: float
    queue: float


def erlang_b(servers: int, load: float) -> float:
    """Probability that an arrival finds all servers busy when nobody waits: B(n) = R·B(n−1)/(n + R·B(n−1))."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """Probability that an order waits in M/M/c: c·B/(c − R·(1 − B)), 1 from R = c on."""
    if load >= servers:
        return 1.0
    blocked = erlang_b(servers, load)
    return servers * blocked / (servers - load * (1 - blocked))


def mean_wait_s(
    servers: int, load: float, service_s: float, arrival_cv2: float = 1.0, service_cv2: float = 1.0
) -> float:
    """Mean wait in G/G/c, exact for M/M/c: C(c, R)·s/(c − R)·(cₐ² + cₛ²)/2 (Allen-Cunneen); infinite from R = c on."""
    if load >= servers:
        return math.inf
    return erlang_c(servers, load) * service_s / (servers - load) * (arrival_cv2 + service_cv2) / 2


def halfin_whitt(beta: float) -> float:
    """Limit of the probability to wait with R + β√R servers: 1/(1 + β·Φ(β)/φ(β))."""
    return 1 / (1 + beta * NORMAL.cdf(beta) / NORMAL.pdf(beta))


def beta_for_delay(probability: float) -> float:
    """The β at which an order waits with a probability in (0, 1), by root finding; at most 8."""
    if halfin_whitt(8.0) >= probability:
        return 8.0
    return float(optimize().brentq(lambda beta: halfin_whitt(beta) - probability, 1e-9, 8.0))


def economic_beta(wait_usd_per_s: float, server_usd_per_s: float) -> float:
    """The β at which servers and waiting cost least together: argmin β + r·P(β)/β, r the ratio of the two costs, within 0.01..8."""
    ratio = wait_usd_per_s / server_usd_per_s

    def cost(beta: float) -> float:
        return beta + ratio * halfin_whitt(beta) / beta

    return float(optimize().minimize_scalar(cost, bounds=(0.01, 8.0), method="bounded").x)


def square_root_servers(load: float, beta: float) -> int:
    """R + β√R, rounded up."""
    return math.ceil(load + beta * math.sqrt(load) - 1e-9)


def servers_for_blocking(load: float, probability: float) -> int:
    """Fewest servers at which an arrival finds all of them busy with at most a probability in (0, 1)."""
    blocked, n = 1.0, 0
    while blocked > probability:
        n += 1
        blocked = load * blocked / (n + load * blocked)
    return n


def erlang_a(servers: int, load: float, patience: float) -> Abandonment:
    """M/M/c+M with a mean patience in service times, by its birth-death chain: with n orders, μ·min(n, c) + θ·(n − c)⁺ leave.

    P(abandon) = θ·E(queue)/λ. Raises ValueError unless there are servers, load and patience.
    """
    if servers < 1 or not (load > 0 and patience > 0):
        raise ValueError(f"expected servers, load and patience above 0, found {servers}, {load}, {patience}")
    below, state = 1.0, 1.0  # weights relative to the state with all servers busy and nobody waiting
    for n in range(servers, 0, -1):
        state *= n / load
        below += state
        if state < NEGLIGIBLE * below and n < load:
            break
    below -= 1.0
    state, above, queue, waiting = 1.0, 1.0, 0.0, 0
    while state > NEGLIGIBLE * above or waiting < load - servers:
        waiting += 1
        state *= load / (servers + waiting / patience)
        above += state
        queue += waiting * state
    total = below + above
    return Abandonment(above / total, queue / total / patience / load, queue / total)
