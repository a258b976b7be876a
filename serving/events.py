"""What happened, in order: a bounded list for those who look later, and a stream for those who watch.

Decided here: nobody who watches can hold anything up or make the list grow. A watcher reads from the shared list at its own
pace; one that is too slow loses the oldest messages, and sees that by their numbers. Read and written on the event loop alone.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import NamedTuple

import msgspec

EVENTS_KEPT = 500
MESSAGES_KEPT = 256


class Event(msgspec.Struct, frozen=True):
    """Something worth a line: when (seconds since 1970, feed's clock), which part it is about, and what happened."""

    at_s: float
    kind: str
    text: str


class Message(NamedTuple):
    """One entry of the stream: its number, its kind (`event`, `plan`) and its JSON."""

    id: int
    kind: str
    body: bytes


@dataclass
class Events:
    """The newest events and messages; `changed` is set, and replaced, at each message, `watchers` follow now."""

    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=MESSAGES_KEPT))
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    watchers: int = 0
    closed: bool = False

    def say(self, event: Event) -> None:
        """Remember an event and tell it."""
        self.events.append(event)
        self.publish("event", msgspec.json.encode(event))

    def publish(self, kind: str, body: bytes) -> None:
        """Tell a message to all who watch."""
        self.messages.append(Message(next(self.numbers), kind, body))
        self.changed.set()
        self.changed = asyncio.Event()

    def close(self) -> None:
        """Let all who watch go, after what has been told."""
        self.closed = True
        self.changed.set()

    def since(self, number: int) -> list[Message]:
        """Messages after a number, oldest first; all that are kept when nothing has had that number yet."""
        newest = self.messages[-1].id if self.messages else 0
        if number > newest:  # of another life of this process
            return list(self.messages)
        return list(takewhile(lambda message: message.id > number, reversed(self.messages)))[::-1]

    async def follow(self, number: int | None = None) -> AsyncIterator[Message]:
        """Messages after a number (None: from now on), until it is closed."""
        last = number if number is not None else self.messages[-1].id if self.messages else 0
        while True:
            changed = self.changed
            for message in self.since(last):
                last = message.id
                yield message
            if changed is not self.changed:
                continue
            if self.closed:
                return
            await changed.wait()
