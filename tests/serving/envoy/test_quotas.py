import pytest
from envoy.service.rate_limit_quota.v3 import rlqs_pb2
from google.protobuf.duration_pb2 import Duration
from prometheus_client import CollectorRegistry

from serving.envoy.metrics import EnvoyMetrics
from serving.envoy.quotas import Meter, Quotas
from serving.envoy.settings import Envoy


class Bench:
    """A quota service under a clock that the test moves."""

    def __init__(self, enforce: bool = True, urgent: tuple[str, ...] = ()) -> None:
        self.now_s = 0.0
        own = Envoy((), hold_s=100.0, burst_s=1.0, enforce=enforce)
        metrics = EnvoyMetrics.create(CollectorRegistry())
        self.service = Quotas(own, ("maker", "taker"), metrics, lambda: self.now_s, urgent)

    def meter(self) -> Meter:
        meter = Meter()
        self.service.meters.append(meter)
        return meter

    def report(self, meter: Meter, tier: str, allowed: int, denied: int, elapsed_s: int) -> None:
        usage = rlqs_pb2.RateLimitQuotaUsageReports.BucketQuotaUsage(
            bucket_id=rlqs_pb2.BucketId(bucket={"tier": tier}),
            num_requests_allowed=allowed,
            num_requests_denied=denied,
            time_elapsed=Duration(seconds=elapsed_s),
        )
        self.service.hear(meter, rlqs_pb2.RateLimitQuotaUsageReports(domain="shaper", bucket_quota_usages=[usage]))

    def told(self, meter: Meter) -> list[tuple[str, float | str]]:
        """Tier and rate of every assignment that an Envoy was sent since last time."""
        found: list[tuple[str, float | str]] = []
        while not meter.outbox.empty():
            (action,) = meter.outbox.get_nowait().bucket_action
            strategy = action.quota_assignment_action.rate_limit_strategy
            rate = strategy.token_bucket.tokens_per_fill.value / 10
            found.append((action.bucket_id.bucket["tier"], rate or strategy.WhichOneof("strategy")))
        return found


def test_a_tier_that_an_envoy_meets_is_given_its_quota_at_once() -> None:
    bench = Bench()
    meter = bench.meter()
    bench.service.push({"maker": 100.0, "taker": 40.0})
    assert bench.told(meter) == []
    bench.report(meter, "taker", 1, 0, 0)
    assert bench.told(meter) == [("taker", 40.0)]


def test_an_urgent_tier_is_counted_and_never_refused() -> None:
    bench = Bench(urgent=("maker",))
    meter = bench.meter()
    bench.service.push({"maker": 100.0, "taker": 40.0})
    bench.report(meter, "maker", 10, 0, 5)
    bench.report(meter, "taker", 1, 0, 5)
    assert bench.told(meter) == [("maker", "blanket_rule"), ("taker", 40.0)]
    assert bench.service.demand_per_s() == 2.2


def test_envoys_share_a_quota_by_what_they_reported_and_the_rest_equally() -> None:
    bench = Bench()
    one, two = bench.meter(), bench.meter()
    bench.report(one, "maker", 50, 0, 5)
    bench.report(two, "maker", 100, 400, 5)
    bench.service.push({"maker": 60.0})
    assert bench.told(one) == [("maker", 10.0)]
    assert bench.told(two) == [("maker", 50.0)]
    bench.service.push({"maker": 210.0})
    assert bench.told(one) == [("maker", 60.0)]
    assert bench.told(two) == [("maker", 150.0)]


def test_a_change_below_one_per_cent_and_no_change_refill_no_bucket() -> None:
    bench = Bench()
    meter = bench.meter()
    bench.report(meter, "maker", 1, 0, 0)
    bench.service.push({"maker": 100.0})
    bench.service.push({"maker": 100.9})
    assert bench.told(meter) == [("maker", 100.0)]
    bench.service.push({"maker": 102.0})
    assert bench.told(meter) == [("maker", 102.0)]
    bench.now_s = 25.0
    bench.service.push({"maker": 102.0})
    assert bench.told(meter) == [("maker", 102.0)]


def test_a_quota_of_nothing_refuses_everything_unless_nothing_is_enforced() -> None:
    bench = Bench()
    meter = bench.meter()
    bench.report(meter, "maker", 1, 0, 0)
    bench.service.push({"maker": 0.0})
    assert bench.told(meter) == [("maker", "blanket_rule")]
    assert (
        bench.service.told("maker", 0.0).bucket_action[0].quota_assignment_action.rate_limit_strategy.blanket_rule == 1
    )
    lenient = Bench(enforce=False).service.told("maker", 0.0).bucket_action[0]
    assert lenient.quota_assignment_action.rate_limit_strategy.blanket_rule == 0


def test_demand_is_what_came_to_all_envoys_and_is_unknown_when_none_reports() -> None:
    bench = Bench()
    assert bench.service.demand_per_s() is None
    one, two = bench.meter(), bench.meter()
    bench.report(one, "maker", 1, 0, 0)
    assert bench.service.demand_per_s() is None
    bench.report(one, "maker", 50, 25, 5)
    bench.report(two, "taker", 10, 0, 5)
    bench.report(two, "nobody", 500, 0, 5)
    assert bench.service.demand_per_s() == pytest.approx(17.0)
    bench.now_s = 15.5
    assert bench.service.demand_per_s() is None
