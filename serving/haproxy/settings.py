"""What an operator may set of HAProxy: the `[dataplane.haproxy]` section.

Decided here: defaults that hold at ten times the capacity, and which settings contradict the venue.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from shaper.venue import Venue

Rule = tuple[bool, str, str, str]  # whether it holds, what is expected, what was found, how to mend it
WORD = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Server:
    """Where a node of the venue is reached, and how many orders it works on at a time.

    HAProxy queues what comes beyond `slots`: the queue has to be here, where priorities are known, not in the node.
    """

    node: str
    address: str
    slots: int = 2


@dataclass(frozen=True)
class HAProxy:
    """How HAProxy listens and queues, and the socket through which it is told; `folder` holds its configuration and maps.

    `tier_from`: the tier is what the trusted service in front writes into `tier_header`, or what `keys` (a file of lines
    `API-key tier`) says of the client's `key_header`. `max_waiting` orders may queue in all, a tier's share of that by its
    priority; beyond `lifo_after` the newest of a class is served first. An account holds at most `account_share` of the places
    while there is a queue. What comes beyond a tier's quota waits for a free slot, or is refused at once, where nodes take
    more orders than they settle (a chain's mempool). `threads` of HAProxy share one queue, which made
    two of them ten times slower than one. Times are seconds.
    """

    socket: str
    servers: tuple[Server, ...]
    folder: str = "haproxy"
    bind: str = "127.0.0.1:8081"
    tier_from: Literal["header", "key"] = "header"
    tier_header: str = "x-tier"
    key_header: str = "x-api-key"
    account_header: str = "x-account"
    keys: str | None = None
    max_waiting: int = 2000
    lifo_after: int = 64
    account_share: float = 0.25
    beyond_quota: Literal["wait", "refuse"] = "wait"
    queue_timeout_s: float = 2.0
    server_timeout_s: float = 10.0
    connect_timeout_s: float = 0.5
    check_path: str | None = None
    agent_port: int | None = None
    threads: int = 1

    def in_folder(self, folder: Path) -> "HAProxy":
        """The same with files in another folder."""
        return replace(self, folder=str(folder))

    def resolved(self, folder: Path) -> "HAProxy":
        """The same with relative paths made absolute from a folder."""
        keys = None if self.keys is None else str(folder / self.keys)
        return replace(self, folder=str(folder / self.folder), socket=str(folder / self.socket), keys=keys)


def rules(own: HAProxy, venue: Venue) -> Iterator[Rule]:
    """Rules of `[dataplane.haproxy]`."""
    nodes, named = [node.name for node in venue.nodes], [server.node for server in own.servers]
    where = "dataplane.haproxy"
    yield (
        sorted(nodes) == sorted(named),
        f"{where}.servers: one for each node of the venue ({', '.join(sorted(nodes))})",
        ", ".join(sorted(named)) or "none",
        "name every node once",
    )
    words = [*named, *(tier.name for tier in venue.tiers)]
    odd = [word for word in words if not WORD.fullmatch(word)]
    yield not odd, "names of nodes and tiers of letters, digits, '.', '_' and '-'", ", ".join(odd), "rename them"
    for key, address in (("bind", own.bind), *((f"servers.{s.node}.address", s.address) for s in own.servers)):
        yield is_address(address), f"{where}.{key} as IP:port", repr(address), "write e.g. 127.0.0.1:8081"
    headers = [own.tier_header, own.key_header, own.account_header]
    odd = [name for name in headers if not WORD.fullmatch(name)]
    yield not odd, f"{where}: names of headers of letters, digits, '.', '_' and '-'", ", ".join(odd), "rename them"
    yield all(s.slots >= 1 for s in own.servers), f"{where}.servers.slots of at least 1", "0 or less", "raise it"
    yield (
        (own.keys is not None) == (own.tier_from == "key"),
        f'{where}.keys exactly with {where}.tier_from = "key"',
        f"tier_from = {own.tier_from!r}, keys = {own.keys!r}",
        "name the file of keys, or trust a header",
    )
    yield 1 <= own.threads <= 64, f"{where}.threads from 1 to 64", str(own.threads), "1 suits most"
    yield (
        1 <= own.lifo_after < own.max_waiting,
        f"{where}.lifo_after from 1 to max_waiting",
        str(own.lifo_after),
        "lower it",
    )
    yield (
        0 < own.account_share <= 1,
        f"{where}.account_share above 0, at most 1",
        str(own.account_share),
        "0.25 suits most",
    )
    for key in ("queue_timeout_s", "server_timeout_s", "connect_timeout_s"):
        value = getattr(own, key)
        yield 0.001 <= value <= 3600, f"{where}.{key} from 0.001 to 3600 s", str(value), "correct it"


def is_address(text: str) -> bool:
    """Whether a text is an IP address and a port."""
    host, _, port = text.rpartition(":")
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return port.isdecimal() and 0 < int(port) < 65536
