"""With a real MLflow server on loopback: runs are compared, a champion is promoted, and forecasts and sidecar find it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from data.contract import read_contract
from tests.serving import made
from tests.training.hindsights import hindsight
from tests.training.registered import write_artefact, write_history
from tests.training.test_compare import record
from tests.training.test_promote import words
from training.commands import compare, forecast, promote
from training.tracking import Store

pytestmark = pytest.mark.integration
WAIT_S = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with one worker, a database and artefacts that it hands out itself."""
    home = tmp_path_factory.mktemp("server")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    words = ["--backend-store-uri", f"sqlite:///{home}/m.db", "--artifacts-destination", str(home / "artifacts")]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        *words,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        wait(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def wait(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until the server answers."""
    for _ in range(4 * WAIT_S):
        assert process.poll() is None, "the server ended"
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.25)
    raise TimeoutError(url)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("promotion")
    write_history(folder / "history")
    for name, context in (("short", 2), ("long", 8)):
        write_artefact(folder / name, name, context)
    return folder


def test_runs_on_a_server_are_compared_and_keep_the_plots(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    store = Store(tmp_path / "unused")
    record(store, "sharp", hindsight(), tmp_path)
    record(store, "biased", hindsight(bias=0.3), tmp_path)
    assert compare.main(["--experiment", "made", "--out", str(tmp_path / "out")]) == 0
    assert f"{server}/#/experiments" in capsys.readouterr().out
    for one in store.records("made"):
        assert len(store.client.list_artifacts(one.run_id, "compare")) == 4


def test_a_champion_is_promoted_replaced_and_found_by_forecast_and_sidecar(
    server: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.chdir(tmp_path)
    for name, status, champion in (("short", 0, "1"), ("long", 0, "2"), ("short", 1, "2")):
        assert promote.main(words(home, name, tmp_path / "out", "--name", "demand")) == status
        assert Store(tmp_path / "unused").version("demand", "champion") == champion
    options = ["--data", str(home / "history"), "--since", "2024-01-06", "--out", str(tmp_path / "forecasts")]
    assert forecast.main(["--model", "models:/demand@champion", *options]) == 0
    assert (tmp_path / "forecasts" / "quantiles.parquet").is_file()
    (kept,) = (tmp_path / "var" / "registry").rglob("2")
    assert read_contract(kept).name == "long"

    serve = ["serve", "--config", str(made.write_config(tmp_path)), "--model", "models:/demand@champion", "--check"]
    program = (
        "import sys; from serving.commands import main; status = main(sys.argv[2:]);"
        "sys.exit(9 if {'mlflow', 'torch'} & set(sys.modules) else status)"
    )
    ended = subprocess.run([sys.executable, "-c", program, *serve], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "model long" in ended.stdout
