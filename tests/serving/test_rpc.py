import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.desk import Desk
from serving.loop import Sidecar
from serving.rpc import shaper_pb2 as pb
from serving.rpc.messages import forecast_of, plan_of, report_of
from serving.rpc.server import ROLES, answering
from serving.rpc.shaper_pb2_grpc import ShaperStub
from serving.security import Access, Keyring, Security, keyring
from tests.serving.made import START, counts, posted
from tests.serving.test_security import FILE, SECRETS

REPOSITORY = Path(__file__).parents[2]
OPEN = Access(Security(), Keyring(), is_local=True)
ROWS = msgspec.json.encode({"request_counts": posted(counts(START, 3600))})
NEXT = msgspec.json.encode({"request_counts": posted(counts(START + timedelta(hours=1), 15))})
Talk = Callable[[Any, Any], Awaitable[None]]


def talk(sidecar: Sidecar, conversation: Talk, access: Access = OPEN) -> None:
    """Have a conversation with a real server on a free port of this machine."""

    async def whole() -> None:
        desk = Desk(sidecar)
        async with (
            sidecar.running(),
            answering(desk, "127.0.0.1", 0, access) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            await asyncio.wait_for(conversation(ShaperStub(channel), channel), 60)  # type: ignore[no-untyped-call]

    asyncio.run(whole())


async def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def fed(stub: Any) -> None:
    await stub.Observe(pb.Observations(json=ROWS))
    while not (await stub.GetReadiness(pb.Nothing())).ready:
        await asyncio.sleep(0.01)


def test_rows_lead_to_the_plan_and_the_forecast_that_rest_answers_with(sidecar: Sidecar) -> None:
    async def conversation(stub: Any, _: Any) -> None:
        code, said = await status_of(stub.GetPlan(pb.Nothing()))
        assert code == grpc.StatusCode.UNAVAILABLE
        assert "none has been issued yet" in said
        await fed(stub)
        plan, forecast = await stub.GetPlan(pb.Nothing()), await stub.GetForecast(pb.Nothing())
        assert sidecar.board.plan is not None
        assert sidecar.board.forecast is not None
        told = msgspec.json.decode(sidecar.board.plan)
        assert [setting.reason for setting in plan.quotas] == [setting["reason"] for setting in told["quotas"]]
        assert plan.without_forecast.capacity[0].units == told["without_forecast"]["capacity"][0]["units"]
        whole = msgspec.json.decode(sidecar.board.forecast)
        assert [list(h.quantiles) for h in forecast.targets[0].horizons] == whole["quantiles"][0]
        assert [h.spike for h in forecast.targets[0].horizons] == whole["spike"][0]

    talk(sidecar, conversation)


def test_every_field_of_a_plan_and_a_forecast_has_its_place(sidecar: Sidecar) -> None:
    sidecar.pipeline.take({"request_counts": counts(START, 3600)})
    update = sidecar.pipeline.step(START + timedelta(hours=1), {})
    body = msgspec.json.encode(update.plan)
    back = json_format.MessageToDict(
        plan_of(body), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )

    def without_nulls(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: without_nulls(value) for key, value in node.items() if value is not None}
        return [without_nulls(part) for part in node] if isinstance(node, list) else node

    assert back == without_nulls(msgspec.json.decode(body))
    names = set(pb.Forecast.DESCRIPTOR.fields_by_name) | {"horizons", "quantiles", "spike"}
    assert set(msgspec.json.decode(msgspec.json.encode(update.forecast))) == names
    assert forecast_of(msgspec.json.encode(update.forecast)).targets[0].target == "demand"


def test_what_cannot_be_used_is_said_with_its_status(sidecar: Sidecar) -> None:
    async def conversation(stub: Any, channel: Any) -> None:
        code, said = await status_of(stub.Observe(pb.Observations(json=b'{"weather": []}')))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "expected" in said
        code, said = await status_of(stub.Report(pb.GatewayReport(queued={"gold": 1.0})))
        assert (code, "found ['gold']" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        code, said = await status_of(stub.PutPin(pb.PinRequest(lever="stage", name="static", reason="x")))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "for_s" in said
        for garbage in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"[" * 100_000):
            await status_of(channel.unary_unary("/shaper.v1.Shaper/Observe")(garbage))
        assert (await stub.Observe(pb.Observations(json=NEXT))).rows == {"request_counts": 30}

    talk(sidecar, conversation)


def test_plans_and_events_come_by_themselves(sidecar: Sidecar) -> None:
    async def conversation(stub: Any, _: Any) -> None:
        call = stub.Watch(pb.WatchRequest(after_id=0))
        await fed(stub)
        kinds = set()
        async for message in call:
            kinds.add(message.WhichOneof("what"))
            if message.WhichOneof("what") == "plan":
                assert message.plan.capacity[0].pool == "matching"
            if kinds == {"plan", "event"}:
                break
        call.cancel()

    talk(sidecar, conversation)


def test_a_pin_reaches_the_plan_and_is_lifted(sidecar: Sidecar) -> None:
    async def conversation(stub: Any, _: Any) -> None:
        await fed(stub)
        pins = await stub.PutPin(pb.PinRequest(lever="capacity", name="matching", value=20, for_s=60, reason="a drill"))
        assert [(pin.lever, pin.value, pin.reason) for pin in pins.overrides] == [("capacity", 20.0, "a drill")]
        plan = await stub.GetPlan(pb.Nothing())
        assert (plan.capacity[0].units, plan.capacity[0].reason) == (20, "pinned by the operator: a drill")
        assert not (await stub.DeletePins(pb.Unpin(lever="capacity"))).overrides
        assert not (await stub.GetPins(pb.Nothing())).overrides

    talk(sidecar, conversation)


def test_a_stream_of_rows_is_taken_request_after_request(sidecar: Sidecar) -> None:
    async def conversation(stub: Any, _: Any) -> None:
        taken = await stub.ObserveStream(iter([pb.Observations(json=ROWS), pb.Observations(json=NEXT)]))
        assert taken.rows == {"request_counts": 7230}

    talk(sidecar, conversation)


def test_health_says_live_at_once_and_ready_later(sidecar: Sidecar) -> None:
    async def conversation(stub: Any, channel: Any) -> None:
        health = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        ready = health_pb2.HealthCheckRequest(service="shaper.v1.Shaper")
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == serving
        assert (await health.Check(ready)).status != serving
        await fed(stub)
        assert (await health.Check(ready)).status == serving
        unknown = health_pb2.HealthCheckRequest(service="other")
        assert (await status_of(health.Check(unknown)))[0] == grpc.StatusCode.NOT_FOUND

    talk(sidecar, conversation)


def test_tokens_and_roles_are_those_of_http(sidecar: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "tokens.toml").write_text(FILE, "utf-8")
    settings = Security(tokens=str(tmp_path / "tokens.toml"))

    async def conversation(stub: Any, channel: Any) -> None:
        def as_(role: str) -> Any:
            return (("authorization", f"Bearer {SECRETS[role]}"),)

        assert (await status_of(stub.GetReadiness(pb.Nothing())))[0] == grpc.StatusCode.UNAUTHENTICATED
        assert not (await stub.GetReadiness(pb.Nothing(), metadata=as_("read"))).ready
        report = pb.GatewayReport(demand_per_s=1.0)
        assert (await status_of(stub.Report(report, metadata=as_("read"))))[0] == grpc.StatusCode.PERMISSION_DENIED
        await stub.Report(report, metadata=as_("observe"))
        pins = status_of(stub.DeletePins(pb.Unpin(), metadata=as_("observe")))
        assert (await pins)[0] == grpc.StatusCode.PERMISSION_DENIED
        await stub.DeletePins(pb.Unpin(), metadata=as_("operate"))
        assert (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())).status

    talk(sidecar, conversation, Access(settings, keyring(settings), is_local=False))


def test_what_a_report_leaves_out_is_not_said() -> None:
    assert report_of(pb.GatewayReport(ready_units=0)).ready_units == 0
    assert report_of(pb.GatewayReport()).demand_per_s is None
    assert set(ROLES) <= set(pb.DESCRIPTOR.services_by_name["Shaper"].methods_by_name)


def test_making_the_generated_code_again_changes_nothing(tmp_path: Path) -> None:
    out = [f"--{kind}_out={tmp_path}" for kind in ("python", "grpc_python", "pyi")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{REPOSITORY}", *out, "serving/rpc/shaper.proto"],
        cwd=REPOSITORY, check=True,
    )  # fmt: skip
    made = sorted((tmp_path / "serving" / "rpc").iterdir())
    assert len(made) == 3
    for file in made:
        assert file.read_text("utf-8") == (REPOSITORY / "serving" / "rpc" / file.name).read_text("utf-8"), file.name
