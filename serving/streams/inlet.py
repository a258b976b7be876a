"""Where the messages of a stream go, whichever broker they come from.

Decided here: a message whose rows cannot be used is counted, logged with the place where it lies, and passed over, for no
repetition would mend it; any other failure is the reader's, who asks for the message again.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from data.errors import DataError
from serving.metrics import NAMESPACE

LOG = logging.getLogger(__name__)
Observe = Callable[[bytes], Awaitable[object]]
Note = Callable[[str, str | None], None]


@dataclass(frozen=True)
class StreamMetrics:
    """What is told of streams of rows."""

    messages: Counter
    lag: Gauge

    @classmethod
    def create(cls, registry: CollectorRegistry) -> "StreamMetrics":
        """Metrics in a registry."""
        return cls(
            Counter(
                "stream_messages_total", "Messages by what became of them: taken, refused", ("stream", "outcome"),
                namespace=NAMESPACE, registry=registry,
            ),
            Gauge(
                "stream_lag_messages", "Messages that wait in the stream", ("stream",),
                namespace=NAMESPACE, registry=registry,
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class Inlet:
    """One stream's way in; `tell` says what is wrong with it, or that nothing is."""

    stream: str
    observe: Observe
    note: Note
    metrics: StreamMetrics

    async def take(self, body: bytes, place: str) -> bool:
        """Take the rows of a message; False when they cannot be used."""
        try:
            await self.observe(body)
        except DataError as error:
            LOG.warning("the message at %s cannot be used: %s", place, error)
            self.metrics.messages.labels(self.stream, "refused").inc()
            return False
        self.metrics.messages.labels(self.stream, "taken").inc()
        return True

    def tell(self, wrong: str | None) -> None:
        """Say what is wrong with the stream, or that nothing is."""
        self.note(self.stream, wrong)

    def waits(self, messages: int) -> None:
        """Show how many messages wait."""
        self.metrics.lag.labels(self.stream).set(messages)
