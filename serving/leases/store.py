"""Leases in Redis or Valkey: one atomic script for each renewal.

Decided here: a request says until when it may be acted upon, by the store's own clock, so that none works after its sender has
given it up; nothing is sent twice by itself. The store's clock must not jump forward by more than a lease.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from serving.dataplane import DataPlaneError
from serving.leases.settings import Leases
from serving.leases.share import Share

SCRIPT = Path(__file__).with_name("grant.lua")
TIMEOUT_SHARE = 1 / 6  # of a lease: how long one renewal may take
Answer = list[str]


@dataclass(frozen=True)
class Asked:
    """What a sidecar says of itself: the part of the capacity that it wants, and the orders per second that come to it."""

    want: float
    demand_per_s: float


class Store:
    """The connection of one sidecar, known by a name that nobody else ever has. `now_s` is a clock that never jumps."""

    def __init__(self, own: Leases, name: str, now_s: Callable[[], float]) -> None:
        self.own = own
        self.name = name
        self.now_s = now_s
        self.timeout_s = own.ttl_s * TIMEOUT_SHARE
        password = None if own.password_file is None else secret(own.password_file)
        self.redis: Redis = Redis.from_url(
            own.url,
            password=password,
            decode_responses=True,
            socket_timeout=self.timeout_s,
            socket_connect_timeout=self.timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self.script = self.redis.register_script(SCRIPT.read_text("utf-8"))
        self.keys = [f"{{{own.scope}}}:leases", f"{{{own.scope}}}:born"]

    async def renew(self, share: Share, asked: Asked) -> tuple[Share, float | None, str | None]:
        """The share after a renewal, the demand of all sidecars together (per s), and what went wrong, if anything did."""
        try:
            async with asyncio.timeout(self.timeout_s):
                seconds, micros = await self.redis.time()
        except (RedisError, OSError, TimeoutError) as error:
            return share, None, told(error)
        sent_s = self.now_s()
        deadline_ms = int(seconds) * 1000 + int(micros) // 1000 + round(self.timeout_s * 1000)
        held = share.now(sent_s)
        share = share.asked(sent_s, self.timeout_s)
        arguments: list[str | int | float] = [
            self.name, held, asked.want, asked.demand_per_s, self.own.replicas, round(self.own.ttl_s * 1000), deadline_ms
        ]  # fmt: skip
        try:
            async with asyncio.timeout(self.timeout_s):
                call = cast("Awaitable[Any]", self.script(keys=self.keys, args=arguments))
                answer = cast("Answer", await call)
        except (RedisError, OSError, TimeoutError) as error:
            return share, None, told(error)
        return taken(share, answer, sent_s, self.now_s())

    async def close(self) -> None:
        """Hang up; the lease ends by itself."""
        await self.redis.aclose()


def taken(share: Share, answer: Answer, sent_s: float, heard_s: float) -> tuple[Share, float | None, str | None]:
    """What an answer of the store makes of a share."""
    if answer[0] == "ok":
        return share.granted(float(answer[1]), sent_s, heard_s), float(answer[2]), None
    if answer[0] == "full":
        return share.refused(heard_s), None, "more sidecars than leases.replicas hold leases; raise it everywhere"
    return share, None, "the request came too late"


def told(error: Exception) -> str:
    """An error of the connection in words."""
    return str(error) or type(error).__name__


def secret(path: str) -> str:
    """The password in a file. Raises DataPlaneError."""
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        raise DataPlaneError(
            f"leases.password_file: expected a file with the password; found {error}; correct the path"
        ) from error
