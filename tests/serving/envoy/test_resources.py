from dataclasses import replace

import pytest

from serving.envoy.resources import assignment, strategy, switches
from serving.envoy.settings import Endpoint, Envoy, split
from tests.serving.made import venue

OWN = Envoy((Endpoint("fra-1", "127.0.0.1:9101"), Endpoint("nrt-1", "[::1]:9102")))


def places(weights: dict[str, float], **changes: object) -> list[tuple[int, str, int, list[tuple[str, int]]]]:
    return [
        (
            place.priority,
            place.locality.region,
            place.load_balancing_weight.value,
            [(p.endpoint.address.socket_address.address, p.load_balancing_weight.value) for p in place.lb_endpoints],
        )
        for place in assignment(OWN, venue(**changes), weights).endpoints
    ]


def test_weights_are_parts_of_ten_thousand_by_locality() -> None:
    assert places({"fra-1": 0.7, "nrt-1": 0.3}) == [
        (0, "asia", 3000, [("::1", 3000)]),
        (0, "eu", 7000, [("127.0.0.1", 7000)]),
    ]


def test_a_node_without_orders_waits_in_the_next_priority() -> None:
    assert places({"fra-1": 0.0, "nrt-1": 1.0}) == [
        (0, "asia", 10000, [("::1", 10000)]),
        (1, "eu", 150, [("127.0.0.1", 150)]),
    ]


def test_before_any_plan_weights_are_by_capacity() -> None:
    assert [(priority, weight) for priority, _, weight, _ in places({})] == [(0, 100), (0, 150)]


def test_a_node_that_is_down_is_left_out() -> None:
    nodes = venue().nodes
    shown = places({"fra-1": 1.0}, nodes=(replace(nodes[0], up=False), nodes[1]), max_operator_share=1.0)
    assert [weight for _, _, weight, _ in shown] == [100]


@pytest.mark.parametrize(
    ("rate", "burst_s", "filled", "held"),
    [(120.0, 0.5, 1200, 60), (12.34, 0.5, 123, 7), (0.15, 1.0, 1, 1), (1e12, 1.0, 2**32 - 1, 2**32 - 1)],
)
def test_a_bucket_is_filled_with_no_more_than_its_rate_over_a_fixed_interval(
    rate: float, burst_s: float, filled: int, held: int
) -> None:
    bucket = strategy(rate, burst_s).token_bucket
    assert bucket.fill_interval.seconds == 10
    assert (bucket.tokens_per_fill.value, bucket.max_tokens) == (filled, held)


@pytest.mark.parametrize("rate", [0.0, -1.0, 0.05])
def test_a_rate_below_a_tenth_of_an_order_refuses_everything(rate: float) -> None:
    assert strategy(rate, 1.0).WhichOneof("strategy") == "blanket_rule"
    assert strategy(rate, 1.0).blanket_rule == 1


def test_switches_name_the_tiers_that_are_refused() -> None:
    assert dict(switches(replace(OWN, refused=("taker",))).layer) == {
        "shaper.enforce": 100.0,
        "shaper.refuse.taker": 100.0,
    }


@pytest.mark.parametrize(
    "text", ["node:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", "[::1:80", ""]
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert split(text) is None
