import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.inference import Forecaster
from serving.oip.endpoint import JSON_LENGTH, MAX_BODY_BYTES, MAX_ROWS, ROWS_ON_LOOP, InferenceEndpoint
from tests.serving.asgi import Answer, ask
from tests.serving.made import contract

INFER = "/v2/models/echo/infer"
SHAPE = [4, 3]  # of one row: context, features
VERSION = contract().digest[:12]


@pytest.fixture
def endpoint(forecaster: Forecaster) -> InferenceEndpoint:
    return InferenceEndpoint(lambda: forecaster, "1.0")


def window(rows: int = 1, **changes: Any) -> dict[str, Any]:
    data = [3.5] * (12 * rows)
    return {"name": "window", "shape": [rows, *SHAPE], "datatype": "FP32", "data": data, **changes}


def infer(endpoint: InferenceEndpoint, *inputs: Any, **more: Any) -> Answer:
    return ask(endpoint, INFER, "POST", msgspec.json.encode({"inputs": inputs or (window(),), **more}))


def test_the_server_the_model_and_their_health_are_described(endpoint: InferenceEndpoint) -> None:
    assert ask(endpoint, "/v2").json() == {"name": "shaper", "version": "1.0", "extensions": ["binary_tensor_data"]}
    assert ask(endpoint, "/v2/health/live").json() == {"live": True}
    assert ask(endpoint, "/v2/health/ready").json() == {"ready": True}
    assert ask(endpoint, "/v2/models/echo/ready").json() == {"name": "echo", "ready": True}
    assert ask(endpoint, "/v2/models/echo").json() == {
        "name": "echo",
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "window", "datatype": "FP32", "shape": [-1, 4, 3]}],
        "outputs": [
            {"name": "quantiles", "datatype": "FP32", "shape": [-1, 20, 1, 5]},
            {"name": "spike", "datatype": "FP32", "shape": [-1, 20, 1]},
        ],
    }
    assert ask(endpoint, f"/v2/models/echo/versions/{VERSION}").json()["name"] == "echo"


def test_an_answer_is_what_the_graph_says(endpoint: InferenceEndpoint, forecaster: Forecaster) -> None:
    answer = infer(endpoint, id="seven").json()
    expected = forecaster.run(np.full((4, 3), 3.5, np.float32))
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("seven", "echo", VERSION)
    quantiles, spike = answer["outputs"]
    assert (quantiles["name"], quantiles["shape"], quantiles["datatype"]) == ("quantiles", [1, 20, 1, 5], "FP32")
    assert np.float32(quantiles["data"]).tolist() == expected.quantiles.reshape(-1).tolist()
    assert np.float32(spike["data"]).tolist() == expected.spike.reshape(-1).tolist()


@pytest.mark.parametrize("rows", [1, ROWS_ON_LOOP + 1, 300])
def test_rows_are_independent_however_many_come_together(endpoint: InferenceEndpoint, rows: int) -> None:
    data = [float(row) for row in range(rows) for _ in range(12)]
    answer = infer(endpoint, window(rows, data=data), outputs=[{"name": "quantiles"}]).json()
    (quantiles,) = answer["outputs"]
    medians = np.array(quantiles["data"]).reshape(quantiles["shape"])[:, 0, 0, 2]
    assert medians.tolist() == list(range(rows))


def test_nested_data_and_unknown_values_are_read(endpoint: InferenceEndpoint) -> None:
    nested = [[[None, None, None], [2.0, 1.0, 1.0], [None, 0, 0], [1.0, 0, 0]]]
    answer = infer(endpoint, window(data=nested)).json()
    assert answer["outputs"][0]["data"][2] == 2.0


