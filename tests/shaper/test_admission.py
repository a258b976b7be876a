from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shaper.admission import Admission, Order, Permit, PermitError, Queued, Refusal
from shaper.buckets import Bucket
from shaper.classes import Facts, tier_of
from shaper.codel import Codel
from shaper.fairness import FairQueue
from tests.shaper.ventures import BULK, CRITICAL, MAKER

TIERS = (CRITICAL, MAKER, BULK)
QUOTAS = {"critical": 50.0, "maker": 30.0, "bulk": 20.0}


def order(number: int, tier: str = "maker", account: str = "a", at_s: float = 0.0, work: float = 1.0) -> Order:
    return Order(f"{account}{number}", account, tier, at_s, work)


def drained(admission: Admission, at_s: float) -> list[Order]:
    found = []
    while (permit := admission.next(at_s)[0]) is not None:
        found.append(permit.order)
    return found


def played(
    admission: Admission, arrivals: list[Order], seconds: float, step_s: float = 0.01
) -> list[tuple[float, Order]]:
    """Serve for a while in small steps, offering orders as they arrive; what was served, and when."""
    served, waiting = [], sorted(arrivals, key=lambda one: one.arrived_at_s)
    for i in range(round(seconds / step_s)):
        now = i * step_s
        while waiting and waiting[0].arrived_at_s <= now:
            admission.offer(waiting.pop(0), now)
        served += [(now, one) for one in drained(admission, now)]
    return served


def test_a_bucket_pays_its_rate_and_its_burst() -> None:
    bucket, taken = Bucket(10.0, 0.5, 0.0), 0
    for i in range(1001):
        while bucket.ready(i * 0.01):
            bucket.spend(1.0)
            taken += 1
    assert taken == pytest.approx(5 + 100, abs=1)


def test_the_most_urgent_tier_is_served_first_within_its_quota() -> None:
    admission = Admission(TIERS, QUOTAS, 0.0)
    for i, tier in enumerate(("bulk", "maker", "critical")):
        admission.offer(order(i, tier), 0.0)
    assert [one.tier for one in drained(admission, 0.0)] == ["critical", "maker", "bulk"]


def test_no_tier_starves_under_overload_and_each_gets_its_quota() -> None:
    arrivals = [order(i, tier, f"{tier}{i % 7}", i / 150) for tier in QUOTAS for i in range(1500)]
    served = Counter(one.tier for now, one in played(Admission(TIERS, QUOTAS, 0.0), arrivals, 10.0) if now >= 2)
    for tier, rate in QUOTAS.items():
        assert served[tier] / 8 == pytest.approx(rate, rel=0.05)


def test_a_tier_borrows_what_the_others_leave() -> None:
    arrivals = [order(i, "bulk", f"b{i % 7}", i / 200) for i in range(2000)]
    served = [one for now, one in played(Admission(TIERS, QUOTAS, 0.0), arrivals, 10.0) if now >= 2]
    assert len(served) / 8 == pytest.approx(100.0, rel=0.03)


def test_accounts_share_a_tier_by_work_however_they_split_or_flood() -> None:
    flood = [order(i, "maker", "flood", i / 400) for i in range(4000)]
    split = [order(i, "maker", "split", i / 400, 0.1) for i in range(4000)]
    plain = [order(i, "maker", "plain", i / 40) for i in range(400)]
    served = played(Admission(TIERS, {"maker": 60.0}, 0.0), flood + split + plain, 10.0)
    work: Counter[str] = Counter()
    for now, one in served:
        work[one.account] += one.work if now >= 2 else 0.0  # type: ignore[assignment]
    assert max(work.values()) <= 1.1 * min(work.values())


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.1, 500)), max_size=60), st.booleans())
def test_a_fair_queue_gives_back_every_order_once_and_counts_them(rows: list[tuple[str, float]], newest: bool) -> None:
    queue: FairQueue[Order] = FairQueue()
    orders = [order(i, account=account, work=work) for i, (account, work) in enumerate(rows)]
    for one in orders:
        queue.push(one)
    assert queue.size == len(orders)
    found = [one for _ in orders if (one := queue.pop(newest)) is not None]
    assert sorted(one.key for one in found) == sorted(one.key for one in orders)
    assert (queue.size, queue.pop()) == (0, None)


