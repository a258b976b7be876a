"""What an operator may set: the TOML file of `shaper serve`, read strictly.

Decided here: the sections, their defaults and which combinations contradict each other. Relative paths are relative to the
file that names them. Every fault is a UsageError (status 2) that names the key.
"""

import ipaddress
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from data.errors import UsageError
from data.published import is_reference
from data.strict import convert, read_toml
from serving.capacity.settings import Processes, Webhook, process_rules, webhook_rules
from serving.envoy.settings import Envoy
from serving.envoy.settings import rules as envoy_rules
from serving.keda.settings import Keda
from serving.keda.settings import rules as keda_rules
from serving.leases.settings import Leases
from serving.leases.settings import rules as lease_rules
from shaper.venue import Venue

LOOPBACK_NAME = "localhost"
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Rule = tuple[bool, str, str, str]  # whether it holds, what is expected, what was found, how to mend it


@dataclass(frozen=True)
class Server:
    """Where the API listens: loopback only; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 8080


@dataclass(frozen=True)
class Model:
    """Which artefact forecasts: a folder, `models:/NAME@ALIAS` of an MLflow server, or the bundled champion of a task.

    `max_blind_ticks`: how many of the newest ticks a target may be unknown before no forecast is made of it.
    """

    task: str = "demand"
    artefact: str | None = None
    max_blind_ticks: int = 3


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


@dataclass(frozen=True)
class DataPlanes:
    """What enforces the plans: each section that is there."""

    envoy: Envoy | None = None
    keda: Keda | None = None
    webhook: Webhook | None = None
    processes: Processes | None = None

    def resolved(self, folder: Path) -> "DataPlanes":
        """The same with paths made absolute from a folder."""
        return replace(
            self,
            envoy=self.envoy and self.envoy.resolved(folder),
            keda=self.keda and self.keda.resolved(folder),
            webhook=self.webhook and self.webhook.resolved(folder),
        )


@dataclass(frozen=True)
class Settings:
    """The whole file; `venue` is the shaper's own value."""

    venue: Venue
    server: Server = Server()
    model: Model = Model()
    feed: Feed = Feed()
    dataplane: DataPlanes = DataPlanes()
    leases: Leases | None = None


def read_settings(path: Path) -> Settings:
    """Settings from a TOML file, paths made absolute. Raises UsageError for anything unreadable, unknown or mistyped."""
    return resolved(convert(Settings, read_toml(path), str(path)), path.parent.absolute())


def resolved(settings: Settings, folder: Path) -> Settings:
    """The same settings with paths made absolute from a folder."""
    model = replace(settings.model, artefact=under(folder, settings.model.artefact))
    feed = replace(settings.feed, folder=under(folder, settings.feed.folder))
    return replace(
        settings,
        model=model,
        feed=feed,
        dataplane=settings.dataplane.resolved(folder),
        leases=settings.leases and settings.leases.resolved(folder),
    )


def under(folder: Path, name: str | None) -> str | None:
    """A path made absolute from a folder; the name of a registered model stays as it is."""
    return name if name is None or is_reference(name) else str(folder / Path(name).expanduser())


def check(settings: Settings, where: str) -> None:
    """Raise UsageError at the first setting that is out of range or contradicts another."""
    rules = (
        *server_rules(settings.server),
        *model_rules(settings.model),
        *feed_rules(settings.feed),
        *plane_rules(settings),
    )
    for holds, expected, found, remedy in rules:
        if not holds:
            raise UsageError(where, expected=expected, found=found, remedy=remedy)


def server_rules(server: Server) -> Iterator[Rule]:
    """Rules of `[server]`."""
    yield (
        is_loopback(server.host),
        "server.host on the loopback interface, for the API asks nobody who they are",
        repr(server.host),
        "listen on 127.0.0.1 and put a proxy that authenticates in front",
    )
    yield 0 <= server.port <= 65535, "server.port from 0 to 65535", str(server.port), "choose another"


def model_rules(model: Model) -> Iterator[Rule]:
    """Rules of `[model]`."""
    yield model.max_blind_ticks >= 1, "model.max_blind_ticks of at least 1", str(model.max_blind_ticks), "raise it"


def feed_rules(feed: Feed) -> Iterator[Rule]:
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


def plane_rules(settings: Settings) -> Iterator[Rule]:
    """Rules of `[dataplane]` and `[leases]`."""
    planes = settings.dataplane
    if planes.envoy is not None:
        yield from envoy_rules(planes.envoy, settings.venue)
    if planes.keda is not None:
        yield from keda_rules(planes.keda)
    if planes.webhook is not None:
        yield from webhook_rules(planes.webhook)
    if planes.processes is not None:
        yield from process_rules(planes.processes, settings.venue)
    if settings.leases is not None:
        yield from lease_rules(settings.leases)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine only: `localhost` or a loopback address, never a name that a resolver could move."""
    if host == LOOPBACK_NAME:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
