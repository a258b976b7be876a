"""The event kernel: order of service, exact small cases, conservation, and queues whose waits are known in closed form."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shaper.replay.gateway import Discipline, Gateway
from shaper.replay.kernel import EXPIRED, REFUSED, SERVED, UNKNOWN
from shaper.replay.orders import Clients, Orders, from_trace, orders_of
from shaper.replay.trace import ReplayError, Trace
from shaper.venue import Node, Pool, Venue
from tests.shaper.ventures import BULK, CRITICAL

POOL = Pool("units", 1.0, 0, 100, 10.0, 0.002)
FIRST = replace(CRITICAL, demand_share=0.5, deadline_s=100.0, floor_share=0.0)
LAST = replace(BULK, demand_share=0.5, deadline_s=100.0, floor_share=0.0)
TWO = Venue((FIRST, LAST), POOL)
ONE = Venue((replace(FIRST, demand_share=1.0, deadline_s=1e9),), POOL)
PAIR = (Node("a", "x", "eu", "l", 1.0, 0.0, 0.0), Node("b", "y", "us", "l", 1.0, 0.0, 0.0))
PLAIN = Discipline(routing="least request")


def some(
    of: Venue, at: list[float], tiers: list[int] | None = None, length_s: float = 1000.0, **clients: float
) -> Orders:
    tier = np.array(tiers or [0] * len(at), np.int8)
    return orders_of(of, Clients(**{"returning": 0.0, **clients}), np.array(at, float), tier, length_s, 1)  # type: ignore[arg-type]


def gateway(orders: Orders, units: int, of: Venue = TWO, discipline: Discipline = PLAIN) -> Gateway:
    made = Gateway(of, orders, discipline)
    made.place(units)
    return made


def begun(made: Gateway, until_s: float = 1000.0) -> list[float]:
    made.advance(until_s)
    return np.round(made.book.begun, 9).tolist()


def test_one_unit_serves_in_order_of_arrival_one_second_each() -> None:
    assert begun(gateway(some(TWO, [0.0, 0.5, 0.5, 3.25]), 1)) == [0.0, 1.0, 2.0, 3.25]


def test_the_urgent_tier_goes_first_whenever_it_came() -> None:
    assert begun(gateway(some(TWO, [0.0, 0.1, 0.2, 0.3], [1, 1, 1, 0]), 1)) == [0.0, 2.0, 3.0, 1.0]


def test_a_floor_lets_a_starved_tier_have_its_share() -> None:
    of = replace(TWO, tiers=(FIRST, replace(LAST, floor_share=0.25)))
    orders = some(of, [0.0] * 40, [0] * 20 + [1] * 20)
    made = gateway(orders, 1, of)
    made.advance(16.5)
    served = orders.tier[made.book.fate == SERVED]
    assert (served == 1).sum() in (3, 4, 5)


def test_the_newest_goes_first_once_the_oldest_has_waited_too_long() -> None:
    lifo = replace(PLAIN, lifo_after_s=2.5)
    assert begun(gateway(some(TWO, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]), 1, discipline=lifo)) == [
        0.0,
        1.0,
        2.0,
        5.0,
        4.0,
        3.0,
    ]


def test_an_order_that_could_not_be_done_in_time_leaves_when_that_is_certain() -> None:
    of = replace(TWO, tiers=(replace(FIRST, deadline_s=3.0), LAST))
    made = gateway(some(of, [0.0] * 5), 1, of)
    made.advance(50.0)
    assert made.book.fate.tolist() == [SERVED, SERVED, EXPIRED, EXPIRED, EXPIRED]
    assert made.book.ended.tolist() == [1.0, 2.0, 2.0, 2.0, 2.0]


def test_a_client_leaves_when_its_patience_ends() -> None:
    orders = replace(some(TWO, [0.0, 0.0, 0.0]), patience_s=np.array([9.0, 0.5, 9.0]))
    made = gateway(orders, 1)
    assert begun(made)[2] == 1.0
    assert (made.book.fate[1], made.book.ended[1]) == (EXPIRED, 0.5)


def test_a_full_line_refuses_the_newcomer_and_under_lifo_the_oldest() -> None:
    fates = []
    for after in (None, 0.0):
        made = gateway(some(TWO, [0.0, 0.1, 0.2, 0.3]), 1, discipline=replace(PLAIN, lifo_after_s=after))
        made.hold(np.array([2.0, 2.0]))
        made.advance(0.5)
        fates.append(made.book.fate.tolist())
    assert fates == [[SERVED, UNKNOWN, UNKNOWN, REFUSED], [SERVED, REFUSED, UNKNOWN, UNKNOWN]]


def test_a_refused_client_comes_again_later_and_is_served() -> None:
    orders = some(TWO, [0.0, 0.1, 0.2], returning=1.0)
    made = gateway(orders, 1, discipline=replace(PLAIN, backoff_s=2.0, tries=3))
    made.hold(np.array([1.0, 1.0]))
    made.advance(100.0)
    assert made.book.fate.tolist() == [SERVED] * 3
    assert made.book.tries.tolist() == [0, 0, 1]
    assert 1.2 <= made.book.begun[2] <= 4.2


def test_a_client_that_never_gets_in_is_refused_in_the_end() -> None:
    made = gateway(some(TWO, [0.0, 0.1], returning=1.0), 0, discipline=replace(PLAIN, tries=2))
    made.limit(0.0)
    made.advance(100.0)
    assert made.book.fate.tolist() == [REFUSED, REFUSED]
    assert made.book.tries.tolist() == [2, 2]


def test_a_quota_admits_its_rate_and_what_was_saved_up() -> None:
    made = gateway(some(TWO, [float(t) for t in range(20)]), 9)
    made.admit(np.array([0.5, 0.5]), 4.0)
    made.advance(30.0)
    assert (made.book.fate == SERVED).sum() == 11


def test_fair_lines_share_by_weight() -> None:
    orders = some(TWO, [0.0] * 80, [0, 1] * 40)
    made = gateway(orders, 1, discipline=Discipline(lines="fair", routing="least request"))
    made._state.gate.share[:] = (3.0, 1.0)
    made.advance(40.5)
    first = (orders.tier[made.book.fate == SERVED] == 0).sum()
    assert 29 <= first <= 31


def test_round_robin_takes_the_nodes_in_turn_and_power_of_two_the_shorter_line() -> None:
    of = replace(TWO, nodes=PAIR)
    for routing, most in (("round robin", 0), ("least request", 1)):
        made = gateway(some(of, [0.0] * 10), 2, of, Discipline(late=False, lines="one", routing=routing))  # type: ignore[arg-type]
        made.advance(20.0)
        assert abs(int((made.book.node == 0).sum()) - 5) <= most


def test_orders_of_a_node_that_fails_are_served_elsewhere() -> None:
    of = replace(TWO, nodes=PAIR)
    made = gateway(some(of, [0.0, 0.0]), 2, of)
    made.advance(0.5)
    made.speed(np.array([0.0, 1.0]))
    made.advance(10.0)
    assert made.book.fate.tolist() == [SERVED, SERVED]
    assert made.book.node.tolist() == [1, 1]
    assert sorted(made.book.begun.tolist()) == [0.0, 1.5]


def test_a_slow_node_takes_longer() -> None:
    made = gateway(some(TWO, [1.0]), 1)
    made.speed(np.array([0.5]))
    made.advance(10.0)
    assert made.book.ended.tolist() == [3.0]


def test_units_that_arrive_serve_at_once_and_released_ones_finish_their_order() -> None:
    made = gateway(some(TWO, [0.0] * 4), 1)
    made.advance(0.5)
    made.place(4)
    made.advance(0.75)
    assert made.excess == 0
    made.place(0)
    assert made.excess == 4
    made.advance(5.0)
    assert np.sort(made.book.ended).tolist() == [1.0, 1.5, 1.5, 1.5]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 1)), min_size=1, max_size=80),
    st.integers(0, 4),
    st.sampled_from(["one", "strict", "fair"]),
    st.booleans(),
    st.sampled_from(["round robin", "least request", "two choices", "prequal", "weighted"]),
    st.sampled_from([None, 0.0, 2.0]),
)
def test_every_order_has_one_fate_and_no_unit_does_more_than_its_work(
    came: list[tuple[float, int]], units: int, lines: str, late: bool, routing: str, lifo: float | None
) -> None:
    of = replace(TWO, nodes=PAIR, tiers=(replace(FIRST, deadline_s=6.0), LAST))
    at, tier = zip(*sorted(came), strict=True)
    orders = some(of, list(at), list(tier), 400.0, returning=0.5)
    made = gateway(orders, units, of, Discipline(late, lines, routing, lifo))  # type: ignore[arg-type]
    made.hold(np.array([5.0, 5.0]))
    for cut in (3.0, 11.0, 400.0):
        made.advance(cut)
    served = made.book.fate == SERVED
    assert (made.book.fate != UNKNOWN).all()
    assert made.waiting.sum() == 0
    np.testing.assert_allclose(made.book.ended[served] - made.book.begun[served], 1.0)
    assert (made.book.begun[served] >= orders.at_s[served] - 1e-9).all()
    edges = np.concatenate([made.book.begun[served], made.book.ended[served] - 1e-9])
    steps = np.concatenate([np.ones(served.sum()), -np.ones(served.sum())])
    assert np.cumsum(steps[np.argsort(edges)]).max(initial=0) <= units
    assert made.tally[0].sum() == served.sum()


def poisson(of: Venue, rate: float, count: int, **clients: float) -> Orders:
    at = np.cumsum(np.random.Generator(np.random.PCG64(3)).exponential(1 / rate, count))
    return orders_of(of, Clients(returning=0.0, **clients), at, np.zeros(count, np.int8), float(at[-1]) + 1, 4)  # type: ignore[arg-type]


def waits(orders: Orders, units: int, of: Venue = ONE) -> np.ndarray:
    made = gateway(orders, units, of)
    made.advance(orders.length_s + 1e4)
    return np.asarray((made.book.begun - orders.at_s)[len(orders) // 20 :])


def erlang_c(load: float, units: int) -> float:
    blocking = 1.0
    for k in range(1, units + 1):
        blocking = load * blocking / (k + load * blocking)
    return blocking / (1 - load / units * (1 - blocking))


def test_waits_of_m_m_c_are_erlangs() -> None:
    found = waits(poisson(ONE, 7.0, 400_000, work_cv=1.0), 8)
    chance = erlang_c(7.0, 8)
    assert (found > 1e-9).mean() == pytest.approx(chance, rel=0.04)
    assert found.mean() == pytest.approx(chance / (8 - 7.0), rel=0.08)


def test_waits_of_m_d_1_are_pollaczek_and_khinchines() -> None:
    found = waits(poisson(ONE, 0.7, 200_000), 1)
    assert found.mean() == pytest.approx(0.7 / (2 * (1 - 0.7)), rel=0.05)


def test_abandonment_of_m_m_c_m_is_erlang_as() -> None:
    units, rate, patience_s = 8, 9.0, 2.0
    orders = poisson(ONE, rate, 300_000, work_cv=1.0, patience_s=patience_s)
    made = gateway(orders, units, ONE)
    made.advance(orders.length_s + 1e3)
    weight, weights = 1.0, [1.0]
    for n in range(1, 200):
        weight *= rate / (min(n, units) + max(n - units, 0) / patience_s)
        weights.append(weight)
    chances = np.array(weights) / sum(weights)
    leaving = sum(max(n - units, 0) / patience_s * p for n, p in enumerate(chances)) / rate
    assert (made.book.fate == EXPIRED).mean() == pytest.approx(leaving, rel=0.04)


def test_counts_become_single_orders_in_their_slots() -> None:
    trace = Trace(5.0, 100.0, np.array([[3.0, 0.0], [0.0, 2.0]]))
    orders = from_trace(TWO, Clients(), trace, 1)
    np.testing.assert_array_equal(orders.by_slot(5.0, 2), trace.work)


def test_work_has_the_mean_and_spread_that_were_asked_for() -> None:
    work = poisson(ONE, 1.0, 100_000, work_cv=0.5).work
    assert (work.mean(), work.std()) == pytest.approx((1.0, 0.5), rel=0.02)


def test_orders_out_of_order_or_without_work_are_refused() -> None:
    good = some(TWO, [0.0, 1.0])
    with pytest.raises(ReplayError, match="ascending arrivals"):
        replace(good, at_s=np.array([1.0, 0.0]))
    with pytest.raises(ReplayError, match="work above 0"):
        replace(good, work=np.array([1.0, 0.0]))
    with pytest.raises(ReplayError, match="columns of one length"):
        replace(good, tier=np.zeros(3, np.int8))
