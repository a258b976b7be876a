"""Spans as a collector receives them, and the log as a machine reads it."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.serving.made import write_artefact, write_config, write_history
from tests.serving.process import running

pytestmark = pytest.mark.integration


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    """Where a collector listens, and the spans that it has received."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in body["resourceSpans"]:
                spans.extend(span for scope in resource["scopeSpans"] for span in scope["spans"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The test does not want to hear of each request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", spans
    server.shutdown()
    server.server_close()


def test_a_step_is_a_span_with_its_forecast_and_its_plan_inside(
    tmp_path: Path, collector: tuple[str, list[Any]]
) -> None:
    endpoint, spans = collector
    write_artefact(tmp_path / "artefact")
    history = write_history(tmp_path / "history")
    section = f'[log]\nformat = "json"\nlevel = "debug"\n[trace]\nendpoint = "{endpoint}"'
    config = write_config(tmp_path, change=("[model]", f"{section}\n[model]"))
    with running(config, "--history", str(history), "--speed", "60") as sidecar:
        sidecar.wait_for("/readyz")
        end = time.monotonic() + 20
        while not {"step", "forecast", "plan"} <= {span["name"] for span in spans}:
            assert time.monotonic() < end, [span["name"] for span in spans]
            time.sleep(0.1)
        assert sidecar.stop() == 0
    assert {pair["key"] for span in spans if span["name"] == "plan" for pair in span["attributes"]} >= {
        "stage",
        "units",
    }
    steps = {span["spanId"] for span in spans if span["name"] == "step"}
    assert {span["parentSpanId"] for span in spans if span["name"] in ("forecast", "plan")} <= steps
    lines = [json.loads(text) for text in (tmp_path / "serve.log").read_text("utf-8").splitlines()]
    plans = [line for line in lines if line["message"].endswith("is made")]
    assert plans
    assert all(len(line["plan"]) == 12 and line["stage"] for line in plans)
    assert lines[-1]["message"] == "stopped"
