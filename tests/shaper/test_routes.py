import math
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shaper.choice import EjectionRules, Health, after_answer, alias, choose, ejected
from shaper.intents import eligible
from shaper.observed import Observed
from shaper.plan import plan
from shaper.report import dispersion, report
from shaper.routes import routes
from shaper.routing import split_orders, wait_s
from shaper.tiers import PARTS
from shaper.venue import Venue, VenueError
from tests.shaper.ventures import BULK, CRITICAL, MAKER, NODES, forecast, venue

FAST = replace(NODES[0], name="fast", latency_s=0.01, fee_usd=0.01, markets=("perp",))
CHEAP = replace(NODES[2], name="cheap", latency_s=0.5, fee_usd=0.0001, markets=("perp", "spot"))
HEALTHY = (Health(latency_s=0.1),) * 4


def meant(critical: str | None = None, maker: str | None = None, gas: float = 1.0) -> Venue:
    tiers = (
        replace(CRITICAL, intent=critical),
        replace(MAKER, intent=maker, gas_sensitivity=gas),
        replace(BULK, gas_sensitivity=1.5),
    )
    return Venue(tiers, venue().pool, (FAST, CHEAP))


def shares(of: Venue, demand: float = 10.0) -> dict[str, dict[str, float]]:
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for route in routes(of, demand):
        found[route.tier][route.node] = route.weight
    return dict(found)


def test_a_node_with_regular_services_waits_half_as_long_and_one_that_is_measured_as_measured() -> None:
    node = replace(NODES[0], capacity_per_s=10.0, latency_s=0.1)
    assert wait_s(replace(node, service_cv2=0.0), 5.0) == pytest.approx(0.1 + 0.05)
    assert wait_s(replace(node, service_cv2=3.0), 5.0) == pytest.approx(0.1 + 0.2)
    measured = replace(node, curve=((0.2, 0.1), (0.6, 0.2), (0.8, 0.6)))
    assert [wait_s(measured, load) for load in (0.0, 4.0, 7.0, 9.0)] == pytest.approx([0.1, 0.15, 0.4, 0.8])
    assert wait_s(measured, 10.0) == math.inf


def test_a_simulated_node_waits_as_pollaczek_and_khinchine_say() -> None:
    random, count = np.random.Generator(np.random.PCG64(1)), 200_000
    gaps, services = (
        random.exponential(1 / 7.0, count),
        random.gamma(0.5, 0.2, count),
    )  # squared coefficient of variation 2
    wait, waits = 0.0, np.empty(count)
    for i, (gap, service) in enumerate(zip(gaps.tolist(), services.tolist(), strict=True)):
        wait = max(wait - gap, 0.0)
        waits[i] = wait
        wait += service
    node = replace(NODES[0], capacity_per_s=10.0, latency_s=0.0, service_cv2=2.0)
    assert waits.mean() == pytest.approx(wait_s(node, 7.0), rel=0.05)


def test_irregular_services_get_less_of_the_orders() -> None:
    like = (replace(NODES[0], fee_usd=0.0), replace(NODES[0], name="b", fee_usd=0.0, service_cv2=8.0))
    parts = split_orders(venue(nodes=like), 80.0).parts
    assert parts[0] > parts[1] > 0


def test_a_curve_that_bends_back_is_refused() -> None:
    for curve in (((0.5, 0.2), (0.6, 0.1)), ((0.2, 0.1), (0.4, 0.3), (0.8, 0.4)), ((0.5, 0.1), (1.5, 0.2))):
        with pytest.raises(VenueError, match="rises ever faster"):
            venue(nodes=(replace(NODES[0], curve=curve),))


def test_tiers_without_needs_of_their_own_have_no_routes() -> None:
    assert routes(venue(nodes=NODES), 50.0) == ()


def test_who_must_close_ignores_fees_and_who_is_patient_takes_the_cheap_node() -> None:
    found = shares(meant(critical="close-at-any-price"))
    assert found["critical"] == {"fast": 1.0}
    assert found["bulk"] == {"cheap": 1.0}


def test_a_basis_goes_where_both_legs_are() -> None:
    assert shares(meant(maker="capture-basis"))["maker"] == {"cheap": 1.0}
    assert eligible("hedge-gamma", ("perp",))
    assert not eligible("capture-basis", ("perp",))
    assert eligible("capture-basis", ())


def test_a_tier_that_minds_gas_more_goes_to_the_cheaper_node() -> None:
    dear = shares(meant(gas=0.0))["maker"]
    minding = shares(meant(gas=5.0))["maker"]
    assert dear.get("fast", 0.0) > minding.get("fast", 0.0)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 300), st.sampled_from([None, "capture-basis", "hedge-gamma"]), st.floats(0.6, 1.0))
def test_shares_of_a_tier_sum_to_one_and_loads_keep_capacity_and_caps(
    demand: float, intent: str | None, cap: float
) -> None:
    of = replace(meant(maker=intent), max_operator_share=cap)
    made = routes(of, demand)
    for tier in of.tiers:
        assert sum(route.weight for route in made if route.tier == tier.name) == pytest.approx(1.0)
    for node in of.nodes:
        load = sum(
            route.weight * tier.demand_share * demand
            for route in made
            for tier in of.tiers
            if (route.tier, route.node) == (tier.name, node.name)
        )
        if made[0].reason.startswith("least"):
            assert load <= node.capacity_per_s
        if made[0].reason == "least time, fee and congestion":
            assert load <= cap * demand + 3e-4 * demand


