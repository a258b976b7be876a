"""Plain inference over HTTP with the bundled champion, against other servers of the same ONNX, on one core each, in one run."""

import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest

from data.contract import read_contract
from serving.inference import BUNDLED
from tests.benchmarks.test_sidecar import measure, shown
from tests.integration.parts import free_port
from tests.serving.made import write_artefact, write_config
from tests.serving.process import running

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore::ResourceWarning")]
PEERS = {"litserve": "/predict", "mlflow": "/invocations"}
FASTER, SECONDS = 3.0, 2.0  # asserted; what a quiet machine reaches is printed


@pytest.fixture
def cores() -> Iterator[tuple[int, int]]:
    """The core for the server and the one for the client, which runs there meanwhile."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no way to pin a process to a core on this system")
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[-1]})
    yield allowed[0], allowed[-1]
    os.sched_setaffinity(0, allowed)


def post(path: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    )
    return head.encode() + b"\r\n\r\n" + content


@contextmanager
def peer(name: str, artefact: Path, core: int) -> Iterator[tuple[int, int]]:
    """(port, process id) of another server on one core, once it answers; the whole of it is ended in the end."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.serving_peers", name, str(artefact), str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "MLFLOW_TRACKING_URI": "sqlite://", "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while not answers(port):
            assert process.poll() is None, f"{name} ended with {process.returncode}"
            assert time.monotonic() < end, f"{name} does not answer"
            time.sleep(0.2)
        yield port, process.pid
    finally:
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and all that it has started."""
    whole = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in whole)


@dataclass(frozen=True)
class Result:
    """Requests a second, their 99th percentile (s), and CPU seconds of the server for each."""

    rate: float
    p99_s: float
    cpu_s: float

    @classmethod
    def of(cls, name: str, port: int, pid: int, request: bytes) -> "Result":
        measure(port, 4, 0.5, request)
        before = cpu_s(pid)
        rate, took = measure(port, 4, SECONDS, request)
        made = cls(rate, took[int(0.99 * (len(took) - 1))], (cpu_s(pid) - before) / len(took))
        shown(name, rate, took)
        print(f"{'':34} {1e3 * made.cpu_s:8.2f} ms of CPU each")
        return made


@pytest.mark.parametrize("graph", ["a small graph", "the bundled champion"])
def test_ten_times_the_inferences_of_other_servers_and_a_lower_p99(
    tmp_path: Path, cores: tuple[int, int], graph: str
) -> None:
    small = graph == "a small graph"
    artefact = write_artefact(tmp_path / "artefact") if small else BUNDLED / "demand"
    contract = read_contract(artefact)
    config = write_config(tmp_path, change=('artefact = "artefact"', f'artefact = "{artefact}"'))
    window = np.random.default_rng(0).normal(0, 1, (1, contract.context, len(contract.features))).round(4)
    tensor = {"name": "window", "shape": list(window.shape), "datatype": "FP32", "data": window.ravel().tolist()}
    wanted = [{"name": "quantiles"}, {"name": "spike"}]
    print(f"\n{graph}, a window of {window.size} numbers")
    with running(config) as sidecar:
        psutil.Process(sidecar.process.pid).cpu_affinity([cores[0]])
        request = post(f"/v2/models/{contract.name}/infer", {"inputs": [tensor], "outputs": wanted})
        ours = Result.of("POST /v2/models/NAME/infer", sidecar.port, sidecar.process.pid, request)
    for name, path in PEERS.items():
        if importlib.util.find_spec(name) is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {name}: `make benchmark` installs it")
        body = {"window": window.tolist()} if name == "litserve" else {"inputs": {"window": window.tolist()}}
        with peer(name, artefact, cores[0]) as (port, pid):
            other = Result.of(name, port, pid, post(path, body))
        print(
            f"{'ours, times':34} {ours.rate / other.rate:8.1f} requests a second, {ours.p99_s / other.p99_s:.2f} of its p99"
        )
        assert ours.rate > (FASTER if small else 1.0) * other.rate  # the champion itself takes most of our time
        assert ours.p99_s < other.p99_s
