"""What an operator may set of Envoy: the `[dataplane.envoy]` section.

Decided here: defaults, and which settings contradict the venue. The control plane asks nobody who they are, so it listens on
the loopback interface: an Envoy runs beside its sidecar.
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from shaper.venue import Venue

Rule = tuple[bool, str, str, str]  # whether it holds, what is expected, what was found, how to mend it
WHERE = "dataplane.envoy"


@dataclass(frozen=True)
class Endpoint:
    """Where a node of the venue is reached: an IP address and a port."""

    node: str
    address: str


@dataclass(frozen=True)
class Envoy:
    """How Envoy listens, and the control plane that it asks. Times are seconds.

    `control` is where the sidecar answers Envoys, `bind` where Envoys take orders, `admin` their own interface. The tier of an
    order is what the trusted service in front writes into `tier_header`; without one it is of the last tier. A quota's bucket
    holds `burst_s` of its rate. When the sidecar says nothing for `hold_s`, quotas fall to those of the pool's least units.
    `enforce` false counts and refuses nothing; tiers in `refused` are switched off. `confirm_s` is how long a push may wait for
    its answer; `state` is the file that keeps what was last pushed.
    """

    endpoints: tuple[Endpoint, ...]
    control: str = "127.0.0.1:18000"
    bind: str = "127.0.0.1:10000"
    admin: str = "127.0.0.1:9901"
    state: str = "envoy-state.json"
    tier_header: str = "x-tier"
    enforce: bool = True
    refused: tuple[str, ...] = ()
    burst_s: float = 0.5
    hold_s: float = 3600.0
    confirm_s: float = 0.5
    timeout_s: float = 10.0
    max_waiting: int = 1024

    def resolved(self, folder: Path) -> "Envoy":
        """The same with paths made absolute from a folder."""
        return replace(self, state=str(folder / self.state))


def rules(own: Envoy, venue: Venue) -> Iterator[Rule]:
    """Rules of `[dataplane.envoy]`."""
    nodes, named = sorted(node.name for node in venue.nodes), sorted(endpoint.node for endpoint in own.endpoints)
    yield (
        bool(nodes) and nodes == named,
        f"{WHERE}.endpoints: one for each node of the venue ({', '.join(nodes) or 'none'})",
        ", ".join(named) or "none",
        "name every node once",
    )
    addresses = [("bind", own.bind), ("admin", own.admin), ("control", own.control)]
    for key, text in (*addresses, *((f"endpoints.{point.node}", point.address) for point in own.endpoints)):
        yield split(text) is not None, f"{WHERE}.{key} as IP:port", repr(text), "write e.g. 127.0.0.1:18000"
    yield (
        is_local(own.control),
        f"{WHERE}.control on the loopback interface, for it asks nobody who they are",
        repr(own.control),
        "run Envoy beside the sidecar",
    )
    unknown = sorted(set(own.refused) - {tier.name for tier in venue.tiers})
    yield not unknown, f"{WHERE}.refused: tiers of the venue", ", ".join(unknown), "correct the names"
    ranges = (("burst_s", 0.05, 60.0), ("hold_s", 10.0, 1e7), ("confirm_s", 0.05, 5.0), ("timeout_s", 0.05, 3600.0))
    for key, low, high in ranges:
        value = getattr(own, key)
        yield low <= value <= high, f"{WHERE}.{key} from {low:g} to {high:g} s", str(value), "correct it"
    yield own.max_waiting >= 1, f"{WHERE}.max_waiting of at least 1", str(own.max_waiting), "raise it"


def split(text: str) -> tuple[str, int] | None:
    """IP address and port of `IP:port` or `[IPv6]:port`; None when it is neither."""
    host, _, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    return (host, int(port)) if port.isascii() and port.isdecimal() and 0 < int(port) < 65536 else None


def is_local(text: str) -> bool:
    """Whether an address is of the loopback interface."""
    parts = split(text)
    return parts is not None and ipaddress.ip_address(parts[0]).is_loopback
