import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serving.audit.files import Files
from serving.audit.reading import Summary, records
from serving.audit.trail import Trail
from serving.events import Event, Events
from serving.loop import Sidecar
from serving.paths.events import told
from serving.paths.stream import LONGEST_LINE, lines_of
from shaper.decision import Inputs, decided
from shaper.explaining import Explanation
from shaper.forecast import Forecast
from shaper.observed import Observed
from tests.serving.made import START, counts, posted, venue
from tests.serving.test_api import fed, wait_for

Client = TestClient[Litestar]
END = START + timedelta(hours=1)


def advance(client: Client, ticks: int) -> None:
    for tick in range(ticks):
        rows = posted(counts(END + timedelta(seconds=15 * tick), 15))
        assert client.post("/v1/observations", json={"request_counts": rows}).status_code == 202
        at_s = END.timestamp() + 15 * (tick + 1)
        wait_for(lambda at_s=at_s: client.get("/v1/plan").json()["valid_from_s"] == at_s)  # type: ignore[misc]


def test_plans_of_before_are_remembered_in_order(client: Client) -> None:
    advance(fed(client), 4)
    plans = client.get("/v1/plans").json()["plans"]
    times = [plan["valid_from_s"] - END.timestamp() for plan in plans]
    assert times == [0, 15, 30, 45, 60]
    assert plans[-1] == client.get("/v1/plan").json()
    newest = client.get("/v1/plans", params={"limit": 2}).json()["plans"]
    assert [plan["valid_from_s"] - END.timestamp() for plan in newest] == [45, 60]
    after = client.get("/v1/plans", params={"since": END.timestamp() + 15, "limit": 2}).json()["plans"]
    assert [plan["valid_from_s"] - END.timestamp() for plan in after] == [30, 45]
    assert client.get("/v1/plans", params={"limit": 0}).status_code == 400


def test_before_there_is_a_plan_there_is_none_to_remember_or_explain(client: Client) -> None:
    assert client.get("/v1/plans").json() == {"plans": []}
    assert client.get("/v1/explain").status_code == 503
    assert client.post("/v1/what-if", json={}).status_code == 422


def test_an_explanation_names_what_each_setting_read_and_what_it_would_be_otherwise(client: Client) -> None:
    plan = fed(client).get("/v1/plan").json()
    told = msgspec.json.decode(client.get("/v1/explain").content, type=Explanation)
    assert told.not_led_by is None
    assert told.capacity.units == plan["capacity"][0]["units"]
    assert told.capacity.without_forecast == plan["without_forecast"]["capacity"][0]["units"]
    assert told.capacity.lead_s == 75.0
    assert told.capacity.demand_per_s is not None
    assert list(told.capacity.demand_per_s) == sorted(told.capacity.demand_per_s)
    (read,) = told.forecast
    assert (read.target, read.spike) == ("demand", 0.125)
    assert [tier.tier for tier in told.quotas] == ["maker", "taker"]
    assert told.quotas[0].urgency_usd_per_s == pytest.approx(0.05 + 0.4 / 30)
    assert [node.weight for node in told.weights] == [node["weight"] for node in plan["weights"]]


def test_what_if_is_the_plan_of_those_inputs_and_changes_nothing(client: Client, sidecar: Sidecar) -> None:
    before = fed(client).get("/v1/plan").content
    newest = sidecar.board.newest_inputs
    assert newest is not None
    assert client.post("/v1/what-if", json={}).content == before
    observed = Observed(newest.observed.at_s, 480.0, (("taker", 90.0),), 30, 40)
    answer = client.post("/v1/what-if", json={"observed": msgspec.to_builtins(observed)})
    expected = decided(venue(), Inputs(newest.forecast, observed))
    assert answer.content == msgspec.json.encode(expected)
    blind = client.post("/v1/what-if", json={"blind": True}).json()
    assert (blind["stage"], blind["forecast"]) == ("reactive", None)
    pins = [{"lever": "capacity", "name": "matching", "until_s": 4e9, "reason": "try", "value": 33}]
    assert client.post("/v1/what-if", json={"overrides": pins}).json()["capacity"][0]["units"] == 33
    assert client.get("/v1/plan").content == before
    assert sidecar.pipeline.overrides == ()


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"observed": {"at_s": 0, "demand_per_s": -1}}, 400, "demand_per_s of 0 or more"),
        ({"overrides": [{"lever": "capacity", "name": "other", "until_s": 1, "reason": "x"}]}, 422, "matching"),
        ({"observd": {}}, 400, "observd"),
        ({"forecast": {"issued_at_s": 1}}, 400, "missing"),
    ],
)
def test_what_if_of_the_impossible_is_refused(client: Client, change: Any, status: int, named: str) -> None:
    answer = fed(client).post("/v1/what-if", json=change)
    assert answer.status_code == status
    assert named in answer.json()["detail"]


