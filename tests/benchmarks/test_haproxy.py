"""HAProxy steered by a sidecar beside the same HAProxy with none: what the sidecar costs the path of orders."""

import signal
import time
from pathlib import Path

import psutil
import pytest

from serving.haproxy.files import write
from serving.settings import read_settings
from tests.benchmarks.bursts import Burst, burst, by_turns
from tests.benchmarks.test_envoy import quick_node
from tests.integration.parts import free_port, part
from tests.integration.test_haproxy import SIDECAR, process, sections
from tests.serving.process import running

pytestmark = pytest.mark.benchmark
TURNS, LOAD_S = 10, 1
LEAST_RATIO = 0.9  # 0.97 on a machine of one's own, see serving/HAPROXY.md


def test_a_sidecar_that_plans_every_second_costs_the_path_of_orders_next_to_nothing(tmp_path: Path) -> None:
    bind, config = free_port(), tmp_path / "shaper.toml"
    with quick_node(tmp_path) as endpoints:
        port = int(endpoints[0].address.rpartition(":")[2])
        config.write_text(SIDECAR.format(bind=bind) + sections((port, port, port)))
        settings = read_settings(config)
        assert settings.dataplane.haproxy is not None
        own = write(settings.dataplane.haproxy, settings.venue)
        with process(part("haproxy"), "-f", str(own)) as proxy, running(config) as sidecar:
            sidecar.wait_for("/v1/plan")
            path = psutil.Process(proxy.pid)

            def switch(steered: bool) -> None:
                sidecar.process.send_signal(signal.SIGCONT if steered else signal.SIGSTOP)
                time.sleep(0.2)

            def run() -> Burst:
                return burst(path, f"127.0.0.1:{bind}", "critical", LOAD_S)

            cost = by_turns(switch, run, TURNS)
            switch(True)
            counted = sidecar.get("/v1/plan")
    print(f"\nHAProxy steered beside the same with no sidecar: {cost}; plans in force: {counted['stage']}")
    assert max(cost.throughput, cost.cpu) >= LEAST_RATIO
