"""`[nats]` and `[kafka]`: streams whose messages are rows."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Nats:
    """A stream of a NATS server, read from where the durable consumer of this name stopped; `credentials` is a file, if any."""

    url: str
    stream: str
    subject: str = "shaper.observations"
    durable: str = "shaper"
    credentials: str | None = None


@dataclass(frozen=True)
class Kafka:
    """A topic of a Kafka cluster, read from where the consumer group stopped.

    `brokers` are HOST:PORT with commas between them; `properties` is a file of librdkafka's own, one `name=value` a line, for
    certificates and passwords, if any.
    """

    brokers: str
    topic: str = "shaper.observations"
    group: str = "shaper"
    properties: str | None = None


def stream_rules(nats: Nats | None, kafka: Kafka | None, feed_kind: str) -> Iterator[tuple[bool, str, str, str]]:
    """Rules of `[nats]` and `[kafka]`."""
    for section, stream in (("nats", nats), ("kafka", kafka)):
        yield (
            stream is None or feed_kind == "none",
            f'feed.kind = "none" with [{section}]',
            repr(feed_kind),
            "leave one of them away",
        )
