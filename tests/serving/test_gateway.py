import pytest

from serving.demand import Rate
from serving.errors import RefusedError
from serving.gateway import Gateway, Lever, Report
from tests.serving.made import venue

POOL = venue().pool  # 2..60 units, 60 s until they serve


def test_units_serve_a_delay_after_they_were_ordered() -> None:
    lever = Lever(POOL, 2)
    lever.follow(7, 100.0)
    lever.land(159.0)
    assert (lever.ready, lever.ordered, lever.pending) == (2, 7, [(160.0, 5)])
    lever.land(160.0)
    assert (lever.ready, lever.ordered, lever.pending) == (7, 7, [])


def test_what_was_ordered_last_is_released_first_and_at_once() -> None:
    lever = Lever(POOL, 4, [(150.0, 3), (165.0, 2)], last_order_s=105.0)
    lever.follow(6, 110.0)
    assert (lever.ready, lever.pending) == (4, [(150.0, 2)])
    lever.follow(3, 125.0)
    assert (lever.ready, lever.pending) == (3, [])
    assert lever.last_order_s == 105.0


def test_a_gateway_that_says_nothing_is_taken_to_follow_the_plans() -> None:
    gateway = Gateway.of(venue())
    gateway.lever.follow(5, 0.0)
    seen = gateway.observed(30.0, Rate(40.0, 22.5))
    assert (seen.ready_units, seen.ordered_units, seen.pending, seen.since_order_s) == (2, 5, ((60.0, 3),), 30.0)
    assert (seen.demand_per_s, seen.demand_age_s, seen.queued) == (40.0, 7.5, ())


def test_a_report_goes_before_what_was_assumed() -> None:
    gateway = Gateway.of(venue())
    gateway.take(Report(queued={"taker": 9.0}, ready_units=3, ordered_units=8), 100.0)
    seen = gateway.observed(110.0, Rate(40.0, 110.0))
    assert (seen.ready_units, seen.ordered_units, seen.pending) == (3, 8, ((130.0, 5),))
    assert seen.queued == (("taker", 9.0),)


def test_a_report_that_agrees_keeps_the_known_arrivals() -> None:
    gateway = Gateway.of(venue())
    gateway.lever.follow(5, 90.0)
    gateway.take(Report(ready_units=2, ordered_units=5), 100.0)
    assert gateway.observed(100.0, Rate(1.0, 100.0)).pending == ((150.0, 3),)


def test_a_report_counts_for_three_reviews() -> None:
    gateway = Gateway.of(venue())
    gateway.take(Report(demand_per_s=70.0, queued={"maker": 5.0}), 100.0)
    assert gateway.demand(145.0) == Rate(70.0, 100.0)
    assert gateway.demand(146.0) is None
    assert gateway.observed(146.0, Rate(1.0, 146.0)).queued == ()


@pytest.mark.parametrize(
    ("report", "named"),
    [
        (Report(queued={"gold": 1.0}), "found ['gold']"),
        (Report(queued={"maker": -1.0}), "queues of 0 or more"),
        (Report(demand_per_s=float("nan")), "demand_per_s"),
        (Report(ready_units=5, ordered_units=3), "ready_units <= ordered_units"),
        (Report(ready_units=-1), "ready_units"),
        (Report(ready_units=10**500), "numbers up to 1e+09"),
        (Report(queued={"taker": 1e300}), "numbers up to 1e+09"),
    ],
)
def test_a_report_of_the_impossible_is_refused_and_changes_nothing(report: Report, named: str) -> None:
    gateway = Gateway.of(venue())
    before = gateway.observed(100.0, Rate(1.0, 100.0))
    with pytest.raises(RefusedError) as caught:
        gateway.take(report, 100.0)
    assert named in str(caught.value)
    assert gateway.observed(100.0, Rate(1.0, 100.0)) == before
