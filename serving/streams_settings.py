"""`[nats]`: a JetStream whose messages are rows."""

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


def nats_rules(nats: Nats | None, feed_kind: str) -> Iterator[tuple[bool, str, str, str]]:
    """Rules of `[nats]`."""
    yield (
        nats is None or feed_kind == "none",
        'feed.kind = "none" with [nats]',
        repr(feed_kind),
        "leave one of them away",
    )
