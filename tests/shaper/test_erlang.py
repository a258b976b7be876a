import heapq
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaper.erlang import (
    beta_for_delay,
    economic_beta,
    erlang_a,
    erlang_b,
    erlang_c,
    halfin_whitt,
    mean_wait_s,
    servers_for_blocking,
    square_root_servers,
)
from shaper.staffing import Load, Prices, cost_usd_per_s, ranked_usd_per_s, regime, servers

ORDERS = 60_000


def queue_waits(servers: int, gaps: np.ndarray, services: np.ndarray, patience: np.ndarray | None = None) -> np.ndarray:
    """Waits of a first-in-first-out queue, inf for those that abandon."""
    free, waits, now = [0.0] * servers, np.empty(len(gaps)), 0.0
    for i, (gap, service) in enumerate(zip(gaps.tolist(), services.tolist(), strict=True)):
        now += gap
        start = max(free[0], now)
        if patience is not None and start - now > patience[i]:
            waits[i] = math.inf
            continue
        heapq.heapreplace(free, start + service)
        waits[i] = start - now
    return waits[len(gaps) // 10 :]


def random(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def test_erlang_b_is_its_closed_form() -> None:
    for servers_, load in ((1, 0.5), (5, 3.0), (10, 10.0)):
        terms = [load**n / math.factorial(n) for n in range(servers_ + 1)]
        assert erlang_b(servers_, load) == pytest.approx(terms[-1] / sum(terms))
    assert erlang_b(10, 10.0) == pytest.approx(0.2146, abs=1e-4)


def test_erlang_c_of_one_server_is_its_load_and_one_from_saturation_on() -> None:
    assert erlang_c(1, 0.7) == pytest.approx(0.7)
    assert erlang_c(10, 8.0) == pytest.approx(0.4092, abs=1e-4)
    assert erlang_c(3, 3.0) == 1.0
    assert mean_wait_s(1, 0.5, 2.0) == pytest.approx(0.5 * 2 / 0.5)
    assert mean_wait_s(3, 3.0, 1.0) == math.inf


@given(st.floats(0.1, 60), st.floats(0.001, 0.5))
def test_the_fewest_servers_for_a_blocking_keep_it_and_one_less_does_not(load: float, target: float) -> None:
    count = servers_for_blocking(load, target)
    assert erlang_b(count, load) <= target < erlang_b(count - 1, load)


def test_many_servers_wait_as_halfin_and_whitt_say() -> None:
    for beta in (0.5, 1.0, 2.0):
        assert erlang_c(square_root_servers(10_000.0, beta), 10_000.0) == pytest.approx(halfin_whitt(beta), rel=0.03)
    assert halfin_whitt(beta_for_delay(0.2)) == pytest.approx(0.2)
    assert beta_for_delay(1e-30) == 8.0


def test_square_root_staffing_with_the_economic_beta_is_the_cheapest_number_of_servers() -> None:
    load, ratio = 100.0, 20.0

    def cost(count: int) -> float:
        return count + ratio * erlang_c(count, load) * load / (count - load)

    best = min(range(101, 160), key=cost)
    assert square_root_servers(load, economic_beta(ratio, 1.0)) == pytest.approx(best, abs=1)


def test_patience_as_long_as_service_makes_the_number_in_the_system_poisson() -> None:
    state = erlang_a(12, 10.0, 1.0)
    tail = 1 - sum(math.exp(-10) * 10**n / math.factorial(n) for n in range(12))
    queue = sum((n - 12) * math.exp(-10) * 10**n / math.factorial(n) for n in range(13, 80))
    assert (state.waits, state.queue) == (pytest.approx(tail), pytest.approx(queue))


def test_endless_patience_is_erlang_c_and_none_is_erlang_b() -> None:
    assert erlang_a(12, 10.0, 1e7).waits == pytest.approx(erlang_c(12, 10.0), rel=1e-4)
    assert erlang_a(12, 10.0, 1e-7).abandons == pytest.approx(erlang_b(12, 10.0), rel=1e-4)
    assert erlang_a(2000, 2100.0, 1.0).abandons == pytest.approx(1 - 2000 / 2100, rel=0.2)


def test_a_simulated_queue_waits_as_erlang_c_says() -> None:
    draw = random()
    waits = queue_waits(8, draw.exponential(1 / 6.5, ORDERS), draw.exponential(1.0, ORDERS))
    assert (waits > 0).mean() == pytest.approx(erlang_c(8, 6.5), rel=0.08)
    assert waits.mean() == pytest.approx(mean_wait_s(8, 6.5, 1.0), rel=0.15)


def test_a_simulated_queue_abandons_as_erlang_a_says() -> None:
    draw = random(2)
    gaps, services = draw.exponential(1 / 11.0, ORDERS), draw.exponential(1.0, ORDERS)
    waits = queue_waits(10, gaps, services, draw.exponential(0.5, ORDERS))
    assert np.isinf(waits).mean() == pytest.approx(erlang_a(10, 11.0, 0.5).abandons, rel=0.05)


def test_a_simulated_queue_of_other_laws_waits_about_as_allen_and_cunneen_say() -> None:
    draw = random(3)
    gaps = draw.gamma(2.0, 1 / 2 / 7.4, ORDERS)  # squared coefficient of variation 1/2
    for shape, off in ((2.0, 0.2), (0.5, 0.35)):  # services vary by 1/2, then by 2, where the formula is less exact
        waits = queue_waits(8, gaps, draw.gamma(shape, 1 / shape, ORDERS))
        assert waits.mean() == pytest.approx(mean_wait_s(8, 7.4, 1.0, 0.5, 1 / shape), rel=off)


@pytest.mark.parametrize(
    ("load", "named"),
    [
        (Load(100.0, 30.0, 5.0), "newsvendor"),
        (Load(100.0, 5.0, 5.0), "erlang-a"),
        (Load(100.0, 5.0, math.inf), "square-root"),
    ],
)
def test_the_regime_follows_forecast_variance_and_patience(load: Load, named: str) -> None:
    assert regime(load) == named


def test_erlang_a_servers_are_the_cheapest_by_brute_force() -> None:
    load, prices = Load(40.0, 2.0, 3.0), Prices(1.0, 2.0, 5.0)
    best = min(range(1, 100), key=lambda count: cost_usd_per_s(count, load, prices, 1.0))
    assert servers(load, prices, 1.0) == best


def test_a_wide_forecast_is_staffed_at_the_critical_quantile() -> None:
    found = servers(Load(100.0, 30.0, 3.0), Prices(1.0, 2.0, 4.0), 1.0)
    assert found == math.ceil(100 + 30 * 0.67449)


def test_the_newsvendor_beats_square_root_staffing_where_the_rate_is_uncertain_and_loses_where_it_is_not() -> None:
    draw, prices = random(4), Prices(1.0, 0.0, 6.0)

    def cost(count: int, load: Load) -> float:
        rates = np.maximum(load.mean + load.sd * draw.standard_normal(400), 1.0)
        states = [cost_usd_per_s(count, Load(float(rate), 0.0, load.patience), prices, 1.0) for rate in rates]
        return float(np.mean(states))

    wide, narrow = Load(100.0, 30.0, 1.0), Load(100.0, 1.0, 1.0)
    rooted = servers(narrow, prices, 1.0)
    assert cost(servers(wide, prices, 1.0), wide) < cost(rooted, wide)
    assert cost(rooted, narrow) < cost(servers(Load(100.0, 11.0, 1.0), prices, 1.0) + 5, narrow)


def test_a_simulated_queue_by_priority_waits_as_the_ranks_are_priced() -> None:
    """Two tiers on 25 servers with a load of 22: the first, 60 % of the orders, hardly waits."""
    draw, servers_, load = random(5), 25, 22.0
    at = np.cumsum(draw.exponential(1 / load, ORDERS)).tolist()
    first, services = (draw.random(ORDERS) < 0.6).tolist(), draw.exponential(1.0, ORDERS).tolist()
    busy: list[float] = []
    lines: tuple[list[int], list[int]] = ([], [])
    waited = [0.0, 0.0]

    def start(order: int, now: float) -> None:
        waited[first[order]] += now - at[order]
        heapq.heappush(busy, now + services[order])

    for order, now in enumerate(at):
        while busy and busy[0] <= now:
            free = heapq.heappop(busy)
            line = lines[0] or lines[1]
            if line:
                start(line.pop(0), free)
        if len(busy) < servers_:
            start(order, now)
        else:
            lines[0 if first[order] else 1].append(order)
    costs = waited[True] / at[-1], waited[False] / at[-1]
    assert ranked_usd_per_s(servers_, load, 1.0, ((0.6, 0.9), (1.0, 0.1))) == pytest.approx(
        costs[0] + 0.1 * costs[1], rel=0.12
    )
    assert ranked_usd_per_s(servers_ + 5, load, 1.0, ((0.6, 0.9), (1.0, 0.1))) < 0.4 * costs[0]
    assert ranked_usd_per_s(100, load, 1.0, ((1.0, 1.0),)) == 0.0
