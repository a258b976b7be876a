import json
from pathlib import Path

import pytest

from tests.integration.envoys import Proxy, envoy, named_nodes, settings, until
from tests.serving.made import write_artefact, write_config, write_history
from tests.serving.process import Running, running

pytestmark = pytest.mark.integration
NODE = """
[[venue.nodes]]
name = "{name}"
operator = "{operator}"
region = "eu"
chain = "ethereum"
capacity_per_s = {capacity}
latency_s = 0.02
fee_usd = 0.001
[[dataplane.envoy.endpoints]]
node = "{name}"
address = "{address}"
"""


def connected(sidecar: Running, service: str) -> bool:
    return f'shaper_envoy_connected{{service="{service}"}} 1.0'.encode() in sidecar.ask("GET", "/metrics")[1]


def quota(sidecar: Running, tier: str) -> float:
    return next(found["rate_per_s"] for found in sidecar.get("/v1/plan")["quotas"] if found["tier"] == tier)


def test_the_sidecar_itself_tells_an_envoy_what_it_plans(tmp_path: Path) -> None:
    write_artefact(tmp_path / "artefact")
    write_history(tmp_path / "history")
    with named_nodes("fra-1", "nrt-1") as endpoints:
        own = settings(tmp_path, endpoints)
        config = write_config(tmp_path)
        addresses = f'control = "{own.control}"\nbind = "{own.bind}"\nadmin = "{own.admin}"\nstate = "{own.state}"\n'
        nodes = [
            NODE.format(name=endpoint.node, operator=operator, capacity=capacity, address=endpoint.address)
            for endpoint, operator, capacity in zip(endpoints, ("north", "south"), (150.0, 100.0), strict=True)
        ]
        config.write_text(f"{config.read_text()}\n[dataplane.envoy]\n{addresses}{''.join(nodes)}")
        history = ("--history", str(tmp_path / "history"), "--speed", "60")
        with running(config, *history) as sidecar, envoy(tmp_path, own) as proxy:
            sidecar.wait_for("/v1/plan")
            until(lambda: connected(sidecar, "ads"))
            until(lambda: proxy.ask("taker")[0] == 200 and connected(sidecar, "rlqs"))
            until(lambda: kept(Path(own.state)).get("taker") == pytest.approx(quota(sidecar, "taker"), rel=0.5))
            assert both_serve(proxy)
            assert sidecar.stop() == 0
            assert both_serve(proxy)


def kept(state: Path) -> dict[str, float]:
    """The quotas that were last pushed."""
    found: dict[str, float] = json.loads(state.read_text())["quotas"] if state.exists() else {}
    return found


def both_serve(proxy: Proxy) -> bool:
    return {proxy.ask()[1] for _ in range(30)} >= {"fra-1", "nrt-1"}
