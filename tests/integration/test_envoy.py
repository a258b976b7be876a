import json
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.envoys import Proxy, control, envoy, named_nodes, settings, until
from tests.integration.parts import free_port

pytestmark = pytest.mark.integration
BOTH = {"fra-1": 0.75, "nrt-1": 0.25}
ENOUGH = {"maker": 500.0, "taker": 500.0}


def admitted(proxy: Proxy, tier: str, orders: int) -> int:
    return [proxy.ask(tier)[0] for _ in range(orders)].count(200)


def test_weights_quotas_and_switches_reach_every_envoy_and_survive_the_control_plane(tmp_path: Path) -> None:
    with named_nodes("fra-1", "nrt-1") as endpoints:
        own = settings(tmp_path, endpoints)
        other = replace(own, bind=f"127.0.0.1:{free_port()}", admin=f"127.0.0.1:{free_port()}")
        with control(own) as plane, envoy(tmp_path, own, "one") as one, envoy(tmp_path, other, "two") as two:
            for proxy in (one, two):
                assert proxy.ask("taker")[0] == 200
                assert proxy.ask("maker")[0] == 200
            assert plane.apply(BOTH, ENOUGH) == "ok"
            assert plane.say("streams") == "2 2"
            for proxy in (one, two):
                names = [proxy.ask()[1] for _ in range(40)]
                assert names.count("fra-1") == pytest.approx(30, abs=2)

            assert plane.apply({"fra-1": 0.0, "nrt-1": 1.0}, {"maker": 500.0, "taker": 0.0}) == "ok"
            for proxy in (one, two):
                until(lambda proxy=proxy: proxy.ask("taker")[0] == 429)
                assert {proxy.ask()[1] for _ in range(20)} == {"nrt-1"}

            refusal = plane.say("spoil")
            assert "refuses ClusterLoadAssignment" in refusal
            assert "malformed IP address: nowhere" in refusal
            assert {proxy.ask()[1] for _ in range(20)} == {"nrt-1"}

            plane.send(signal.SIGSTOP)
            time.sleep(0.2)
            assert proxy.ask() == (200, "nrt-1")
            assert proxy.ask("taker")[0] == 429
            plane.send(signal.SIGKILL)
            time.sleep(0.2)
            assert proxy.ask() == (200, "nrt-1")
            assert proxy.ask("taker")[0] == 429
        with envoy(tmp_path, own, "late") as late:
            assert late.ask("taker")[0] == 200  # by capacity, for nobody has said more yet
            with control(own):
                until(lambda: late.ask("taker")[0] == 429)
                until(lambda: {late.ask()[1] for _ in range(20)} == {"nrt-1"})


def test_reports_of_usage_are_read_back_as_demand_and_one_quota_is_shared(tmp_path: Path) -> None:
    with named_nodes("fra-1", "nrt-1") as endpoints:
        own = settings(tmp_path, endpoints)
        with control(own) as plane, envoy(tmp_path, own) as proxy:
            proxy.ask("taker")
            assert plane.apply(BOTH, {"maker": 500.0, "taker": 10.0}) == "ok"
            assert json.loads(plane.say("report")) is None
            time.sleep(0.2)
            begun, orders, served = time.monotonic(), 0, 0
            while json.loads(plane.say("report")) is None:
                orders, served = orders + 1, served + admitted(proxy, "taker", 1)
                assert time.monotonic() - begun < 15
                time.sleep(0.01)
            elapsed = time.monotonic() - begun
            assert served <= 10.0 * elapsed + 5 + 1
            assert served >= 0.8 * 10.0 * elapsed
            assert json.loads(plane.say("report")) == pytest.approx(orders / elapsed, rel=0.4)


def test_switches_enforce_no_quota_and_refuse_a_tier_whole(tmp_path: Path) -> None:
    with named_nodes("fra-1", "nrt-1") as endpoints:
        own = replace(settings(tmp_path, endpoints), enforce=False, refused=("maker",))
        with control(own) as plane, envoy(tmp_path, own) as proxy:
            proxy.ask("taker")
            assert plane.apply(BOTH, {"maker": 500.0, "taker": 0.0}) == "ok"
            time.sleep(0.2)
            assert admitted(proxy, "taker", 20) == 20
            assert proxy.ask("maker")[0] == 503
