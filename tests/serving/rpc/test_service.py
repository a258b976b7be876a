import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import msgspec
import pytest
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.inference import Forecaster
from serving.loop import Sidecar
from serving.rpc import shaper_pb2 as pb
from serving.rpc.messages import forecast_of, plan_of, report_of, what_if_of
from serving.rpc.server import ROLES
from serving.security import Access, Security, keyring
from shaper.explaining import explained
from shaper.fees import ChainState
from shaper.forecast import Forecast
from shaper.observed import Observed
from tests.integration.certificates import write_certificates
from tests.serving.made import START, counts, posted
from tests.serving.rpc.talking import status_of, talk
from tests.serving.test_security import FILE, SECRETS

REPOSITORY = Path(__file__).parents[3]
ROWS = msgspec.json.encode({"request_counts": posted(counts(START, 3600))})
NEXT = msgspec.json.encode({"request_counts": posted(counts(START + timedelta(hours=1), 15))})


def as_json(message: Any) -> Any:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: without_nulls(value) for key, value in node.items() if value is not None}
    return [without_nulls(part) for part in node] if isinstance(node, list) else node


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
    assert as_json(plan_of(body)) == without_nulls(msgspec.json.decode(body))
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


def test_plans_of_before_are_those_that_rest_tells(sidecar: Sidecar) -> None:
    async def conversation(stub: Any, _: Any) -> None:
        assert not (await stub.GetPlans(pb.PlansRequest())).plans
        await fed(stub)
        await stub.PutPin(pb.PinRequest(lever="capacity", name="matching", value=20, for_s=60, reason="a drill"))
        bodies = [body for _, body in sidecar.board.plans]
        plans = (await stub.GetPlans(pb.PlansRequest())).plans
        assert list(plans) == [plan_of(body) for body in bodies]
        assert len(plans) > 1
        newest = (await stub.GetPlans(pb.PlansRequest(limit=1))).plans
        assert list(newest) == [plan_of(bodies[-1])]
        after = sidecar.board.plans[0][0]
        later = [plan_of(body) for at_s, body in sidecar.board.plans if at_s > after]
        assert list((await stub.GetPlans(pb.PlansRequest(since=after))).plans) == later
        code, said = await status_of(stub.GetPlans(pb.PlansRequest(limit=0)))
        assert (code, "expected 1 to 500" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)

    talk(sidecar, conversation)


def test_an_explanation_has_every_field_of_the_json(sidecar: Sidecar) -> None:
    async def conversation(stub: Any, _: Any) -> None:
        assert (await status_of(stub.Explain(pb.Nothing())))[0] == grpc.StatusCode.UNAVAILABLE
        await fed(stub)
        told = await stub.Explain(pb.Nothing())
        made = sidecar.board.newest
        assert made is not None
        assert made.inputs is not None
        assert made.plan is not None
        whole = msgspec.json.decode(msgspec.json.encode(explained(sidecar.pipeline.venue, made.inputs, made.plan)))
        assert as_json(told) == without_nulls(whole)

    talk(sidecar, conversation)