def test_binary_tensors_come_and_go_as_bytes(endpoint: InferenceEndpoint, forecaster: Forecaster) -> None:
    rows = np.linspace(0, 1, 24, dtype="<f8").reshape(2, *SHAPE)
    rows[0, 0, 0] = math.nan
    head = msgspec.json.encode(
        {
            "inputs": [window(2, datatype="FP64", data=[], parameters={"binary_data_size": rows.nbytes})],
            "outputs": [{"name": "spike"}, {"name": "quantiles", "parameters": {"binary_data": True}}],
        }
    )
    answer = ask(
        endpoint,
        INFER,
        "POST",
        head + rows.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
    length = int(answer.headers[JSON_LENGTH.decode()])
    spike, quantiles = msgspec.json.decode(answer.body[:length])["outputs"]
    assert len(spike["data"]) == 40
    assert quantiles["parameters"] == {"binary_data_size": 2 * 20 * 5 * 4}
    found = np.frombuffer(answer.body[length:], "<f4").reshape(quantiles["shape"])
    assert found[1].tolist() == forecaster.run(rows[1].astype(np.float32)).quantiles.tolist()


@pytest.mark.parametrize(
    ("spoilt", "named"),
    [
        ({"shape": [1, 3, 4]}, "expected the shape [-1, 4, 3], -1 being 1 or more; found [1, 3, 4]"),
        ({"shape": [0, 4, 3], "data": []}, "found [0, 4, 3]"),
        ({"shape": [-1, 4, 3]}, "found [-1, 4, 3]"),
        ({"shape": []}, "found []"),
        ({"shape": [2, 4, 3]}, "expected 24 numbers for the shape [2, 4, 3]; found 12"),
        ({"datatype": "INT64"}, "expected a datatype among FP32, FP64; found INT64"),
        ({"data": [1e39] * 12}, "expected finite numbers within FP32"),
        ({"data": ["1"] * 12}, "Expected `float | null`, got `str`"),
        ({"data": 3}, "expected data as a list"),
        ({"data": [[[[[1]]]]]}, "nested up to 3 deep"),
        ({"data": [[1, 2], [3]]}, "rows of equal length"),
        ({"name": "windows"}, "expected names among window, each once; found 'windows'"),
        ({"parameters": {"binary_data_size": 48}}, "binary_data_size within 0 bytes; found 48"),
        ({"parameters": {"binary_data_size": True}}, "found True"),
    ],
)  # fmt: skip
def test_a_tensor_that_does_not_fit_is_refused_with_what_was_expected(
    endpoint: InferenceEndpoint, spoilt: dict[str, Any], named: str
) -> None:
    answer = infer(endpoint, window(**spoilt))
    assert answer.status == 400
    assert named in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", INFER, b"", 405),
        ("POST", "/v2/models/echo", b"", 405),
        ("GET", "/v2/models/other", b"", 404),
        ("GET", "/v2/models/echo/versions/other", b"", 404),
        ("GET", "/v2/models/echo/versions", b"", 404),
        ("GET", "/v2/models", b"", 404),
        ("GET", "/v2/other", b"", 404),
        ("POST", INFER, b"", 400),
        ("POST", INFER, b"[" * 100_000, 400),
        ("POST", INFER, b'{"inputs": []}', 400),
        ("POST", INFER, b"\xff", 400),
        ("POST", INFER, b" " * (MAX_BODY_BYTES + 1), 413),
    ],
)  # fmt: skip
def test_errors_have_the_status_and_the_body_of_the_protocol(
    endpoint: InferenceEndpoint, method: str, path: str, body: bytes, status: int
) -> None:
    answer = ask(endpoint, path, method, body)
    assert answer.status == status
    assert list(answer.json()) == ["error"]


def test_more_rows_than_one_request_may_have_are_refused(endpoint: InferenceEndpoint) -> None:
    assert infer(endpoint, window(MAX_ROWS + 1)).status == 413


def test_an_answer_that_is_not_finite_is_an_error(broken: Forecaster) -> None:
    answer = infer(InferenceEndpoint(lambda: broken, "1.0"))
    assert answer.status == 400
    assert "expected a finite answer" in answer.json()["error"]


def test_the_model_that_serves_now_is_asked(forecaster: Forecaster, broken: Forecaster) -> None:
    serving = [forecaster]
    endpoint = InferenceEndpoint(lambda: serving[0], "1.0")
    assert infer(endpoint).status == 200
    serving[0] = broken
    assert infer(endpoint).status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["window", "state"]) | st.text(max_size=3),
        "shape": st.lists(st.integers(-2, 9), max_size=4) | st.just([1, *SHAPE]) | JSON,
        "datatype": st.sampled_from(["FP32", "FP64", "BYTES"]) | JSON,
        "data": JSON | st.lists(st.floats(width=32) | st.none(), min_size=12, max_size=12),
    },
    optional={"parameters": st.dictionaries(st.sampled_from(["binary_data_size"]), JSON, max_size=1) | JSON},
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS, max_size=2) | JSON}, optional={"outputs": JSON, "parameters": JSON, "id": JSON}
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=REQUESTS, cut=st.integers(0, 400), length=st.none() | st.integers(-5, 400))
def test_no_body_whatever_is_a_fault_of_ours(
    endpoint: InferenceEndpoint, request: Any, cut: int, length: int | None
) -> None:
    body = msgspec.json.encode(request)
    headers = {} if length is None else {JSON_LENGTH.decode(): str(length)}
    assert ask(endpoint, INFER, "POST", body[: max(cut, len(body) - cut)], headers=headers).status < 500