def test_a_forecast_of_ones_own_may_be_asked_about(client: Client, sidecar: Sidecar) -> None:
    fed(client)
    newest = sidecar.board.newest_inputs
    assert newest is not None
    assert newest.forecast is not None
    surge = msgspec.to_builtins(newest.forecast)
    surge["quantiles"] = [[[value + 0.7 for value in curve] for curve in curves] for curves in surge["quantiles"]]
    units = client.post("/v1/what-if", json={"forecast": surge}).json()["capacity"][0]["units"]
    assert units > client.get("/v1/plan").json()["capacity"][0]["units"]
    assert msgspec.convert(surge, Forecast).targets == ("demand",)


def test_a_pin_is_in_the_plan_at_once_and_gone_when_it_is_let_go(
    client: Client, sidecar: Sidecar, tmp_path: Path
) -> None:
    sidecar.trail = Trail(Files.open(tmp_path / "audit"))
    fed(client)
    pin = {"lever": "weight", "name": "fra-1", "for_s": 600, "reason": "maintenance", "value": 0.0}
    answer = client.put("/v1/overrides", json=pin)
    assert answer.status_code == 200
    assert answer.json()["overrides"][0]["until_s"] == END.timestamp() + 600
    plan = client.get("/v1/plan").json()
    assert [node["weight"] for node in plan["weights"]] == [0.0, 1.0]
    assert plan["weights"][0]["reason"] == "pinned by the operator: maintenance"
    assert client.get("/v1/explain").json()["overrides"][0]["name"] == "fra-1"
    client.put("/v1/overrides", json={"lever": "stage", "name": "static", "for_s": 60, "reason": "incident"})
    assert client.get("/v1/plan").json()["stage"] == "static"
    assert len(client.get("/v1/overrides").json()["overrides"]) == 2
    assert client.delete("/v1/overrides", params={"lever": "stage"}).json()["overrides"][0]["name"] == "fra-1"
    assert client.delete("/v1/overrides").json() == {"overrides": []}
    assert client.get("/v1/plan").json()["weights"][0]["weight"] > 0
    sidecar.trail.thread.submit(int).result()
    kinds = [record.kind for _, record in records(tmp_path / "audit", Summary())]
    assert kinds.count("override") == 4
    assert [event.kind for event in sidecar.board.events.events].count("override") == 4


def test_a_pin_ends_by_itself(client: Client) -> None:
    fed(client)
    pin = {"lever": "stage", "name": "static", "for_s": 20, "reason": "incident"}
    assert client.put("/v1/overrides", json=pin).status_code == 200
    assert client.get("/v1/plan").json()["valid_until_s"] == END.timestamp() + 20
    advance(client, 2)
    assert client.get("/v1/plan").json()["stage"] == "forecast-led"
    assert client.get("/v1/overrides").json() == {"overrides": []}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": "other"}, 422),
        ({"for_s": 0}, 400),
        ({"for_s": 1e9}, 400),
        ({"reason": ""}, 400),
        ({"lever": "x"}, 400),
    ],
)
def test_a_pin_that_cannot_be_is_refused(client: Client, change: dict[str, object], status: int) -> None:
    pin = {"lever": "capacity", "name": "matching", "for_s": 60, "reason": "load test", "value": 8, **change}
    assert client.put("/v1/overrides", json=pin).status_code == status
    assert client.get("/v1/overrides").json() == {"overrides": []}


