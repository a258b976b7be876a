"""Plain inference over gRPC with stubs of the published protocol: the same answers as at `/v2`."""

from pathlib import Path
from typing import Any

import grpc
import msgspec
import numpy as np
import pytest

from serving.inference import Forecaster
from serving.loop import Sidecar
from serving.oip import open_inference_pb2 as pb
from serving.oip.endpoint import MAX_ROWS, ROWS_ON_LOOP, InferenceEndpoint
from serving.oip.open_inference_pb2_grpc import GRPCInferenceServiceStub
from serving.security import Access, Security, keyring
from tests.serving.asgi import ask
from tests.serving.rpc.talking import status_of, talk
from tests.serving.test_open_inference import INFER, VERSION
from tests.serving.test_security import FILE, SECRETS

ROW = [0.5 * n for n in range(12)]


def stub_of(channel: Any) -> Any:
    return GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]


def infer(rows: int = 1, raw: bytes | None = None, **changes: Any) -> pb.ModelInferRequest:
    tensor = {"name": "window", "datatype": "FP32", "shape": [rows, 4, 3], **changes}
    if raw is None and "contents" not in tensor:
        tensor["contents"] = pb.InferTensorContents(fp32_contents=ROW * rows)
    asked = pb.ModelInferRequest(model_name="echo", id="seven", inputs=[tensor])
    if raw is not None:
        asked.raw_input_contents.append(raw)
    return asked


def test_the_server_and_the_model_are_described_as_over_http(sidecar: Sidecar) -> None:
    async def conversation(_: Any, channel: Any) -> None:
        stub = stub_of(channel)
        assert (await stub.ServerLive(pb.ServerLiveRequest())).live
        assert (await stub.ServerReady(pb.ServerReadyRequest())).ready
        assert (await stub.ModelReady(pb.ModelReadyRequest(name="echo"))).ready
        assert (await stub.ServerMetadata(pb.ServerMetadataRequest())).name == "shaper"
        about = await stub.ModelMetadata(pb.ModelMetadataRequest(name="echo", version=VERSION))
        assert (list(about.versions), about.platform) == ([VERSION], "onnxruntime_onnx")
        assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in about.inputs] == [
            ("window", "FP32", [-1, 4, 3])
        ]
        assert [(tensor.name, list(tensor.shape)) for tensor in about.outputs] == [
            ("quantiles", [-1, 20, 1, 5]),
            ("spike", [-1, 20, 1]),
        ]

    talk(sidecar, conversation)


@pytest.mark.parametrize("rows", [1, ROWS_ON_LOOP + 1])
def test_answers_are_those_of_http_to_the_bit_raw_or_as_numbers(
    sidecar: Sidecar, forecaster: Forecaster, rows: int
) -> None:
    tensor = {"name": "window", "shape": [rows, 4, 3], "datatype": "FP32", "data": ROW * rows}
    endpoint = InferenceEndpoint(lambda: forecaster, "1.0")
    expected = ask(endpoint, INFER, "POST", msgspec.json.encode({"inputs": [tensor]})).json()["outputs"]

    async def conversation(_: Any, channel: Any) -> None:
        stub = stub_of(channel)
        plain = await stub.ModelInfer(infer(rows))
        assert (plain.model_name, plain.model_version, plain.id) == ("echo", VERSION, "seven")
        raw = await stub.ModelInfer(infer(rows, np.array(ROW * rows, "<f8").tobytes(), datatype="FP64"))
        for place, output in enumerate(expected):
            assert list(plain.outputs[place].shape) == list(raw.outputs[place].shape) == output["shape"]
            values = np.float32(output["data"]).tolist()
            assert list(plain.outputs[place].contents.fp32_contents) == values
            assert np.frombuffer(raw.raw_output_contents[place], "<f4").tolist() == values
        asked = infer(rows)
        asked.outputs.add(name="spike")
        assert [output.name for output in (await stub.ModelInfer(asked)).outputs] == ["spike"]

    talk(sidecar, conversation)


def test_what_cannot_be_answered_is_said_with_its_status(sidecar: Sidecar) -> None:
    other = infer()
    other.model_name = "other"
    several = infer(raw=b"")
    several.raw_input_contents.append(b"")
    large = infer(MAX_ROWS + 1, bytes(4 * 12 * (MAX_ROWS + 1)))
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    cases = [
        (other, grpc.StatusCode.NOT_FOUND, "found other"),
        (large, grpc.StatusCode.RESOURCE_EXHAUSTED, "send several requests"),
        (several, invalid, "one for each of 1 inputs, or none; found 2"),
        (infer(shape=[1, 3, 4]), invalid, "expected the shape [-1, 4, 3]"),
        (infer(datatype="INT64"), invalid, "expected a datatype among FP32, FP64"),
        (infer(raw=bytes(46)), invalid, "bytes of whole FP32 numbers, 4 each; found 46 bytes"),
        (infer(raw=bytes(44)), invalid, "expected 12 numbers"),
        (infer(contents={"fp32_contents": [float("inf")] * 12}), invalid, "finite numbers"),
        (infer(datatype="FP64", contents={"fp64_contents": [1e300] * 12}), invalid, "finite numbers"),
        (infer(name="windows"), invalid, "names among window"),
        (pb.ModelInferRequest(model_name="echo"), invalid, "expected the input window; found none"),
    ]

    async def conversation(_: Any, channel: Any) -> None:
        stub = stub_of(channel)
        for asked, code, words in cases:
            found = await status_of(stub.ModelInfer(asked))
            assert (found[0], words in found[1]) == (code, True), found
        assert (await status_of(stub.ModelReady(pb.ModelReadyRequest(name="other"))))[0] == grpc.StatusCode.NOT_FOUND
        assert (await stub.ModelInfer(infer())).outputs

    talk(sidecar, conversation)


def test_inference_needs_the_role_to_read_and_the_server_s_health_none(sidecar: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "tokens.toml").write_text(FILE, "utf-8")
    settings = Security(tokens=str(tmp_path / "tokens.toml"))

    async def conversation(_: Any, channel: Any) -> None:
        stub = stub_of(channel)
        assert (await stub.ServerLive(pb.ServerLiveRequest())).live
        assert (await status_of(stub.ModelInfer(infer())))[0] == grpc.StatusCode.UNAUTHENTICATED
        assert (await stub.ModelInfer(infer(), metadata=(("authorization", f"Bearer {SECRETS['read']}"),))).outputs

    talk(sidecar, conversation, Access(settings, keyring(settings), is_local=False))


def test_a_call_that_fails_is_ended_once_with_what_was_wrong_or_with_a_fault_that_is_in_the_log(
    sidecar: Sidecar, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    async def conversation(_: Any, channel: Any) -> None:
        stub = stub_of(channel)
        other = await status_of(stub.ModelMetadata(pb.ModelMetadataRequest(name="other")))
        assert other[0] == grpc.StatusCode.NOT_FOUND
        assert not caplog.records
        monkeypatch.setattr(InferenceEndpoint, "model", broken)
        for call in (stub.ModelReady(pb.ModelReadyRequest(name="echo")), stub.ModelInfer(infer())):
            assert await status_of(call) == (grpc.StatusCode.INTERNAL, "RuntimeError: see the log")
        assert [record.message for record in caplog.records] == ["an inference failed"] * 2

    talk(sidecar, conversation)
