import hashlib
import json
import logging
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from serving.logs import JsonLines, TextLines, plan_id
from serving.loop import Sidecar
from shaper.plan import Plan, Settings, TierSetting
from tests.serving.embedded.made import play, world
from tests.serving.made import START


def line(record: logging.LogRecord) -> dict[str, object]:
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def test_a_line_has_its_fields_beside_time_level_and_message() -> None:
    record = logging.makeLogRecord(
        {
            "name": "serving.state",
            "levelname": "INFO",
            "msg": "%s: %s",
            "args": ("plan", "is\nreactive"),
            "created": 0.0,
        }
    )
    record.plan, record.order, record.path = "ab12", None, Path("/x")
    assert line(record) == {
        "time": "1970-01-01T00:00:00.000000+00:00",
        "level": "info",
        "logger": "serving.state",
        "message": "plan: is\nreactive",
        "plan": "ab12",
        "path": "/x",
    }


def test_an_exception_is_a_field_of_its_line() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    assert "ValueError: no" in str(line(record)["exception"])


def test_events_of_a_plan_carry_its_identity(sidecar: Sidecar, caplog: pytest.LogCaptureFixture) -> None:
    from tests.serving.made import counts

    sidecar.pipeline.take({"request_counts": counts(START, 3600)})
    with caplog.at_level(logging.DEBUG, "serving.state"):
        sidecar.board.post(sidecar.pipeline.step(START + timedelta(hours=1), {}))
    assert sidecar.board.plan is not None
    identity = hashlib.sha256(sidecar.board.plan).hexdigest()[:12]
    assert plan_id(sidecar.board.plan) == identity
    said = [record for record in caplog.records if record.getMessage().startswith("plan")]
    assert len(said) == 2
    assert {vars(record)["plan"] for record in said} == {identity}


def test_what_others_send_begins_no_line_of_its_own() -> None:
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "pinned: %s", "args": ("a\n2024 INFO ready\x1b[2J é",)})
    assert TextLines("%(levelname)s %(message)s").format(record) == r"INFO pinned: a\n2024 INFO ready\x1b[2J é"


def test_lines_of_an_order_carry_its_identity_and_that_of_the_plan_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = Plan(
        0.0, 1.0, "static", "test", (), (TierSetting("taker", 1, 900.0, 0.9, "test"),), (), None, Settings((), (), ())
    )

    async def story() -> None:
        async with world(tmp_path, open_after=1000) as there:
            await there.gateway.apply(plan)
            await there.order({"side": "buy"}, **{"Idempotency-Key": "7f3a"})
            there.trouble(n0="fail", n1="fail", n2="fail")
            assert (await there.order({"side": "buy"}, **{"Idempotency-Key": "7f3b"})).status_code == 504

    with caplog.at_level(logging.DEBUG, "serving.embedded.desk"):
        play(story())
    lines = [line(record) for record in caplog.records if record.name == "serving.embedded.desk"]
    told = [[found[name] for name in ("level", "order", "tier", "outcome", "plan")] for found in lines]
    identity = plan_id(msgspec.json.encode(plan))
    assert told == [
        ["debug", "crowd key 7f3a", "taker", "accepted", identity],
        ["warning", "crowd key 7f3b", "taker", "unknown", identity],
    ]