def test_a_stream_of_lines_is_taken_line_by_line(client: Client, sidecar: Sidecar) -> None:
    lines = [json.dumps({"request_counts": posted(counts(START + timedelta(minutes=m), 60))}) for m in range(60)]
    headers = {"Content-Type": "application/x-ndjson"}
    answer = client.post("/v1/observations/stream", content="\n".join(lines), headers=headers)
    assert (answer.status_code, answer.json()) == (202, {"lines": 60, "rows": {"request_counts": 7200}})
    wait_for(lambda: client.get("/v1/plan").status_code == 200)
    assert sidecar.pipeline.panel.newest == END


def test_the_first_wrong_line_ends_a_stream_and_is_named(client: Client, sidecar: Sidecar) -> None:
    good = json.dumps({"request_counts": posted(counts(START, 60))})
    headers = {"Content-Type": "application/x-ndjson"}
    answer = client.post("/v1/observations/stream", content=f"{good}\n[]\n{good}\n", headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("line 2: expected a line that can be used")
    assert "the 1 before it were taken" in answer.json()["detail"]
    assert sidecar.pipeline.panel.newest == START + timedelta(seconds=60)
    assert client.post("/v1/observations/stream", content=good).status_code == 415


def test_lines_are_put_together_from_pieces_and_bounded() -> None:
    async def lines(*chunks: bytes) -> list[bytes]:
        async def pieces() -> Any:
            for chunk in chunks:
                yield chunk

        return [line async for line in lines_of(pieces())]

    assert asyncio.run(lines(b"ab", b"c\n\n", b"d\ne")) == [b"abc", b"d", b"e"]
    with pytest.raises(Exception, match="a longer one"):
        asyncio.run(lines(b"x" * LONGEST_LINE, b"y"))


def test_who_watches_is_told_plans_and_events_from_where_he_left_off() -> None:
    async def watched() -> list[bytes]:
        events = Events()
        for number in range(4):
            events.publish("plan", b'{"n":%d}' % number)
        found = []
        async for message in told(events, 2):
            found.append(message.encode())
            if len(found) == 2:
                events.say(Event(1.0, "feed", "hello"))
                events.close()
        assert events.watchers == 0
        return found

    texts = [text.decode().split("\r\n") for text in asyncio.run(watched())]
    assert [line for text in texts for line in text if line] == [
        "id: 3", "event: plan", 'data: {"n":2}', "id: 4", "event: plan", 'data: {"n":3}',
        "id: 5", "event: event", 'data: {"at_s":1.0,"kind":"feed","text":"hello"}',
    ]  # fmt: skip


def test_a_pause_is_filled_with_a_comment_and_nothing_is_lost_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.paths.events.QUIET_S", 0.01)

    async def watched() -> list[bytes]:
        events, found = Events(), []
        async for message in told(events, None):
            found.append(message.encode())
            if len(found) == 2:
                events.publish("plan", b"{}")
            if len(found) == 3:
                break
        return found

    first, second, third = asyncio.run(watched())
    assert first == second
    assert first.startswith(b": nothing new\r\n")
    assert b"event: plan" in third


def test_only_so_many_may_watch(client: Client, sidecar: Sidecar) -> None:
    sidecar.board.events.watchers = 64
    assert client.get("/v1/events").status_code == 503


def test_only_so_many_may_ask_for_curiosity(client: Client) -> None:
    fed(client)
    client.app.state.desk.musing = 8
    assert client.post("/v1/what-if", json={}).status_code == 429
    assert client.get("/v1/explain").status_code == 429


@pytest.mark.parametrize("demand", [1e308, 5e-324, 0.0])
@pytest.mark.parametrize("at_s", [0.0, 1e308])
def test_numbers_at_the_edge_are_answered_or_refused_but_break_nothing(
    client: Client, demand: float, at_s: float
) -> None:
    observed = {"at_s": at_s, "demand_per_s": demand, "queued": [["maker", demand]], "ordered_units": 10**18}
    assert fed(client).post("/v1/what-if", json={"observed": observed}).status_code in (200, 422)
