"""The aggregated discovery service (xDS, state of the world): what every Envoy is told, and what it answers.

Decided here: an answer is waited for, not assumed. A version that an Envoy refuses is withdrawn and not sent again: that Envoy
keeps what it has, and those that connect later get the last version that one of them took.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from serving.envoy.kept import KINDS, Kept
from serving.envoy.metrics import EnvoyMetrics

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """All resources of a type in one version."""

    version: int
    items: tuple[Any, ...]


@dataclass
class Topic:
    """One type of resource: what is sent now, what was last taken, and what was refused since."""

    current: Snapshot | None = None
    taken: Snapshot | None = None
    refused: tuple[Any, ...] | None = None


@dataclass
class Subscription:
    """One type on one stream: the names it asks for, and the answer it owes since `sent_s`."""

    names: tuple[str, ...]
    nonce: str = ""
    sent: Snapshot | None = None
    owed: bool = False
    sent_s: float = 0.0
    refusal: str | None = None


@dataclass
class Stream:
    """One connected Envoy."""

    outbox: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    node: str = "unnamed"
    count: int = 0
    asked: dict[str, Subscription] = field(default_factory=dict)

    def send(self, kind: str, snapshot: Snapshot, now_s: float) -> None:
        """Tell a version to a stream that asks for its type."""
        asked = self.asked[kind]
        self.count += 1
        asked.nonce, asked.sent, asked.owed, asked.sent_s = str(self.count), snapshot, True, now_s
        response = discovery_pb2.DiscoveryResponse(type_url=kind, version_info=str(snapshot.version), nonce=asked.nonce)
        for item in snapshot.items:
            if not asked.names or name_of(item) in asked.names:
                response.resources.add().Pack(item)
        self.outbox.put_nowait(response)


class Discovery:
    """The service; its methods are called on one event loop."""

    def __init__(self, kept: Kept, metrics: EnvoyMetrics, now_s: Callable[[], float]) -> None:
        self.kept = kept
        self.metrics = metrics
        self.now_s = now_s
        self.topics = {kind: Topic() for kind in KINDS}
        for kind, versioned in kept.resources.items():
            snapshot = Snapshot(*versioned)
            self.topics[kind] = Topic(snapshot, snapshot)
        self.streams: list[Stream] = []
        self.answered = asyncio.Event()

    def push(self, kind: str, items: Sequence[Any]) -> None:
        """Tell resources of a type to all Envoys, now and when they connect; what they have or refused is not sent again."""
        topic, wanted = self.topics[kind], tuple(items)
        if wanted == topic.refused:
            return
        topic.refused = None
        if topic.current is None or wanted != topic.current.items:
            self.kept.version += 1
            topic.current = Snapshot(self.kept.version, wanted)
            self.metrics.pushes.labels(short(kind)).inc()
        for stream in self.streams:
            asked = stream.asked.get(kind)
            if asked is not None and asked.sent != topic.current:
                stream.send(kind, topic.current, self.now_s())

    async def confirmed(self, timeout_s: float) -> list[str]:
        """Wait for the answers owed; returns what is wrong, an entry for each Envoy and type."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(asked.owed for stream in self.streams for asked in stream.asked.values()):
                    self.answered.clear()
                    await self.answered.wait()
        return [
            f"{stream.node} refuses {short(kind)}: {asked.refusal}" if asked.refusal else f"{stream.node} is silent"
            for stream in self.streams
            for kind, asked in stream.asked.items()
            if asked.refusal or asked.owed
        ]

    async def stream(self, requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
        """The RPC of `envoy.service.discovery.v3.AggregatedDiscoveryService`."""
        stream = Stream()
        self.streams.append(stream)
        self.metrics.connected.labels("ads").inc()
        reader = asyncio.create_task(self.read(stream, requests))
        try:
            while (response := await stream.outbox.get()) is not None:
                yield response
        finally:
            reader.cancel()
            self.streams.remove(stream)
            self.answered.set()
            self.metrics.connected.labels("ads").dec()

    async def read(self, stream: Stream, requests: AsyncIterator[Any]) -> None:
        """Hear what an Envoy says until it hangs up."""
        try:
            async for request in requests:
                self.hear(stream, request)
        finally:
            stream.outbox.put_nowait(None)

    def hear(self, stream: Stream, request: Any) -> None:
        """Take one request: a subscription, or the answer to what was last sent."""
        kind, names = request.type_url, tuple(request.resource_names)
        stream.node = request.node.id or stream.node
        if kind not in self.topics:
            LOG.info("Envoy %s asks for %s, of which there is none", stream.node, kind)
            return
        asked = stream.asked.get(kind)
        if asked is None:
            stream.asked[kind] = Subscription(names)
        elif request.response_nonce != asked.nonce:
            return  # an answer to what has been replaced since
        else:
            self.answer(stream, kind, request.error_detail.message if request.HasField("error_detail") else None)
            if names == asked.names:
                return
            asked.names = names
        current = self.topics[kind].current
        if current is not None:
            stream.send(kind, current, self.now_s())

    def answer(self, stream: Stream, kind: str, refusal: str | None) -> None:
        """Note that a version was taken or, with the reason, refused."""
        topic, asked = self.topics[kind], stream.asked[kind]
        if asked.owed:
            self.metrics.confirm_seconds.observe(self.now_s() - asked.sent_s)
        asked.owed, asked.refusal = False, refusal
        self.answered.set()
        current = asked.sent is not None and asked.sent == topic.current
        if refusal is not None:
            LOG.warning("Envoy %s refuses %s: %s", stream.node, short(kind), refusal)
            self.metrics.refusals.labels(short(kind)).inc()
            if current and topic.current != topic.taken:
                topic.refused, topic.current = asked.sent.items if asked.sent else None, topic.taken
        elif current and topic.current is not None:
            topic.taken = topic.current
            self.kept.resources[kind] = (topic.current.version, topic.current.items)


def short(kind: str) -> str:
    """The last word of a type's name."""
    return kind.rpartition(".")[2]


def name_of(item: Any) -> str:
    """The name that a resource is asked for by."""
    return str(getattr(item, "cluster_name", "") or getattr(item, "name", ""))
