"""What an operator may set of the embedded gateway: the section `[gateway]`.

Decided here: the upstreams, whose keys may enter and how urgently, and the limits. No secret is kept in the file: a key stands
there as its SHA-256.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from shaper.venue import Venue

Rule = tuple[bool, str, str, str]  # as `serving.settings.Rule`
LONGEST_END_S = 25.0
ACCOUNT = re.compile(r"[A-Za-z0-9._-]{1,64}")
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class UpstreamSettings:
    """Where a node of the venue answers: JSON-RPC at `url`, REST orders at `url` + "/orders".

    At most `max_in_flight` requests are under way there, each for at most `timeout_s`. The active check asks `health_path`
    (GET, 2xx) or, without one, the number of the newest block by JSON-RPC.
    """

    node: str
    url: str
    max_in_flight: int = 64
    timeout_s: float = 1.0
    health_path: str | None = None


@dataclass(frozen=True)
class KeySettings:
    """A client's key, as the SHA-256 of its text in hexadecimal, its account, and the tiers it is entitled to."""

    sha256: str
    account: str
    tiers: tuple[str, ...]


@dataclass(frozen=True)
class GatewaySettings:
    """The whole section.

    `resting_tiers` are open only to orders that show that they take no liquidity (post-only, or a cancel). `max_waiting` orders
    may wait in all, `account_share` of them of one account. An order is tried at `attempts` upstreams where that is safe, and
    retries are at most `retry_share` of the orders; a read that is not answered within `hedge_s` is asked elsewhere too.
    A check of each upstream comes every `check_s`; one that failed `open_after` times in a row gets nothing until a check succeeds.
    Outcomes are remembered for `remember_s`, at most `max_remembered` of them. On SIGTERM what waits has `drain_s` to be sent.
    """

    upstreams: tuple[UpstreamSettings, ...]
    keys: tuple[KeySettings, ...]
    host: str = "127.0.0.1"
    port: int = 8545
    resting_tiers: tuple[str, ...] = ()
    max_waiting: int = 2_000
    account_share: float = 0.25
    max_body_bytes: int = 2**20
    max_batch: int = 100
    max_connections: int = 4_096
    attempts: int = 3
    retry_share: float = 0.2
    hedge_s: float = 0.05
    check_s: float = 1.0
    open_after: int = 5
    max_blocks_behind: int = 5
    remember_s: float = 120.0
    max_remembered: int = 50_000
    drain_s: float = 5.0

    @property
    def longest_attempts_s(self) -> float:
        """How long all attempts of one order may take."""
        return self.attempts * max((up.timeout_s for up in self.upstreams), default=0.0)


def gateway_rules(gateway: GatewaySettings, venue: Venue, api_port: int, is_loopback: bool) -> Iterator[Rule]:
    """Rules of `[gateway]` beside the venue and the API."""
    yield (
        is_loopback,
        "gateway.host on the loopback interface, for keys would cross the network in the clear",
        repr(gateway.host),
        "listen on 127.0.0.1 and put a proxy that ends TLS in front",
    )
    yield 0 <= gateway.port <= 65535, "gateway.port from 0 to 65535", str(gateway.port), "choose another"
    yield (
        gateway.port == 0 or gateway.port != api_port,
        "gateway.port other than server.port",
        str(gateway.port),
        "give each its own",
    )
    yield from name_rules(gateway, venue)
    yield from upstream_rules(gateway.upstreams)
    yield from limit_rules(gateway)


