import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from serving.dataplane import DataPlaneError
from serving.keda.externalscaler_pb2 import GetMetricsRequest, ScaledObjectRef
from serving.keda.externalscaler_pb2_grpc import ExternalScalerStub
from serving.keda.plane import KedaPlane
from serving.keda.settings import Keda, rules
from shaper.plan import CapacitySetting, Plan, Settings
from tests.integration.certificates import write_certificates
from tests.integration.parts import free_port
from tests.serving.made import venue

ROOT = Path(__file__).parents[3]
Talk = Callable[[KedaPlane, ExternalScalerStub], Awaitable[None]]


def plan(units: int) -> Plan:
    capacity = (CapacitySetting("matching", units, units * 12.0, ""),)
    return Plan(0.0, 30.0, "reactive", "", capacity, (), (), None, Settings((), (), ()))


def reference(**metadata: str) -> ScaledObjectRef:
    return ScaledObjectRef(name="orders", namespace="venue", scalerMetadata=metadata)


def talk(with_client: Talk) -> None:
    """Run a conversation between KEDA's generated client and a plane."""

    async def whole() -> None:
        plane = KedaPlane(Keda(f"127.0.0.1:{free_port()}"), venue())
        await plane.open()
        async with grpc.aio.insecure_channel(plane.own.bind) as channel:
            await with_client(plane, ExternalScalerStub(channel))
        await plane.close()

    asyncio.run(asyncio.wait_for(whole(), 20))


def test_the_autoscaler_comes_to_the_units_of_the_plan() -> None:
    async def conversation(plane: KedaPlane, keda: ExternalScalerStub) -> None:
        await plane.apply(plan(7))
        spec = (await keda.GetMetricSpec(reference(pool="matching"))).metricSpecs[0]
        asked = GetMetricsRequest(scaledObjectRef=reference(), metricName=f"s0-{spec.metricName}")
        value = (await keda.GetMetrics(asked)).metricValues[0]
        assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("shaper-capacity-matching", 1, 1.0)
        assert (value.metricName, value.metricValue, value.metricValueFloat) == (spec.metricName, 7, 7.0)
        halves = (await keda.GetMetricSpec(reference(unitsPerReplica="2.5"))).metricSpecs[0]
        assert halves.targetSizeFloat == 2.5

    talk(conversation)


def test_before_the_first_plan_there_is_no_metric_and_nothing_is_scaled_to_zero() -> None:
    async def conversation(_: KedaPlane, keda: ExternalScalerStub) -> None:
        assert (await keda.IsActive(reference())).result
        with pytest.raises(grpc.aio.AioRpcError, match="expected a plan") as caught:
            await keda.GetMetrics(GetMetricsRequest(scaledObjectRef=reference()))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    talk(conversation)


def test_streams_tell_at_once_and_then_only_what_changes() -> None:
    async def conversation(plane: KedaPlane, keda: ExternalScalerStub) -> None:
        active = keda.StreamIsActive(reference())
        assert (await active.read()).result
        await plane.apply(plan(3))
        await plane.apply(plan(0))
        assert not (await active.read()).result
        await plane.apply(plan(2))
        assert (await active.read()).result
        specs = keda.StreamMetricSpec(reference(unitsPerReplica="4"))
        assert (await specs.read()).metricSpecs[0].targetSize == 4
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(specs.read(), 0.1)
        active.cancel()
        specs.cancel()

    talk(conversation)


@pytest.mark.parametrize(
    ("metadata", "named"),
    [({"pool": "other"}, "pool: expected matching"), ({"unitsPerReplica": "none"}, "a number above 0"),
     ({"unitsPerReplica": "-1"}, "a number above 0")],
)  # fmt: skip
def test_metadata_that_cannot_be_is_refused_with_one_sentence(metadata: dict[str, str], named: str) -> None:
    async def conversation(_: KedaPlane, keda: ExternalScalerStub) -> None:
        with pytest.raises(grpc.aio.AioRpcError, match=named) as caught:
            await keda.GetMetricSpec(reference(**metadata))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    talk(conversation)


def test_an_address_that_is_taken_and_a_certificate_that_is_missing_are_said(tmp_path: Path) -> None:
    async def conversation(plane: KedaPlane, _: ExternalScalerStub) -> None:
        with pytest.raises(DataPlaneError, match="expected a free address"):
            await KedaPlane(plane.own, venue()).open()
        missing = Keda(f"127.0.0.1:{free_port()}", str(tmp_path / "tls.crt"), str(tmp_path / "tls.key"))
        with pytest.raises(DataPlaneError, match="expected PEM files"):
            await KedaPlane(missing, venue()).open()

    talk(conversation)


@pytest.mark.parametrize(
    "own", [Keda("nowhere"), Keda(":80"), Keda(certificate="a"), Keda(client_authority="a"), Keda("127.0.0.1:99999")]
)
def test_settings_that_cannot_be_break_a_rule(own: Keda) -> None:
    assert [holds for holds, *_ in rules(own)].count(False) >= 1
    assert all(holds for holds, *_ in rules(Keda()))


def test_the_generated_code_is_that_of_the_protocol(tmp_path: Path) -> None:
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", *outputs, "serving/keda/externalscaler.proto"]
    subprocess.run(command, cwd=ROOT, check=True)
    for made in sorted((tmp_path / "serving" / "keda").iterdir()):
        assert made.read_text("utf-8") == (ROOT / "serving" / "keda" / made.name).read_text("utf-8"), made.name


def test_over_tls_only_a_client_with_a_certificate_of_the_authority_is_answered(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    bind = f"127.0.0.1:{free_port()}"
    files = [str(tmp_path / name) for name in ("server.pem", "server.key", "ca.pem")]

    def secured(*client: str) -> grpc.aio.Channel:
        key, certificate = ((tmp_path / name).read_bytes() for name in client) if client else (None, None)
        ca = (tmp_path / "ca.pem").read_bytes()
        return grpc.aio.secure_channel(bind, grpc.ssl_channel_credentials(ca, key, certificate))

    async def asked(channel: grpc.aio.Channel) -> int:
        async with channel:
            asking = GetMetricsRequest(scaledObjectRef=reference())
            return int((await ExternalScalerStub(channel).GetMetrics(asking, timeout=5)).metricValues[0].metricValue)

    async def whole() -> None:
        plane = KedaPlane(Keda(bind, *files), venue())
        await plane.open()
        await plane.apply(plan(7))
        assert await asked(secured("client.key", "client.pem")) == 7
        for stranger in (secured(), grpc.aio.insecure_channel(bind)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await asked(stranger)
            assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        await plane.close()

    asyncio.run(asyncio.wait_for(whole(), 40))