def test_a_queue_that_stands_above_its_target_for_an_interval_drops_ever_faster_as_rfc_8289_says() -> None:
    codel = Codel(2.0)  # target 0.1 s, interval 1 s
    times = [i * 0.01 for i in range(400) if codel.drops(0.2, i * 0.01)]
    assert times[0] == pytest.approx(1.0)
    assert [b - a for a, b in pairwise(times)][:3] == pytest.approx([1.0, 0.707, 0.577], abs=0.02)
    assert not codel.drops(0.05, 5.0)
    assert not codel.dropping


def test_under_overload_the_newest_orders_are_served_and_in_time() -> None:
    arrivals = [order(i, "maker", f"m{i % 20}", i / 300) for i in range(3000)]
    served = [(now, one) for now, one in played(Admission(TIERS, {"maker": 60.0}, 0.0), arrivals, 10.0) if now >= 6]
    waits = sorted(now - one.arrived_at_s for now, one in served)
    assert waits[len(waits) // 2] < 1.0
    assert max(waits) <= MAKER.deadline_s


def test_expired_orders_are_dropped_not_served() -> None:
    admission = Admission(TIERS, QUOTAS, 0.0)
    admission.offer(order(1), 0.0)
    admission.offer(order(2, at_s=8.0), 8.0)
    permit, dropped = admission.next(11.0)
    assert [one.key for one in dropped] == ["a1"]
    assert permit is not None
    assert permit.order.key == "a2"


def test_memory_is_bounded_and_the_longest_line_of_the_least_urgent_tier_loses() -> None:
    admission = Admission(TIERS, QUOTAS, 0.0, most_orders=8, account_share=1.0)
    for i in range(6):
        admission.offer(order(i, "bulk", "flood"), 0.0)
    admission.offer(order(0, "bulk", "small"), 0.0)
    admission.offer(order(0, "maker", "m"), 0.0)
    taken = admission.offer(order(0, "critical", "c"), 0.0)
    assert isinstance(taken, Queued)
    assert [one.key for one in taken.evicted] == ["flood0"]
    assert admission.waiting == 8


def test_a_queue_full_of_more_urgent_orders_refuses_and_says_when_to_retry() -> None:
    admission = Admission(TIERS, QUOTAS, 0.0, most_orders=4, account_share=1.0)
    for i in range(4):
        admission.offer(order(i, "critical", f"c{i}"), 0.0)
    refusal = admission.offer(order(9, "bulk"), 0.0)
    assert refusal == Refusal(order(9, "bulk"), "queue full of orders as urgent", 0.0)
    with_queue = Admission(TIERS, {"maker": 2.0}, 0.0, most_orders=40, account_share=0.1)
    refusals = [with_queue.offer(order(i), 0.0) for i in range(6)]
    assert isinstance(refusals[3], Queued)
    assert refusals[4] == Refusal(order(4), "too many orders of this account wait", 2.0)


def test_a_permit_that_is_given_up_costs_its_tier_nothing() -> None:
    admission = Admission((MAKER,), {"maker": 2.0}, 0.0)
    for i in range(3):
        admission.offer(order(i), 0.0)
    first, _ = admission.next(0.0)
    assert first is not None
    admission.give_up(first)
    assert len(drained(admission, 0.0)) == 2
    with pytest.raises(PermitError):
        admission.give_up(first)


def test_a_plan_may_change_the_order_of_service() -> None:
    admission = Admission(TIERS, QUOTAS, 0.0)
    for i, tier in enumerate(QUOTAS):
        admission.offer(order(i, tier), 0.0)
    admission.follow({"bulk": 20.0, "critical": 50.0}, 0.0)
    assert [one.tier for one in drained(admission, 0.0)] == ["bulk", "critical", "maker"]


def test_a_line_that_is_as_long_as_the_plan_says_refuses_and_says_when_to_retry() -> None:
    admission = Admission(TIERS, QUOTAS, 0.0)
    admission.follow({**QUOTAS, "maker": 2.0}, 0.0, {"maker": 3, "bulk": None})
    taken = [admission.offer(order(i, "maker"), 0.0) for i in range(4)]
    assert all(isinstance(one, Queued) for one in taken[:3])
    assert taken[3] == Refusal(order(3), "as many orders of the tier wait as can be served in time", 1.5)
    assert all(isinstance(admission.offer(order(i, "bulk", "b"), 0.0), Queued) for i in range(50))


def test_in_a_full_line_the_account_that_holds_most_yields_to_one_that_holds_less() -> None:
    admission = Admission(TIERS, QUOTAS, 0.0)
    admission.follow(QUOTAS, 0.0, {"maker": 4})
    for i in range(4):
        admission.offer(order(i, "maker", "flood"), 0.0)
    for i in range(2):
        taken = admission.offer(order(i, "maker", "small"), 0.0)
        assert isinstance(taken, Queued)
        assert [one.key for one in taken.evicted] == [f"flood{i}"]
    assert isinstance(admission.offer(order(2, "maker", "small"), 0.0), Refusal)
    assert isinstance(admission.offer(order(9, "maker", "flood"), 0.0), Refusal)
    assert dict(admission.queued())["maker"] == 4.0


def test_once_the_newest_go_first_the_oldest_leaves_a_full_line() -> None:
    admission = Admission(TIERS, QUOTAS, 0.0)
    admission.follow({"maker": 2.0}, 0.0, {"maker": 10})
    refused = [False] * 100
    for i in range(100):  # five times the quota, until the line has stood too long
        refused[i] = isinstance(admission.offer(order(i, "maker", at_s=i / 10), i / 10), Refusal)
        admission.next(i / 10)
    assert sum(refused[20:50]) > 20
    assert not any(refused[70:])


def test_orders_that_make_no_sense_are_refused() -> None:
    admission = Admission(TIERS, QUOTAS, 0.0)
    assert admission.offer(order(1), 11.0) == Refusal(order(1), "deadline has passed", 0.0)
    for fault in (order(1, "gold"), order(1, work=0.0), order(1, work=float("nan")), order(1, work=1e9)):
        assert isinstance(admission.offer(fault, 0.0), Refusal)


def test_only_an_open_permit_reports_a_latency_and_only_once() -> None:
    admission = Admission(TIERS, QUOTAS, 0.0)
    admission.offer(order(1, at_s=1.0), 1.0)
    permit = admission.next(1.5)[0]
    assert isinstance(permit, Permit)
    assert permit.deadline_at_s == 11.0
    with pytest.raises(PermitError):
        admission.finish(replace(permit, issued_at_s=0.0), 2.0)


def test_a_finished_permit_tells_the_latency_and_is_spent() -> None:
    admission = Admission(TIERS, QUOTAS, 0.0)
    admission.offer(order(1, at_s=1.0), 1.0)
    permit = admission.next(1.5)[0]
    assert permit is not None
    assert admission.finish(permit, 1.75) == 0.75
    with pytest.raises(PermitError):
        admission.finish(permit, 2.0)


@pytest.mark.parametrize(
    ("facts", "tier"),
    [
        (Facts(label="critical"), "taker"),
        (Facts(label="bulk"), "bulk"),
        (Facts(liquidates=True, label="bulk"), "bulk"),
        (Facts(liquidates=True), "critical"),
        (Facts(delta_before=10.0, delta_after=-1.0, label="hedge"), "taker"),
        (Facts(delta_before=10.0, delta_after=9.9, label="hedge"), "taker"),
        (Facts(delta_before=10.0, delta_after=1.0), "hedge"),
        (Facts(rests=True, label="critical"), "maker"),
        (Facts(label="nonsense"), "taker"),
    ],
)
def test_a_label_never_raises_a_tier(facts: Facts, tier: str) -> None:
    assert tier_of(facts) == tier


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(sorted(QUOTAS)), st.sampled_from("abc"), st.floats(0, 3)), max_size=80))
def test_every_order_is_served_dropped_evicted_refused_or_waits(rows: list[tuple[str, str, float]]) -> None:
    admission, gone, now = Admission(TIERS, QUOTAS, 0.0, most_orders=12), Counter[str](), 0.0
    admission.follow(QUOTAS, 0.0, {"bulk": 3, "maker": 5})
    for i, (tier, account, gap) in enumerate(rows):
        now += gap
        taken = admission.offer(order(i, tier, account, now), now)
        gone["out"] += len(taken.evicted) if isinstance(taken, Queued) else 1
        permit, dropped = admission.next(now) if i % 3 else (None, ())
        gone["out"] += len(dropped) + (permit is not None)
    assert gone["out"] + admission.waiting == len(rows)
    assert admission.waiting == sum(count for _, count in admission.queued()) <= 12
