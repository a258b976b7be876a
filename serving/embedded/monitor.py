"""Which upstreams are well: what orders met, and what a check of each finds once in a while.

Decided here: a circuit opens at once after so many failures in a row, of orders or of checks, and closes when a check succeeds,
at the earliest after a pause that doubles with each opening in a short time: no order is the guinea pig. While less than half of
all places are left the pause is not waited for: one that flaps is better than none. A node that is far
behind the others' newest block (their median: one that boasts cannot make the rest look late) fails its check. One much slower
than the rest is ejected by `shaper.choice`.
"""

import asyncio
import logging
import math
from dataclasses import dataclass
from functools import partial
from statistics import median_low

import msgspec

from serving.embedded import rpc
from serving.embedded.router import Router
from serving.embedded.upstreams import Answered, Upstream
from shaper.choice import EjectionRules, Health, ejected

LOG = logging.getLogger(__name__)
LONGEST_PAUSE_S = 30.0
LEAST_SHARE = 0.5
CALM_S = 60.0  # after so long without an opening, the next pause is a short one again
BLOCK = b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'
REST_BLOCK = -1  # what a check by path finds: nothing about blocks


@dataclass(slots=True)
class Circuit:
    """A node's checks that failed in a row, when its circuit last opened, and the pause before it may close (s)."""

    failed: int = 0
    opened_s: float = -math.inf
    pause_s: float = 0.0

    def opened(self, at_s: float, check_s: float) -> None:
        """Note an opening: the pause doubles when the last one is not long ago."""
        again = at_s - self.opened_s < CALM_S + self.pause_s
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S) if again and self.pause_s else check_s
        self.opened_s = at_s


class Monitor:
    """Checks each upstream every `check_s`, and opens a circuit after `open_after` failures in a row."""

    def __init__(self, router: Router, check_s: float, open_after: int, max_blocks_behind: int) -> None:
        self._router, self._check_s, self._open_after, self._behind = router, check_s, open_after, max_blocks_behind
        self._circuits = {up.name: Circuit() for up in router.upstreams}
        self._rules = EjectionRules()
        for up in router.upstreams:
            up.on_failure = partial(self._met, up)

    async def run(self) -> None:
        """Check until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            try:
                await self.check()
            except Exception:
                LOG.exception("a check of the upstreams failed; the next one comes as always")
            await asyncio.sleep(max(began_s + self._check_s - loop.time(), self._check_s / 10))

    async def check(self) -> None:
        """Check every upstream once and draw the consequences."""
        ups = self._router.upstreams
        blocks = await asyncio.gather(*(self._block(up) for up in ups))
        known = [block for block in blocks if block is not None and block != REST_BLOCK]
        least = median_low(known) - self._behind if known else 0
        at_s = asyncio.get_running_loop().time()
        for up, block in zip(ups, blocks, strict=True):
            self._found(up, block is not None and (block == REST_BLOCK or block >= least), at_s)
        self._eject(at_s)

    async def _block(self, up: Upstream) -> int | None:
        """The newest block of a node, `REST_BLOCK` where that is not asked, None when the check failed.

        Its latency counts while orders do not fail, so that a node that was slow once is not thought slow for ever.
        """
        path = up.settings.health_path
        method, body = ("POST", BLOCK) if path is None else ("GET", b"")
        found = await up.ask(method, body, up.settings.timeout_s, path or "")
        if not isinstance(found, Answered) or found.status >= 300:
            return None
        block = REST_BLOCK if path is not None else block_of(found.body)
        if block is not None and up.health.failed == 0:
            up.trust(found)
        return block

    def _met(self, up: Upstream) -> None:
        """An order met a failure."""
        if up.health.failed >= self._open_after:
            self._open(up, "orders failed")

    def _found(self, up: Upstream, sound: bool, at_s: float) -> None:
        """A check came to its end."""
        circuit = self._circuits[up.name]
        circuit.failed = 0 if sound else circuit.failed + 1
        if circuit.failed >= self._open_after:
            self._open(up, "checks failed")
        elif up.open and sound and (at_s - circuit.opened_s >= circuit.pause_s or self._is_short()):
            up.open, up.health = False, Health(ejections=up.health.ejections)
            self._router.refresh()
            LOG.info("upstream %s is used again", up.name)

    def _is_short(self) -> bool:
        """Whether most places are out of use."""
        return self._router.places() < LEAST_SHARE * sum(up.limit for up in self._router.upstreams)

    def _open(self, up: Upstream, why: str) -> None:
        if up.open:
            return
        up.open = True
        self._circuits[up.name].opened(asyncio.get_running_loop().time(), self._check_s)
        self._router.refresh()
        LOG.warning("upstream %s gets nothing for now: %s", up.name, why)

    def _eject(self, at_s: float) -> None:
        ups = self._router.upstreams
        for up, health in zip(ups, ejected(tuple(up.health for up in ups), self._rules, at_s), strict=True):
            up.health = health
        self._router.ejected = frozenset(i for i, up in enumerate(ups) if up.health.out_until_s > at_s)


def block_of(body: bytes) -> int | None:
    """The number of a block in an answer of JSON-RPC."""
    reply = rpc.read_reply(body)
    try:
        return None if reply is None else int(msgspec.json.decode(reply.result, type=str), 16)
    except (msgspec.DecodeError, ValueError):
        return None
