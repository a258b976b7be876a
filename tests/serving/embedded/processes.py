"""Three real nodes and a real sidecar with its gateway, each a process of its own."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from Crypto.Hash import keccak

from tests.serving.embedded.made import KEYS, NAMES, digest
from tests.serving.made import write_artefact

CONFIG = """
[server]
port = 0
[model]
artefact = "artefact"
[gateway]
port = 0
check_s = 0.2
{gateway}
{keys}
{upstreams}
[venue]
review_s = 15
[venue.pool]
name = "matching"
unit_rate_per_s = {unit_rate_per_s}
min_units = 10
max_units = 10
actuation_delay_s = 60
cost_usd_per_unit_s = 0.0004
{tiers}
{nodes}
"""
TIER = """
[[venue.tiers]]
name = "{}"
priority = {}
delay_cost_usd_per_s = {}
reject_cost_usd = {}
deadline_s = {}
floor_share = {}
demand_share = {}
"""
TIERS = (
    ("critical", 0, 2.0, 40.0, 2.0, 0.1, 0.1),
    ("maker", 1, 0.05, 0.4, 2.0, 0.2, 0.4),
    ("taker", 2, 0.03, 0.3, 2.0, 0.1, 0.3),
    ("bulk", 3, 0.001, 0.01, 2.0, 0.02, 0.2),
)
NODE = """
[[venue.nodes]]
name = "{}"
operator = "{}"
region = "eu"
chain = "c"
capacity_per_s = {}
latency_s = 0.02
fee_usd = 0.001
"""
UPSTREAM = """
[[gateway.upstreams]]
node = "{}"
url = "http://127.0.0.1:{}"
max_in_flight = {}
timeout_s = {}
"""
KEY = """
[[gateway.keys]]
sha256 = "{}"
account = "{}"
tiers = {}
"""


@dataclass
class Chain:
    """Nodes by name, the folder that they share, and their ports."""

    ledger: Path | None
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start a node, on the port it had if it had one."""
        command = [sys.executable, "-m", "tests.serving.embedded.upstream", name, str(self.ports.get(name, 0))]
        command += [] if self.ledger is None else [str(self.ledger)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout is not None
        self.processes[name], self.ports[name] = process, int(process.stdout.readline())

    def kill(self, name: str) -> None:
        """Pull the plug."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()

    def trouble(self, name: str, trouble: str, pause_s: float = 0.0) -> None:
        """Tell a node what to do wrong, and how long an order takes it."""
        body = json.dumps({"trouble": trouble, "pause_s": pause_s}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}/trouble", body, timeout=5):
            pass

    def taken(self) -> list[str]:
        """What all nodes together took, each time it was taken."""
        assert self.ledger is not None
        return [line for log in self.ledger.glob("*.log") for line in log.read_text().split("\n") if line]


def hash_of(signed: str) -> str:
    """The hash of a transaction, as nodes note it."""
    return keccak.new(digest_bits=256, data=bytes.fromhex(signed[2:])).hexdigest()


def require_once(nodes: Chain, accepted: list[str]) -> None:
    """Every accepted transaction was taken, none twice."""
    taken = nodes.taken()
    assert len(taken) == len(set(taken))
    assert {hash_of(signed) for signed in accepted} <= set(taken)


@contextlib.contextmanager
def chain(ledger: Path | None, names: tuple[str, ...] = NAMES) -> Iterator[Chain]:
    """Nodes that run."""
    made = Chain(ledger)
    try:
        for name in names:
            made.start(name)
        yield made
    finally:
        for name in list(made.processes):
            made.kill(name)


def write_gateway(
    folder: Path, made: Chain, capacity_per_s: float = 1e5, max_in_flight: int = 64, timeout_s: float = 0.3,
    gateway: str = "",
) -> Path:  # fmt: skip
    """The settings of a sidecar with a gateway before a chain; one node takes an equal part of the capacity."""
    write_artefact(folder / "artefact")
    text = CONFIG.format(
        gateway=gateway,
        keys="".join(KEY.format(digest(key), key, json.dumps(tiers)) for key, tiers in KEYS.items()),
        upstreams="".join(UPSTREAM.format(*each, max_in_flight, timeout_s) for each in made.ports.items()),
        unit_rate_per_s=capacity_per_s / 10,
        tiers="".join(TIER.format(*tier) for tier in TIERS),
        nodes="".join(NODE.format(name, name, capacity_per_s / len(made.ports)) for name in made.ports),
    )
    path = folder / "shaper.toml"
    path.write_text(text, "utf-8")
    return path