def name_rules(gateway: GatewaySettings, venue: Venue) -> Iterator[Rule]:
    """Every name stands for something, and once."""
    nodes, tiers = [node.name for node in venue.nodes], [tier.name for tier in venue.tiers]
    used = [upstream.node for upstream in gateway.upstreams]
    yield all_in(used, nodes, "gateway.upstreams of nodes of the venue", "correct the name, or add the node")
    yield all_in(
        nodes, used, "an upstream for every node of the venue", "add it to gateway.upstreams, or remove the node"
    )
    yield once(used, "one upstream for a node")
    digests = [key.sha256 for key in gateway.keys]
    wrong = [digest for digest in digests if not DIGEST.fullmatch(digest)]
    yield (
        not wrong,
        "gateway.keys.sha256 of 64 hexadecimal digits",
        ", ".join(wrong),
        "`printf %s KEY | sha256sum` prints it",
    )
    yield once(digests, "each key once")
    yield bool(digests), "at least one of gateway.keys", "none", "add one, or nobody may enter"
    entitled = [tier for key in gateway.keys for tier in key.tiers]
    yield all_in([*entitled, *gateway.resting_tiers], tiers, "tiers of the venue in [gateway]", "correct the name")
    bare = [key.account for key in gateway.keys if not key.tiers]
    yield not bare, "at least one tier for each key", f"none for {', '.join(bare)}", "name the tiers it may use"
    odd = [key.account for key in gateway.keys if not ACCOUNT.fullmatch(key.account)]
    yield not odd, "accounts of letters, digits, . _ and -", ", ".join(map(repr, odd)), "rename them"


def upstream_rules(upstreams: Iterable[UpstreamSettings]) -> Iterator[Rule]:
    """Rules of each upstream by itself."""
    for upstream in upstreams:
        where, parts = f"gateway.upstreams {upstream.node}", urlsplit(upstream.url)
        sound = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and not (parts.query or parts.fragment or parts.username)
        )
        yield sound, f"{where}: an http or https url without query or user", repr(upstream.url), "correct it"
        yield (
            upstream.max_in_flight >= 1 and 0 < upstream.timeout_s < math.inf,
            f"{where}: max_in_flight of at least 1 and a positive timeout_s",
            f"{upstream.max_in_flight} and {upstream.timeout_s}",
            "correct them",
        )
        path = upstream.health_path
        yield (
            path is None or path.startswith("/"),
            f"{where}: a health_path that begins with /",
            repr(path),
            "correct it",
        )


def limit_rules(gateway: GatewaySettings) -> Iterator[Rule]:
    """Limits that would let nothing through, or everything."""
    counts = (
        "max_waiting",
        "max_body_bytes",
        "max_batch",
        "max_connections",
        "attempts",
        "open_after",
        "max_remembered",
    )
    for name in (*counts, "max_blocks_behind"):
        value = getattr(gateway, name)
        yield value >= 1, f"gateway.{name} of at least 1", str(value), "raise it"
    for name in ("hedge_s", "check_s", "remember_s", "drain_s"):
        value = getattr(gateway, name)
        yield 0 < value <= 3600, f"gateway.{name} above 0, at most 3600 s", str(value), "correct it"
    closing_s = gateway.drain_s + gateway.longest_attempts_s
    yield (
        closing_s <= LONGEST_END_S,
        f"gateway.drain_s and all attempts of an order within {LONGEST_END_S:g} s, which the sidecar waits at its end",
        f"{closing_s:g} s",
        "lower drain_s, attempts or timeout_s",
    )
    yield (
        0 < gateway.account_share <= 1,
        "gateway.account_share in (0, 1]",
        str(gateway.account_share),
        "0.25 suits most",
    )
    yield 0 <= gateway.retry_share <= 1, "gateway.retry_share in [0, 1]", str(gateway.retry_share), "0.2 suits most"


def all_in(names: Iterable[str], known: Iterable[str], expected: str, remedy: str) -> Rule:
    """The rule that every name is known."""
    known = list(known)
    strangers = sorted({name for name in names if name not in known})
    return not strangers, expected, f"{', '.join(strangers)} beside {', '.join(known)}", remedy


def once(names: Iterable[str], expected: str) -> Rule:
    """The rule that no name stands twice."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    return not twice, expected, f"{', '.join(twice)} more than once", "remove the others"