def test_what_if_answers_what_the_inputs_would_come_to(sidecar: Sidecar) -> None:
    async def conversation(stub: Any, _: Any) -> None:
        code, said = await status_of(stub.AskWhatIf(pb.WhatIf(blind=True)))
        assert (code, "no plan was made yet" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        await fed(stub)
        plan, forecast = await stub.GetPlan(pb.Nothing()), await stub.GetForecast(pb.Nothing())
        assert await stub.AskWhatIf(pb.WhatIf()) == plan
        at_s = plan.valid_from_s
        seen = pb.Observed(at_s=at_s, demand_per_s=48, queued={"maker": 5}, ready_units=2, ordered_units=4)
        seen.pending.add(at_s=at_s + 9, units=2)
        seen.chain.CopyFrom(pb.ChainState(next_base_fee_wei=9, levels=[0.5], utilisation=[0.5], tip_wei=[1]))
        asked = pb.WhatIf(forecast=forecast, observed=seen, overrides=pb.Pins())
        inputs = what_if_of(asked)
        assert inputs.forecast == msgspec.json.decode(sidecar.board.forecast or b"", type=Forecast)
        assert inputs.observed == Observed(
            at_s, 48.0, (("maker", 5.0),), 2, 4, ((at_s + 9, 2),), chain=ChainState(9, (0.5,), (0.5,), (1.0,))
        )
        assert (await stub.AskWhatIf(asked)).capacity[0].pool == "matching"
        blind = await stub.AskWhatIf(pb.WhatIf(observed=seen, blind=True))
        assert blind.stage == "reactive"
        seen.ordered_units = 0
        code, said = await status_of(stub.AskWhatIf(pb.WhatIf(observed=seen)))
        assert (code, "ready_units <= ordered_units" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)
        forecast.targets.add().CopyFrom(forecast.targets[0])
        forecast.targets[1].horizons[0].horizon = 9
        code, said = await status_of(stub.AskWhatIf(pb.WhatIf(forecast=forecast)))
        assert (code, "the same horizons" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)

    talk(sidecar, conversation)


def test_models_are_told_and_swapped(sidecar: Sidecar, forecaster: Forecaster) -> None:
    async def conversation(stub: Any, _: Any) -> None:
        await fed(stub)
        (leads,) = (await stub.GetModels(pb.Nothing())).models
        assert (leads.role, leads.name, list(leads.targets)) == ("champion", "echo", ["demand"])
        code, said = await status_of(stub.SwapModel(pb.Swap(to="before")))
        assert (code, "a predecessor" in said) == (grpc.StatusCode.FAILED_PRECONDITION, True)
        assert (await status_of(stub.SwapModel(pb.Swap(to="/etc/passwd"))))[0] == grpc.StatusCode.INVALID_ARGUMENT
        pipeline = sidecar.pipeline
        await sidecar.work(lambda: pipeline.swapper.challenge(pipeline.seer_of(forecaster)))
        models = (await stub.SwapModel(pb.Swap())).models
        assert [model.role for model in models] == ["champion", "challenger"]
        assert models[1].HasField("comparison")

    talk(sidecar, conversation)


def test_a_fault_of_ours_is_internal_and_the_log_has_the_rest(
    sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fault() -> None:
        raise ZeroDivisionError("secret")

    async def conversation(stub: Any, _: Any) -> None:
        monkeypatch.setattr(sidecar.board, "readiness", fault)
        said = await status_of(stub.GetReadiness(pb.Nothing()))
        assert said == (grpc.StatusCode.INTERNAL, "ZeroDivisionError: see the log")
        monkeypatch.undo()

    talk(sidecar, conversation)
    assert "secret" in caplog.text


@pytest.mark.parametrize("shows_its_own", [True, False])
def test_over_tls_only_clients_of_the_authority_are_answered(
    sidecar: Sidecar, tmp_path: Path, shows_its_own: bool
) -> None:
    write_certificates(tmp_path)

    def pem(name: str) -> bytes:
        return (tmp_path / name).read_bytes()

    own = (pem("client.key"), pem("client.pem")) if shows_its_own else (None, None)
    settings = Security(
        certificate=str(tmp_path / "server.pem"), key=str(tmp_path / "server.key"),
        client_ca=str(tmp_path / "ca.pem"), client_role="observe",
    )  # fmt: skip

    async def conversation(stub: Any, _: Any) -> None:
        if shows_its_own:
            await stub.Report(pb.GatewayReport(demand_per_s=1.0))
            assert (await status_of(stub.DeletePins(pb.Unpin())))[0] == grpc.StatusCode.PERMISSION_DENIED
        else:
            assert (await status_of(stub.GetReadiness(pb.Nothing())))[0] == grpc.StatusCode.UNAVAILABLE

    credentials = grpc.ssl_channel_credentials(pem("ca.pem"), *own)
    talk(sidecar, conversation, Access(settings, keyring(settings), is_local=False), credentials)


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
    assert report_of(pb.GatewayReport()).chain is None
    assert set(ROLES) <= set(pb.DESCRIPTOR.services_by_name["Shaper"].methods_by_name)


@pytest.mark.parametrize("proto", ["serving/rpc/shaper.proto", "serving/oip/open_inference.proto"])
def test_making_the_generated_code_again_changes_nothing(tmp_path: Path, proto: str) -> None:
    out = [f"--{kind}_out={tmp_path}" for kind in ("python", "grpc_python", "pyi")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{REPOSITORY}", *out, proto],
        cwd=REPOSITORY, check=True,
    )  # fmt: skip
    folder = Path(proto).parent
    made = sorted((tmp_path / folder).iterdir())
    assert len(made) == 3
    for file in made:
        assert file.read_text("utf-8") == (REPOSITORY / folder / file.name).read_text("utf-8"), file.name
