import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shaper.routing import SEGMENTS, Group, fill, groups, pieces, programmed, split_orders
from shaper.venue import Node
from tests.serving.made import venue

shares = st.floats(0.3, 1.0)


@st.composite
def nodes(draw: st.DrawFn) -> list[Node]:
    count = draw(st.integers(1, 10))
    return [
        Node(
            f"n{i}", f"op{draw(st.integers(0, 2))}", f"r{draw(st.integers(0, 2))}", "ethereum",
            draw(st.floats(20, 200)), draw(st.floats(0.0, 0.2)), draw(st.floats(0.0, 0.01)),
        )
        for i in range(count)
    ]  # fmt: skip


def problem(up: list[Node], demand: float) -> tuple[list[list[float]], list[list[float]]]:
    priced = [pieces(node, 0.5) for node in up]
    cost = [[slope + node.fee_usd for slope in slopes] for node, (slopes, _) in zip(up, priced, strict=True)]
    return cost, [[width / demand for width in widths] for _, widths in priced]


def paid(weights: list[float], cost: list[list[float]], room: list[list[float]]) -> float:
    """What weights cost, each node's cheapest pieces first."""
    total = 0.0
    for weight, slopes, widths in zip(weights, cost, room, strict=True):
        left = weight
        for slope, width in zip(slopes, widths, strict=True):
            total += slope * min(left, width)
            left -= min(left, width)
    return total


@settings(max_examples=150, deadline=None)
@given(nodes(), st.floats(1, 500), shares, shares)
def test_filled_weights_cost_what_the_linear_programme_costs(
    up: list[Node], demand: float, operator: float, region: float
) -> None:
    caps: list[Group] = groups(up, venue(nodes=(), max_operator_share=operator, max_region_share=region))
    cost, room = problem(up, demand)
    filled, least = fill(cost, room, caps), programmed(cost, room, caps)
    if filled is None:
        return
    assert least is not None
    assert sum(filled) == pytest.approx(1)
    for members, cap in caps:
        assert sum(filled[i] for i in members) <= cap + 1e-9
    assert paid(filled, cost, room) == pytest.approx(paid(least, cost, room), abs=1e-9)


def test_where_caps_of_both_kinds_bind_it_is_left_to_the_linear_programme() -> None:
    up = [Node(f"n{i}", f"op{i % 2}", f"r{i // 2}", "ethereum", 100.0, 0.01 * i, 0.0) for i in range(4)]
    caps = groups(up, venue(nodes=(), max_operator_share=0.6, max_region_share=0.6))
    cost, room = problem(up, 30.0)
    assert len(cost[0]) == SEGMENTS
    assert fill(cost, room, caps) is None
    assert programmed(cost, room, caps) is not None


def test_a_split_of_sixteen_nodes_keeps_its_caps() -> None:
    up = tuple(Node(f"n{i}", f"op{i % 4}", f"r{i % 4}", "ethereum", 40.0, 0.01 * i, 0.0) for i in range(16))
    found = split_orders(venue(nodes=up, max_operator_share=0.4, max_region_share=0.5), 200.0)
    assert sum(found.parts) == 10_000
    for first in range(4):
        assert sum(found.parts[first::4]) <= 4000
