import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.serving.made import START, contract, counts, posted, write_artefact, write_config, write_history
from tests.serving.process import COMMAND, running

pytestmark = pytest.mark.integration


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_artefact(tmp_path / "artefact")
    write_history(tmp_path / "history")
    return write_config(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_played_history_leads_to_plans_that_move_on_until_a_signal_ends_it(
    config: Path, number: signal.Signals
) -> None:
    with running(config, "--history", str(config.parent / "history"), "--speed", "150") as sidecar:
        sidecar.wait_for("/readyz")
        first = sidecar.get("/v1/plan")
        assert first["stage"] == "forecast-led"
        assert first["valid_from_s"] >= START.timestamp() + 5400
        assert sidecar.get("/v1/forecast")["contract_digest"] == contract().digest
        while sidecar.get("/v1/plan")["valid_from_s"] < first["valid_from_s"] + 45:
            pass
        assert b"shaper_ready 1.0" in sidecar.ask("GET", "/metrics")[1]
        assert sidecar.get("/schema/openapi.json")["openapi"].startswith("3.1")
        assert sidecar.stop(number) == 0
    assert "stopped" in (config.parent / "serve.log").read_text()


def test_a_recording_that_has_ended_leaves_the_last_plan_and_says_so(config: Path) -> None:
    with running(config, "--history", str(config.parent / "history"), "--speed", "1e9") as sidecar:
        sidecar.wait_for("/readyz")
        while not any("recording ended" in reason for reason in sidecar.get("/readyz")["reasons"]):
            pass
        assert sidecar.get("/v1/plan")["valid_from_s"] == START.timestamp() + 3 * 3600
        assert sidecar.get("/healthz") == {"status": "ok"}


def test_rows_posted_under_the_wall_clock_lead_to_a_plan(config: Path) -> None:
    write_config(config.parent, 'kind = "none"\nsettle_s = 0.1')
    with running(config) as sidecar:
        assert sidecar.ask("GET", "/v1/plan")[0] == 503
        since = datetime.fromtimestamp(int(datetime.now(UTC).timestamp()) - 3600, UTC)
        for part in range(6):
            rows = counts(datetime.fromtimestamp(since.timestamp() + 600 * part, UTC), 600)
            assert sidecar.ask("POST", "/v1/observations", {"request_counts": posted(rows)})[0] == 202
        sidecar.wait_for("/v1/plan", 30)
        assert abs(sidecar.get("/v1/plan")["valid_from_s"] - datetime.now(UTC).timestamp()) < 30


def test_plans_and_events_are_streamed_and_who_watches_does_not_delay_the_end(config: Path) -> None:
    import http.client

    with running(config, "--history", str(config.parent / "history"), "--speed", "150") as sidecar:
        sidecar.wait_for("/readyz")
        connection = http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=30)
        connection.request("GET", "/v1/events", headers={"Last-Event-ID": "0"})
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        seen: set[bytes] = set()
        while not {b"event: plan", b"event: event"} <= seen:
            seen.add(answer.readline().strip())
        assert sidecar.stop() == 0
        answer.read()  # to its last chunk, which a stream that is cut off when its time is up does not have
        connection.close()


def test_settings_are_read_again_on_a_signal_and_no_request_is_dropped(config: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    history = ("--history", str(config.parent / "history"), "--speed", "150")
    with running(config, *history) as sidecar, ThreadPoolExecutor(4) as threads:
        sidecar.wait_for("/readyz")
        write_config(config.parent, change=("min_units = 2", "min_units = 44"))
        asked = [threads.submit(sidecar.ask, "GET", "/v1/plan") for _ in range(100)]
        sidecar.process.send_signal(signal.SIGHUP)
        asked += [threads.submit(sidecar.ask, "GET", "/v1/plan") for _ in range(200)]
        for _ in range(20):
            sidecar.process.send_signal(signal.SIGHUP)
        assert {answer.result()[0] for answer in asked} == {200}
        while sidecar.get("/v1/plan")["capacity"][0]["units"] < 44:
            pass
        write_config(config.parent, change=("min_units = 2", "min_unit = 3"))
        sidecar.process.send_signal(signal.SIGHUP)
        while not any("unknown venue.pool.min_unit" in reason for reason in sidecar.get("/readyz")["reasons"]):
            pass
        assert sidecar.stop() == 0


def test_a_process_that_is_killed_leaves_nothing_and_starts_again(config: Path) -> None:
    before = sorted(config.parent.rglob("*"))
    assert len(before) > 4
    with running(config) as sidecar:
        assert sidecar.stop(signal.SIGKILL) == -signal.SIGKILL
    with running(config) as sidecar:
        assert sidecar.get("/healthz") == {"status": "ok"}
    assert sorted(p for p in config.parent.rglob("*") if p.name != "serve.log") == before


@pytest.mark.parametrize(
    ("spoil", "status", "named"),
    [("digest", 1, "made for the contract"), ("truncated", 1, "a whole ONNX file"), ("key", 2, "unknown server.prot")],
)
def test_what_cannot_be_served_ends_at_once_with_one_line(config: Path, spoil: str, status: int, named: str) -> None:
    folder = config.parent
    if spoil == "digest":
        write_artefact(folder / "artefact", digest=contract("other").digest)
    elif spoil == "truncated":
        (folder / "artefact" / "model.onnx").write_bytes((folder / "artefact" / "model.onnx").read_bytes()[:500])
    else:
        write_config(folder, change=("port", "prot"))
    shown = subprocess.run([*COMMAND, "--config", str(config)], capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == status
    assert named in shown.stderr
    assert len(shown.stderr.strip().splitlines()) == 1
    assert shown.stdout == ""
