import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serving.feeds import RowsFeed
from serving.inference import Forecaster
from serving.loop import Sidecar
from shaper.forecast import Forecast
from shaper.plan import Plan
from tests.serving.made import START, counts, posted

Client = TestClient[Litestar]
HOUR = {"request_counts": posted(counts(START, 3600, per_s=48))}


def wait_for(holds: Callable[[], bool], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def fed(client: Client) -> Client:
    assert client.post("/v1/observations", json=HOUR).status_code == 202
    wait_for(lambda: client.get("/v1/plan").status_code == 200)
    return client


def test_posted_rows_lead_to_a_forecast_and_a_plan(client: Client) -> None:
    answer = client.post("/v1/observations", json=HOUR)
    assert (answer.status_code, answer.json()) == (202, {"rows": {"request_counts": 7200}})
    wait_for(lambda: client.get("/readyz").status_code == 200)
    forecast = msgspec.json.decode(client.get("/v1/forecast").content, type=Forecast)
    assert forecast.issued_at_s == START.timestamp() + 3600
    plan = msgspec.json.decode(client.get("/v1/plan").content, type=Plan)
    assert plan.stage == "forecast-led"
    assert [quota.tier for quota in plan.quotas] == ["maker", "taker"]
    assert client.get("/readyz").json() == {"ready": True, "reasons": []}


def test_the_answer_is_not_to_be_kept_by_caches(client: Client) -> None:
    answer = fed(client).get("/v1/plan")
    assert (answer.headers["cache-control"], answer.headers["content-type"]) == ("no-store", "application/json")


@pytest.mark.parametrize("path", ["/v1/forecast", "/v1/plan"])
def test_before_there_is_anything_it_is_503_with_the_reasons(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "forecast: none has been issued yet" in answer.json()["reasons"]


def test_it_is_live_before_it_is_ready(client: Client) -> None:
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "reasons": ["forecast: none has been issued yet", "plan: none has been made yet"],
    }


def test_a_wrong_row_takes_none_of_its_request(client: Client, sidecar: Sidecar) -> None:
    wrong = {"request_counts": [*HOUR["request_counts"][:10], {"ts": "2024-01-01T00:00:20", "count": 1}]}
    answer = client.post("/v1/observations", json=wrong)
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert "expected" in detail
    assert "timezone" in detail
    assert "none was taken" in detail
    assert sidecar.pipeline.panel.rows == {}
    assert "shaper_observations_refused_total 1.0" in client.get("/metrics").text


@pytest.mark.parametrize("body", [b"", b"null", b"{]", b"\x80", b'{"request_counts": 3}', b'{"weather": []}'])
def test_garbage_is_422_with_one_message(client: Client, body: bytes) -> None:
    answer = client.post("/v1/observations", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("body: expected ")


def test_rows_from_the_future_are_refused(client: Client) -> None:
    future = posted(counts(datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1), 1))
    answer = client.post("/v1/observations", json={"request_counts": future})
    assert answer.status_code == 422
    assert "known by now" in answer.json()["detail"]


def test_a_form_that_any_web_page_could_post_is_refused(client: Client) -> None:
    answer = client.post("/v1/observations", content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert "expected application/json" in answer.json()["detail"]


def test_a_body_beyond_all_bounds_is_413(client: Client) -> None:
    body = b" " * (17 * 2**20)
    answer = client.post("/v1/observations", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_a_report_reaches_the_next_plan(client: Client, sidecar: Sidecar) -> None:
    fed(client)
    answer = client.put("/v1/gateway", json={"demand_per_s": 200.0, "queued": {"maker": 500.0}, "ready_units": 4})
    assert answer.status_code == 202
    client.post("/v1/observations", json={"request_counts": posted(counts(START + timedelta(hours=1), 15))})
    wait_for(lambda: client.get("/v1/plan").json()["valid_from_s"] == START.timestamp() + 3615)
    assert sidecar.pipeline.metrics.registry.get_sample_value("shaper_demand_orders_per_second") == 200.0
    assert "500 queued" in client.get("/v1/plan").text


@pytest.mark.parametrize(
    ("report", "status", "named"),
    [
        ({"queued": {"gold": 1}}, 422, "found ['gold']"),
        ({"ready_units": 5, "ordered_units": 3}, 422, "ready_units <= ordered_units"),
        ({"readyunits": 5}, 400, "unknown field `readyunits`"),
        ({"ready_units": "many"}, 400, "ready_units"),
    ],
)
def test_a_report_of_the_impossible_is_refused(client: Client, report: object, status: int, named: str) -> None:
    answer = client.put("/v1/gateway", json=report)
    assert answer.status_code == status
    assert named in answer.json()["detail"]


def test_a_model_that_answers_nan_is_said_and_the_plan_is_reactive(
    client: Client, sidecar: Sidecar, broken: Forecaster
) -> None:
    sidecar.pipeline.seer.forecaster = broken
    plan = fed(client).get("/v1/plan").json()
    assert plan["stage"] == "reactive"
    assert client.get("/v1/forecast").status_code == 503
    assert "discarded" in client.get("/v1/forecast").json()["reasons"][0]
    assert 'shaper_forecasts_total{outcome="discarded"} 1.0' in client.get("/metrics").text


def test_a_feed_that_plays_history_takes_no_posts(client: Client, sidecar: Sidecar) -> None:
    sidecar.feed.takes_posts = False
    answer = client.post("/v1/observations", json=HOUR)
    assert answer.status_code == 409
    assert "plays recorded history" in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nope", 404), ("DELETE", "/v1/plan", 405)])
def test_other_paths_and_methods_are_refused_in_the_same_form(
    client: Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_metrics_have_conventional_names_and_units(client: Client) -> None:
    text = fed(client).get("/metrics").text
    names = [line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE shaper_")]
    assert len(names) > 15
    for name, kind in names:
        assert name.endswith("_total") == (kind == "counter"), name
        assert kind != "histogram" or name.endswith("_seconds"), name
    assert "shaper_ready 1.0" in text
    assert 'shaper_observed_rows_total{table="request_counts"} 7200.0' in text
    assert 'shaper_capacity_units{pool="matching"}' in text


def test_the_document_describes_every_path_and_the_rows_that_may_be_posted(client: Client) -> None:
    document = client.get("/schema/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/v1/observations", "/v1/observations/stream", "/v1/gateway", "/v1/forecast", "/v1/plan", "/v1/plans", "/v1/series",
        "/v1/explain", "/v1/what-if", "/v1/overrides", "/v1/events", "/v1/models", "/v1/models/swap",
        "/healthz", "/readyz", "/metrics",
    }  # fmt: skip
    body = document["paths"]["/v1/observations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    row = body["properties"]["request_counts"]["items"]
    assert row["required"] == ["ts", "count"]
    assert row["properties"]["ts"] == {"type": "string", "format": "date-time"}
    answers = document["paths"]["/v1/plan"]["get"]["responses"]
    assert set(answers) >= {"200", "503"}
    plan = answers["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert "capacity" in document["components"]["schemas"][plan]["properties"]


def test_the_document_has_no_dangling_reference(client: Client) -> None:
    document = client.get("/schema/openapi.json").json()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [ref for part in node.values() for ref in references(part)]
        return [ref for part in node for ref in references(part)] if isinstance(node, list) else []

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def test_a_step_that_fails_leaves_the_last_plan_and_is_said(
    client: Client, sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fed(client).get("/v1/plan").content

    def fails(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(sidecar.pipeline, "plan", fails)
    client.post("/v1/observations", json={"request_counts": posted(counts(START + timedelta(hours=1), 15))})
    wait_for(lambda: "shaper_step_failures_total 1.0" in client.get("/metrics").text)
    assert client.get("/v1/plan").content == before
    assert client.get("/healthz").status_code == 200
    assert any("RuntimeError: no" in reason for reason in client.get("/readyz").json()["reasons"])


def test_a_feed_that_dies_makes_the_process_unhealthy(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving.api import create_app

    def dies(_: RowsFeed) -> None:
        raise OSError("gone")

    monkeypatch.setattr(RowsFeed, "steps", dies)
    with TestClient(create_app(sidecar, "0"), base_url="http://127.0.0.1") as client:
        wait_for(lambda: client.get("/healthz").status_code == 503)
        assert "OSError: gone" in client.get("/healthz").json()["detail"]
