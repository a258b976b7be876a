from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shaper.observed import Observed
from shaper.replay.course import Circumstances, measured_demand, price, review_slots, simulate
from shaper.replay.pipeline import Pipeline
from shaper.replay.policies import Policy, Static
from shaper.replay.simulator import advance, open_queues
from shaper.replay.trace import ReplayError, Trace
from shaper.venue import Venue
from tests.shaper.ventures import BULK, CRITICAL, POOL, trace_of, venue

TWO = Venue((replace(CRITICAL, demand_share=0.5), replace(BULK, demand_share=0.5, deadline_s=20.0)), POOL)


def served(
    work: list[list[float]], capacity: list[float], of: Venue = TWO
) -> tuple[list[list[float]], list[list[float]], list[list[float]]]:
    queues = open_queues(of, Trace(5.0, 0.0, np.array(work)))
    advance(queues, 0, np.array(capacity))
    return queues.served.tolist(), queues.expired.tolist(), queues.backlog.tolist()


def circumstances(of: Venue, units: int = 10) -> Circumstances:
    return Circumstances(of, observe_s=15.0, lag_s=5.0, noise=0.0, seed=0, initial_units=units, before_per_s=20.0)


class Recording:
    """A constant that keeps what it was shown."""

    def __init__(self, units: int) -> None:
        self.constant, self.seen = units, list[Observed]()

    def units(self, observed: Observed) -> int:
        self.seen.append(observed)
        return self.constant


def test_the_most_urgent_tier_is_served_first_whatever_its_place_in_the_venue() -> None:
    assert served([[6, 6]], [8])[0] == [[6, 2]]
    swapped = replace(TWO, tiers=TWO.tiers[::-1])
    assert served([[6, 6]], [8], swapped)[0] == [[2, 6]]


def test_orders_leave_unserved_after_their_whole_deadline() -> None:
    gone = served([[6, 0], [0, 0], [0, 0], [0, 0]], [1, 1, 1, 1])
    assert [row[0] for row in gone[0]] == [1, 1, 1, 0]
    assert [row[0] for row in gone[1]] == [0, 0, 3, 0]
    assert [row[0] for row in gone[2]] == [5, 4, 0, 0]


def test_the_oldest_orders_are_served_first_and_their_waits_counted() -> None:
    queues = open_queues(TWO, Trace(5.0, 0.0, np.array([[0.0, 4.0], [0.0, 4.0], [0.0, 0.0]])))
    advance(queues, 0, np.array([1.0, 4.0, 9.0]))
    assert queues.waits[1].tolist() == [2.0, 6.0, 0.0, 0.0, 0.0]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), min_size=1, max_size=40),
    st.floats(0, 60),
    st.integers(1, 40),
)
def test_every_order_is_served_expired_or_waiting(work: list[tuple[float, float]], capacity: float, cut: int) -> None:
    matrix = np.array(work)
    queues = open_queues(TWO, Trace(5.0, 0.0, matrix))
    rooms = np.full(len(matrix), capacity)
    advance(queues, 0, rooms[:cut])
    advance(queues, min(cut, len(matrix)), rooms[cut:])
    known = queues.served.sum(axis=0) + queues.expired.sum(axis=0) + queues.backlog[-1]
    assert known == pytest.approx(matrix.sum(axis=0), abs=1e-6)
    assert (queues.served.sum(axis=1) <= capacity + 1e-9).all()
    assert queues.waits.sum() == pytest.approx(queues.served.sum() + queues.expired.sum(), abs=1e-6)


def test_ordered_units_arrive_after_the_delay_and_released_ones_leave_at_once() -> None:
    pipeline = Pipeline(POOL, 5.0, 10)
    pipeline.set(0, 14)
    assert (pipeline.ready, pipeline.ordered) == (10, 14)
    assert pipeline.ready_by_slot(0, 14).tolist() == [10.0] * 12 + [14.0, 14.0]
    pipeline.set(14, 4)
    assert (pipeline.ready, pipeline.ordered) == (4, 4)


def test_the_newest_order_is_cancelled_before_ready_units_are_released() -> None:
    pipeline = Pipeline(POOL, 5.0, 10)
    pipeline.set(0, 13)
    pipeline.set(3, 18)
    pipeline.set(6, 11)
    observed = pipeline.observed(6, 30.0, 1.0, (), 0.0)
    assert observed.pending == ((60.0, 1),)
    assert (observed.ready_units, observed.ordered_units, observed.since_order_s) == (10, 11, 15.0)


def test_noise_only_lengthens_the_delay_and_is_the_same_for_the_same_seed() -> None:
    arrivals = []
    for seed in (1, 1, 2):
        pipeline = Pipeline(POOL, 5.0, 10, noise=1.0, seed=seed)
        pipeline.set(0, 20)
        arrivals.append(int((pipeline.ready_by_slot(0, 200) < 20).sum()))
    assert arrivals[0] == arrivals[1] != arrivals[2]
    assert min(arrivals) >= 12


def test_policies_see_demand_with_the_lag_of_the_measurement() -> None:
    trace = trace_of(np.repeat([20.0, 40.0, 60.0, 80.0], 3), TWO)
    assert measured_demand(circumstances(TWO), trace).tolist() == pytest.approx([20.0, 20.0, 100 / 3, 160 / 3])
    recorder = Recording(10)
    simulate(circumstances(TWO), trace, recorder)
    assert [seen.at_s for seen in recorder.seen] == [0.0, 15.0, 30.0, 45.0]
    assert recorder.seen[0].demand_age_s == 12.5


def test_nothing_a_policy_sees_depends_on_orders_to_come() -> None:
    rng = np.random.Generator(np.random.PCG64(5))
    rates = rng.uniform(10, 200, 60)
    later = rates.copy()
    later[30:] *= 3
    shown = []
    for given_rates in (rates, later):
        recorder = Recording(20)
        simulate(circumstances(TWO), trace_of(given_rates, TWO), recorder)
        shown.append(recorder.seen[: 30 // 3 + 1])
    assert shown[0] == shown[1]


def test_the_price_is_waiting_rejection_and_units_ordered() -> None:
    trace = Trace(5.0, 0.0, np.array([[60.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    given_circumstances = circumstances(TWO, 2)
    policy: Policy = Static(2)
    books = price(given_circumstances, trace, simulate(given_circumstances, trace, policy))
    assert books.delay[0] == pytest.approx((10 * 0 + 10) * 5 * 0.05)
    assert books.rejection.tolist() == [0.0, 0.0]
    assert books.capacity == pytest.approx(2 * 15 * 0.002)
    assert books.total == pytest.approx(books.delay.sum() + books.capacity)


def test_a_review_that_is_no_whole_number_of_slots_is_refused() -> None:
    with pytest.raises(ReplayError, match="multiple of the slot"):
        review_slots(replace(venue(), review_s=12.0), 5.0)


def test_a_trace_of_other_tiers_is_refused() -> None:
    with pytest.raises(ReplayError, match="work of 2 tiers, found 3"):
        simulate(circumstances(TWO), trace_of(np.ones(3), venue()), Static(2))


@pytest.mark.parametrize("work", [np.zeros((0, 2)), np.zeros(4), np.array([[np.nan]]), np.array([[-1.0]])])
def test_a_trace_of_impossible_orders_is_refused(work: np.ndarray) -> None:
    with pytest.raises(ReplayError, match="expected"):
        Trace(5.0, 0.0, work)
