import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from prometheus_client import CollectorRegistry

from serving.embedded.metrics import GatewayMetrics
from serving.loop import Sidecar
from serving.pipeline import Pipeline
from serving.series import POINTS_KEPT, Series
from serving.tallies import Tallies, quantile
from tests.serving.made import SPREAD, START, counts, posted
from tests.serving.test_api import fed as fed_client
from tests.serving.test_api import wait_for

INSIDE = START + timedelta(hours=1)


@pytest.fixture
def series(fed: Pipeline) -> Series:
    made = Series(fed)
    for minute in range(4):
        made.take(fed.step(INSIDE + timedelta(seconds=15 * minute), {}))
    return made


def test_each_review_becomes_a_point_with_what_was_measured_and_ordered(series: Series) -> None:
    recent = series.since(0.0, INSIDE.timestamp() + 60)
    assert [point.at_s - INSIDE.timestamp() for point in recent.points] == [0.0, 15.0, 30.0, 45.0]
    assert [point.demand_per_s for point in recent.points] == pytest.approx([48.0] * 4, rel=1e-6)
    assert recent.points[0].units_ready == 2
    assert recent.points[0].units_used == 2.0
    assert recent.points[0].units_ordered >= 4


def test_a_promise_is_what_was_said_at_the_lead_at_which_capacity_is_ordered(series: Series) -> None:
    first = series.since(0.0, 0.0).promises[0]
    assert (first.issued_at_s, first.for_s - first.issued_at_s) == (INSIDE.timestamp(), 75.0)  # a delay and one review
    assert first.value_at_issue == pytest.approx(math.log(48), rel=1e-5)
    assert first.quantiles == pytest.approx([math.log(48) + offset for offset in SPREAD], rel=1e-5)
    assert first.spike == 0.125


def test_only_what_came_after_a_time_is_told(series: Series) -> None:
    recent = series.since(INSIDE.timestamp() + 15, 0.0)
    assert [point.at_s - INSIDE.timestamp() for point in recent.points] == [30.0, 45.0]
    assert [promise.issued_at_s - INSIDE.timestamp() for promise in recent.promises] == [30.0, 45.0]


def test_a_clock_that_goes_back_begins_anew(series: Series, fed: Pipeline) -> None:
    update = fed.step(INSIDE + timedelta(seconds=60), {})
    series.take(replace(update, at=INSIDE - timedelta(seconds=15)))
    assert [point.at_s - INSIDE.timestamp() for point in series.points] == [-15.0]


def test_it_keeps_no_more_than_it_may(series: Series) -> None:
    series.points.extend(series.points[0] for _ in range(2 * POINTS_KEPT))
    assert len(series.points) == POINTS_KEPT


def test_the_path_answers_with_the_venue_and_the_series(client: TestClient[Litestar], sidecar: Sidecar) -> None:
    fed_client(client)
    client.post("/v1/observations", json={"request_counts": posted(counts(START + timedelta(hours=1), 15))})
    wait_for(lambda: len(sidecar.series.points) == 2)
    answer = client.get("/v1/series", params={"after_s": START.timestamp() + 3600})
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert [target["unit"] for target in body["targets"]] == ["ln(1/s)"]
    assert [node["operator"] for node in body["nodes"]] == ["north", "south"]
    assert len(body["points"]) == len(body["promises"]) == 1
    assert body["tiers"][0] == {"tier": "maker", "queued": 0.0, "admitted": None, "refused": None, "p99_s": None}


def test_tallies_are_read_from_the_gateways_metrics_by_tier() -> None:
    registry = CollectorRegistry()
    gateway = GatewayMetrics.create(registry, ["maker", "taker"], ["fra-1"])
    tallies = Tallies(registry, ["maker", "taker"])
    gateway.orders["maker", "accepted"].inc(7)
    gateway.orders["maker", "too_much"].inc(2)
    for _ in range(100):
        gateway.seconds["maker"].observe(5.0)  # before the last review: not of now
    tallies.turn()
    for _ in range(100):
        gateway.seconds["maker"].observe(0.15)
    maker, taker = tallies.read({"maker": 3.0})
    assert (maker.queued, maker.admitted, maker.refused) == (3.0, 7.0, 2.0)
    assert maker.p99_s == pytest.approx(0.2485)  # 99 % of the way from 0.1 to 0.25
    assert (taker.queued, taker.admitted, taker.p99_s) == (0.0, 0.0, None)


def test_nothing_counted_has_no_quantile_and_the_last_finite_edge_stands_for_more() -> None:
    assert quantile(0.99, {}) is None
    assert quantile(0.99, {0.1: 0.0, math.inf: 0.0}) is None
    assert quantile(0.99, {0.1: 0.0, 0.5: 0.0, math.inf: 4.0}) == 0.5


@given(st.lists(st.floats(0.001, 9.99), min_size=1, max_size=200))
def test_a_quantile_lies_in_the_bucket_of_the_value_it_stands_for(values: list[float]) -> None:
    edges = (0.01, 0.1, 0.5, 1.0, 2.5, 10.0)
    found = quantile(0.99, {edge: float(sum(value <= edge for value in values)) for edge in edges})
    true = sorted(values)[math.ceil(0.99 * len(values)) - 1]
    low, high = max((0.0, *(e for e in edges if e < true))), min(edge for edge in edges if true <= edge)
    assert found is not None
    assert low <= found <= high + 1e-12
