"""`[feed]`: where rows come from, and whose clock steps go by."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass(frozen=True)
class Feed:
    """Where rows come from: a `history` folder played at `speed` seconds a second, or `none`: they are posted.

    `start` and `until` bound the played time. Posted rows are timed by the `wall` clock, whose step waits `settle_s` for late
    rows, or by the newest of the `rows` themselves, for history that something else plays. Demand is counted over
    the last `demand_window_s`.
    """

    kind: Literal["history", "none"] = "none"
    folder: str | None = None
    speed: float = 1.0
    start: Instant | None = None
    until: Instant | None = None
    clock: Literal["wall", "rows"] = "wall"
    settle_s: float = 1.0
    demand_window_s: float = 15.0


def feed_rules(feed: Feed) -> Iterator[tuple[bool, str, str, str]]:
    """Rules of `[feed]`."""
    kind = f"kind = {feed.kind!r}"
    played = feed.folder is not None or feed.start is not None or feed.until is not None
    yield (
        math.isfinite(feed.speed) and feed.speed > 0,
        "feed.speed above 0 (seconds played a second)",
        str(feed.speed),
        "1.0 plays in real time",
    )
    yield 0 <= feed.settle_s <= 60, "feed.settle_s from 0 to 60 s", str(feed.settle_s), "1.0 suits most feeds"
    yield (
        1 <= feed.demand_window_s <= 3600,
        "feed.demand_window_s from 1 to 3600 s",
        str(feed.demand_window_s),
        "15.0 suits most",
    )
    yield (
        feed.kind == "history" or not played,
        'feed.folder, start and until only with feed.kind = "history"',
        kind,
        'set feed.kind = "history" or remove them',
    )
    yield (
        feed.kind == "none" or feed.clock == "wall",
        'feed.clock = "rows" only with feed.kind = "none"',
        kind,
        "remove feed.clock: a played history has a clock of its own",
    )
    yield (
        feed.start is None or feed.until is None or feed.start < feed.until,
        "feed.start before feed.until",
        f"{feed.start} and {feed.until}",
        "correct one of them",
    )