def test_a_tier_whose_markets_no_node_reaches_has_no_route() -> None:
    lone = replace(meant(maker="capture-basis"), nodes=(FAST,))
    assert "maker" not in shares(lone)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=8).filter(lambda weights: max(weights) > 1e-3))
def test_the_alias_table_draws_by_weight_exactly(weights: list[float]) -> None:
    table = alias(tuple(weights))
    mass = [0.0] * len(weights)
    for i, (keep, other) in enumerate(zip(table.keep, table.other, strict=True)):
        mass[i] += keep / len(weights)
        mass[other] += (1 - keep) / len(weights)
    assert mass == pytest.approx([weight / sum(weights) for weight in weights], abs=1e-9)


def test_of_two_drawn_nodes_the_less_loaded_one_serves_unless_it_is_out() -> None:
    table = alias((1.0, 1.0))
    assert choose(table, (0.9, 0.2), 0.1, 0.9) == 1
    assert choose(table, (0.2, 0.9), 0.1, 0.9) == 0
    assert choose(table, (0.9, 0.2), 0.1, 0.9, frozenset({1})) == 0
    assert choose(table, (0.2, 0.9), 0.1, 0.9, frozenset({0})) == 1


def test_two_choices_keep_the_longest_queue_far_shorter_than_one_and_the_weights_about_kept() -> None:
    random, table, longest = np.random.Generator(np.random.PCG64(1)), alias((3.0, 1.0, 1.0, 1.0)), []
    capacity = (3.0, 1.0, 1.0, 1.0)
    for two in (True, False):
        queue, most = [0.0] * 4, 0.0
        for first, second in random.random((20_000, 2)).tolist():
            loads = tuple(q / c for q, c in zip(queue, capacity, strict=True))
            queue[choose(table, loads, first, second if two else first)] += 1.0
            queue = [max(q - 1.05 * c / 6, 0.0) for q, c in zip(queue, capacity, strict=True)]
            most = max(most, *queue)
        longest.append(most)
    assert longest[0] < longest[1] / 3


def test_a_node_that_fails_or_is_slow_is_ejected_for_ever_longer_and_starts_anew_afterwards() -> None:
    rules = EjectionRules()
    failing = Health(latency_s=0.1)
    for _ in range(5):
        failing = after_answer(failing, None)
    nodes = ejected((failing, *HEALTHY[1:]), rules, 100.0)
    assert (nodes[0].out_until_s, nodes[0].ejections) == (130.0, 1)
    back = ejected(nodes, rules, 130.0)
    assert back[0] == Health(ejections=1)
    again = ejected((replace(back[0], failed=5), *HEALTHY[1:]), rules, 200.0)
    assert again[0].out_until_s == 260.0
    slow = ejected((Health(latency_s=0.6), *HEALTHY[1:]), rules, 100.0)
    assert [node.out_until_s for node in slow] == [130.0, 0.0, 0.0, 0.0]


def test_never_more_than_half_of_the_nodes_are_out() -> None:
    nodes = ejected(tuple(Health(failed=9, latency_s=0.1) for _ in range(5)), EjectionRules(), 100.0)
    assert sum(node.out_until_s > 100.0 for node in nodes) == 2


def test_an_answer_ends_a_row_of_failures() -> None:
    assert after_answer(Health(failed=4, latency_s=0.1), 0.2) == Health(0, pytest.approx(0.11))
    assert after_answer(Health(), 0.2).latency_s == 0.2


def test_dispersion_is_that_of_known_spreads() -> None:
    even = dispersion(("a", "b", "c", "d"), (0.25,) * 4)
    assert even is not None
    assert (even.max_share, even.hhi, even.entropy) == (0.25, 0.25, pytest.approx(1.0))
    lone = dispersion(("a", "b"), (1.0, 0.0))
    assert lone is not None
    assert (lone.max_share, lone.hhi, lone.entropy) == (1.0, 1.0, 0.0)
    grouped = dispersion(("a", "a", "b"), (0.25, 0.25, 0.5))
    assert grouped is not None
    assert grouped.hhi == 0.5
    assert dispersion((), ()) is None


def test_every_plan_reports_throughput_latency_and_dispersion() -> None:
    of, seen = venue(nodes=NODES), Observed(1010.0, 80.0, (), 25, 27)
    made = plan(of, None, seen)
    assert made.report is not None
    assert made.report.operators is not None
    assert made.report.throughput_per_s <= made.capacity[0].rate_per_s
    weights = [setting.weight for setting in made.weights]
    expected = sum(w * wait_s(node, w * 80.0) for node, w in zip(NODES, weights, strict=True) if w)
    assert made.report.latency_s == pytest.approx(expected)
    by_operator = Counter({"one": weights[0] + weights[1], "two": weights[2], "three": weights[3]})
    assert made.report.operators.max_share == pytest.approx(max(by_operator.values()))
    assert report(of, 100.0, (0.0, 1.0, 0.0, 0.0), 70.0).latency_s is None
    bare = plan(venue(), forecast(), seen).report
    assert bare is not None
    assert (bare.latency_s, bare.operators) == (None, None)


def test_a_plan_with_intents_has_routes_for_every_tier() -> None:
    made = plan(meant(critical="close-at-any-price"), forecast(), Observed(1010.0, 80.0, (), 25, 27))
    assert {route.tier for route in made.routes} == {"critical", "maker", "bulk"}
    assert sum(round(route.weight * PARTS) for route in made.routes) == 3 * PARTS
