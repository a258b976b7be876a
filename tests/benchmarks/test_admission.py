"""What one decision of the gateway costs, beside the plainest queue there is."""

import time
from collections import deque
from collections.abc import Callable

import pytest

from shaper.admission import Admission, Order
from tests.shaper.ventures import BULK, CRITICAL, MAKER

TIERS = (CRITICAL, MAKER, BULK)
ORDERS = [Order(str(i), f"a{i % 200}", TIERS[i % 3].name, 0.0) for i in range(20_000)]


def seconds_each(play: Callable[[], None]) -> float:
    """Least processor time of three runs, per order: a busy machine does not count."""
    took = []
    for _ in range(3):
        began = time.process_time()
        play()
        took.append(time.process_time() - began)
    return min(took) / len(ORDERS)


def through_admission() -> None:
    """A thousand orders wait all the while; each step takes one in and lets one out."""
    admission = Admission(TIERS, {tier.name: 1e6 for tier in TIERS}, 0.0)
    for i, order in enumerate(ORDERS):
        admission.offer(order, i * 1e-6)
        if i >= 1000:
            permit, _ = admission.next(i * 1e-6)
            if permit is not None:
                admission.finish(permit, i * 1e-6)


def through_deque() -> None:
    """The same through one first-in-first-out line."""
    line: deque[Order] = deque()
    for i, order in enumerate(ORDERS):
        line.append(order)
        if i >= 1000:
            line.popleft()


@pytest.mark.benchmark
def test_a_decision_takes_less_than_20_microseconds() -> None:
    ours, plain = seconds_each(through_admission), seconds_each(through_deque)
    print(
        f"\nadmission {ours * 1e6:.1f} µs an order in, out and back; a bare deque {plain * 1e6:.2f} µs: {ours / plain:.0f} times"
    )
    assert ours < 20e-6
