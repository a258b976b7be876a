"""A venue of five tiers on three nodes, and a HAProxy section that fits it."""

from pathlib import Path

from serving.haproxy.settings import HAProxy, Server
from shaper.observed import Observed
from shaper.plan import Plan, plan
from shaper.venue import Node, Pool, Tier, Venue

SLOTS = 2


def venue(service_s: float = 0.02) -> Venue:
    rate = SLOTS / service_s
    return Venue(
        tiers=(
            Tier("critical", 0, 2.0, 40.0, 10.0, 0.10, 0.04),
            Tier("hedge", 1, 0.4, 4.0, 20.0, 0.10, 0.11),
            Tier("maker", 2, 0.05, 0.4, 30.0, 0.15, 0.45),
            Tier("taker", 3, 0.03, 0.3, 60.0, 0.10, 0.30),
            Tier("bulk", 4, 0.0005, 0.01, 600.0, 0.02, 0.10),
        ),
        pool=Pool("nodes", rate, 3, 3, 15.0, 0.0004),
        nodes=tuple(
            Node(f"n{i}", f"operator-{i}", f"region-{i}", "ethereum", rate, service_s, 0.001) for i in range(3)
        ),
        max_operator_share=0.5,
        max_region_share=0.5,
    )


def section(folder: Path, ports: tuple[int, ...] = (9201, 9202, 9203), **changes: object) -> HAProxy:
    servers = tuple(Server(f"n{place}", f"127.0.0.1:{port}", SLOTS) for place, port in enumerate(ports))
    return HAProxy(socket=str(folder / "haproxy.sock"), servers=servers, folder=str(folder), **changes)  # type: ignore[arg-type]


def planned(of: Venue, demand_per_s: float, at_s: float = 0.0) -> Plan:
    return plan(of, None, Observed(at_s=at_s, demand_per_s=demand_per_s, ready_units=3, ordered_units=3))
