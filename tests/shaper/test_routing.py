import itertools
import math
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shaper.routing import split_orders, wait_s
from shaper.tiers import PARTS
from shaper.venue import Node, Venue
from tests.shaper.ventures import NODES, venue


def nodes() -> st.SearchStrategy[tuple[Node, ...]]:
    node = st.tuples(
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from(["eu", "us"]),
        st.floats(1, 100),
        st.floats(0, 1),
        st.booleans(),
    )
    return st.lists(node, min_size=1, max_size=6).map(
        lambda rows: tuple(Node(f"n{i}", o, r, "l2", c, s, 0.001, up) for i, (o, r, c, s, up) in enumerate(rows))
    )


@settings(max_examples=40, deadline=None)
@given(nodes(), st.floats(0, 200))
def test_weights_sum_exactly_and_nothing_goes_to_a_node_that_is_down(
    given_nodes: tuple[Node, ...], demand: float
) -> None:
    split = split_orders(venue(nodes=given_nodes), demand)
    assert sum(split.parts) == (PARTS if any(node.up for node in given_nodes) else 0)
    assert all(parts == 0 for parts, node in zip(split.parts, given_nodes, strict=True) if not node.up)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 1.0), st.floats(0.5, 1.0), st.floats(0, 150))
def test_dispersion_caps_are_never_exceeded_unless_said(operator: float, region: float, demand: float) -> None:
    split = split_orders(replace(venue(nodes=NODES), max_operator_share=operator, max_region_share=region), demand)
    assert split.relaxed is None
    for kind, cap in (("operator", operator), ("region", region)):
        shares: defaultdict[str, int] = defaultdict(int)
        for node, parts in zip(NODES, split.parts, strict=True):
            shares[getattr(node, kind)] += parts
        assert max(shares.values()) <= cap * PARTS + 1e-6


def test_caps_that_the_nodes_left_cannot_meet_are_relaxed_and_said() -> None:
    lone = (NODES[0], *(replace(node, up=False) for node in NODES[1:]))
    split = split_orders(replace(venue(nodes=lone), max_operator_share=0.6), 10.0)
    assert split.parts == (PARTS, 0, 0, 0)
    assert "dispersion caps relaxed" in str(split.relaxed)


def test_more_orders_than_all_nodes_serve_are_shared_by_capacity_and_said() -> None:
    split = split_orders(venue(nodes=NODES), 1000.0)
    assert split.parts == (3000, 3000, 2000, 2000)
    assert "exceed the capacity" in str(split.relaxed)


def test_no_node_up_is_said() -> None:
    down = tuple(replace(node, up=False) for node in NODES)
    assert split_orders(venue(nodes=down), 10.0).relaxed == "no node is up"
    assert split_orders(venue(), 10.0).parts == ()


def test_an_idle_venue_uses_the_cheapest_node() -> None:
    assert split_orders(venue(nodes=NODES[:2]), 0.001).parts == (0, PARTS)


def test_the_split_is_nearly_the_least_cost_by_brute_force() -> None:
    of: Venue = venue(nodes=(replace(NODES[0], fee_usd=0.0), replace(NODES[2], fee_usd=0.0, latency_s=0.025)))
    value = sum(tier.demand_share * tier.delay_cost_usd_per_s for tier in of.tiers)

    def cost(first: float) -> float:
        loads = (first * 80.0, (1 - first) * 80.0)
        return sum(value * wait_s(node, load) * load for node, load in zip(of.nodes, loads, strict=True) if load)

    best = min((i / 1000 for i in range(1001)), key=cost)
    found = split_orders(of, 80.0).parts[0] / PARTS
    assert found == pytest.approx(best, abs=0.05)
    assert cost(found) <= 1.02 * cost(best)


def test_the_wait_is_that_of_one_server_and_infinite_at_capacity() -> None:
    node = replace(NODES[0], capacity_per_s=10.0, latency_s=0.1)
    assert wait_s(node, 5.0) == pytest.approx(0.1 + 0.5 / 5)
    assert wait_s(node, 10.0) == math.inf
    assert all(wait_s(node, a) < wait_s(node, b) for a, b in itertools.pairwise((0.0, 3.0, 6.0, 9.0)))
