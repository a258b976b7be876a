"""Plain inference over HTTP with the bundled champion, against other servers of the same ONNX, on one core each, in one run.

The client is wrk, for one in Python asks more slowly than is answered here.
"""

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
from tests.integration.parts import free_port, part
from tests.serving.made import write_artefact, write_config
from tests.serving.process import running

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore::ResourceWarning")]
PEERS = {"litserve": "/predict", "mlflow": "/invocations"}
FASTER, FASTER_WITH_CHAMPION = 6.0, 2.0  # asserted; what a quiet machine reaches is printed
CONNECTIONS, SECONDS = (1, 8, 64), 1


@pytest.fixture
def cores() -> Iterator[tuple[int, int]]:
    """The core for the server and the one for the client, which runs there meanwhile."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no way to pin a process to a core on this system")
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[-1]})
    yield allowed[0], allowed[-1]
    os.sched_setaffinity(0, allowed)


def script(folder: Path, body: object) -> Path:
    """What wrk is to send, and to print in the end."""
    path = folder / "ask.lua"
    path.write_text(
        f"""wrk.method, wrk.body = "POST", [==[{json.dumps(body)}]==]
wrk.headers["Content-Type"] = "application/json"
done = function(summary, latency)
  local wrong = summary.errors
  print(string.format('{{"answers": %d, "wrong": %d, "took_us": %d, "p50_us": %d, "p99_us": %d}}', summary.requests,
    wrong.status + wrong.connect + wrong.read + wrong.write, summary.duration, latency:percentile(50), latency:percentile(99)))
end
""",
        "utf-8",
    )
    return path


def asked(url: str, lua: Path, connections: int, seconds: int) -> dict[str, int]:
    """What wrk saw."""
    command = [part("wrk"), "-t1", f"-c{connections}", f"-d{seconds}", "-s", str(lua), "--timeout", "30", url]
    told: dict[str, int] = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
    assert told["wrong"] == 0, told
    return told


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
    def of(cls, name: str, pid: int, url: str, lua: Path, connections: int) -> "Result":
        before = cpu_s(pid)
        told = asked(url, lua, connections, SECONDS)
        rate, p99_s = 1e6 * told["answers"] / told["took_us"], 1e-6 * told["p99_us"]
        made = cls(rate, p99_s, (cpu_s(pid) - before) / told["answers"])
        print(
            f"{name:12} {connections:3} connections {rate:8.0f}/s   p50 {1e-3 * told['p50_us']:7.2f} ms   "
            f"p99 {1e3 * p99_s:7.2f} ms   {1e6 * made.cpu_s:6.0f} us of CPU each"
        )
        return made


def results(name: str, pid: int, url: str, lua: Path) -> dict[int, Result]:
    """Results by the number of connections, after a warm-up."""
    asked(url, lua, 4, 1)
    return {connections: Result.of(name, pid, url, lua, connections) for connections in CONNECTIONS}


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
        url = f"http://127.0.0.1:{sidecar.port}/v2/models/{contract.name}/infer"
        lua = script(tmp_path, {"inputs": [tensor], "outputs": wanted})
        ours = results("the sidecar", sidecar.process.pid, url, lua)
    for name, path in PEERS.items():
        if importlib.util.find_spec(name) is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {name}: `make benchmark` installs it")
        lua = script(
            tmp_path, {"window": window.tolist()} if name == "litserve" else {"inputs": {"window": window.tolist()}}
        )
        with peer(name, artefact, cores[0]) as (port, pid):
            others = results(name, pid, f"http://127.0.0.1:{port}{path}", lua)
        for connections, other in others.items():
            own = ours[connections]
            print(
                f"{'ours, times':12} {connections:3} connections {own.rate / other.rate:8.1f} requests a second, "
                f"{own.p99_s / other.p99_s:.2f} of its p99, {own.cpu_s / other.cpu_s:.2f} of its CPU"
            )
        fewer = FASTER if small else FASTER_WITH_CHAMPION  # most of our time is the champion's own
        assert ours[8].rate > fewer * others[8].rate
        assert ours[8].p99_s < (1 if small else 2) * others[8].p99_s  # of a hundred requests one may meet a neighbour
