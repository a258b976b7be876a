"""What an operator may set: the TOML file of `shaper serve`, read strictly.

Decided here: the sections, their defaults and which combinations contradict each other. Relative paths are relative to the
file that names them. Every fault is a UsageError (status 2) that names the key.
"""

import ipaddress
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from data.errors import UsageError
from data.published import is_reference
from data.strict import convert, read_toml
from serving.capacity.settings import Processes, Webhook, process_rules, webhook_rules
from serving.chain.settings import Chain
from serving.chain.settings import rules as chain_rules
from serving.envoy.settings import Envoy
from serving.envoy.settings import rules as envoy_rules
from serving.feed_settings import Feed, feed_rules
from serving.gateway_settings import GatewaySettings, gateway_rules
from serving.haproxy.settings import HAProxy
from serving.haproxy.settings import rules as haproxy_rules
from serving.keda.settings import Keda
from serving.keda.settings import rules as keda_rules
from serving.keeping_settings import Audit, State, audit_rules, state_rules
from serving.leases.settings import Leases
from serving.leases.settings import rules as lease_rules
from serving.logs import Log
from serving.rpc_settings import Grpc, grpc_rules
from serving.security import ENVIRONMENT, Security, security_rules
from serving.streams_settings import Kafka, Nats, stream_rules
from serving.tracing import Trace
from shaper.trust import TrustRules
from shaper.venue import Venue

LOOPBACK_NAME = "localhost"
Rule = tuple[bool, str, str, str]  # whether it holds, what is expected, what was found, how to mend it


@dataclass(frozen=True)
class Server:
    """Where the API listens: loopback, unless `[security]` says who may ask; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 8080


@dataclass(frozen=True)
class Model:
    """Which artefact forecasts: a folder, `models:/NAME@ALIAS` of an MLflow server, or the bundled champion of a task.

    `max_blind_ticks`: how many of the newest ticks a target may be unknown before no forecast is made of it; `deadline_s`: how
    long a plan waits for the model's answer. Every `watch_s` (0: never) the artefact is looked at again; a new one shadows the
    one in use for `shadow_ticks`.
    """

    task: str = "demand"
    artefact: str | None = None
    max_blind_ticks: int = 3
    deadline_s: float = 0.5
    watch_s: float = 0.0
    shadow_ticks: int = 40


@dataclass(frozen=True)
class DataPlanes:
    """What enforces the plans: each section that is there."""

    haproxy: HAProxy | None = None
    envoy: Envoy | None = None
    keda: Keda | None = None
    webhook: Webhook | None = None
    processes: Processes | None = None

    def resolved(self, folder: Path) -> "DataPlanes":
        """The same with paths made absolute from a folder."""
        return replace(
            self,
            haproxy=self.haproxy and self.haproxy.resolved(folder),
            envoy=self.envoy and self.envoy.resolved(folder),
            keda=self.keda and self.keda.resolved(folder),
            webhook=self.webhook and self.webhook.resolved(folder),
        )


@dataclass(frozen=True)
class Settings:
    """The whole file; `venue` and `trust` are the shaper's own values, `gateway` the embedded one (None: there is none)."""

    venue: Venue
    trust: TrustRules = TrustRules()  # noqa: RUF009  (frozen)
    server: Server = Server()
    model: Model = Model()
    feed: Feed = field(default_factory=Feed)
    dataplane: DataPlanes = DataPlanes()
    chain: Chain | None = None
    audit: Audit = field(default_factory=Audit)
    state: State = field(default_factory=State)
    security: Security = field(default_factory=Security)
    grpc: Grpc = field(default_factory=Grpc)
    nats: Nats | None = None
    kafka: Kafka | None = None
    gateway: GatewaySettings | None = None
    log: Log = field(default_factory=Log)
    trace: Trace = field(default_factory=Trace)
    leases: Leases | None = None


def read_settings(path: Path, told: Mapping[str, str] | None = None) -> Settings:
    """Settings from a TOML file with what is told instead by dotted key, paths made absolute.

    Raises UsageError for anything unreadable, unknown or mistyped.
    """
    tables, told = read_toml(path), told or {}
    for key, value in told.items():
        put(tables, key, value)
    where = " and ".join([str(path), *(["the environment"] if told else [])])
    return resolved(convert(Settings, tables, where), path.parent.absolute())


def put(tables: dict[str, Any], key: str, value: str) -> None:
    """Set a dotted key of nested tables to what TOML reads in a text, or to the text itself. Raises UsageError inside a list."""
    *folders, last = key.split(".")
    inner: Any = tables
    for name in folders:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise UsageError(key, expected="a key of a table", found=f"{name} is none", remedy="set it in the file")
    try:
        inner[last] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        inner[last] = value


def resolved(settings: Settings, folder: Path) -> Settings:
    """The same settings with paths made absolute from a folder."""
    model = replace(settings.model, artefact=under(folder, settings.model.artefact))
    feed = replace(settings.feed, folder=under(folder, settings.feed.folder))
    given = settings.security
    security = replace(
        given,
        tokens=under(folder, given.tokens),
        certificate=under(folder, given.certificate),
        key=under(folder, given.key),
        client_ca=under(folder, given.client_ca),
    )
    audit = replace(settings.audit, folder=under(folder, settings.audit.folder))
    state = replace(settings.state, folder=under(folder, settings.state.folder))
    dataplane = settings.dataplane.resolved(folder)
    leases = settings.leases and settings.leases.resolved(folder)
    kafka = settings.kafka and replace(settings.kafka, properties=under(folder, settings.kafka.properties))
    return replace(
        settings,
        model=model,
        feed=feed,
        audit=audit,
        state=state,
        dataplane=dataplane,
        security=security,
        leases=leases,
        kafka=kafka,
    )


def under(folder: Path, name: str | None) -> str | None:
    """A path made absolute from a folder; the name of a registered model, or of the environment, stays as it is."""
    return name if name in (None, ENVIRONMENT) or is_reference(name) else str(folder / Path(name).expanduser())


def check(settings: Settings, where: str) -> None:
    """Raise UsageError at the first setting that is out of range or contradicts another."""
    rules = [
        *server_rules(settings.server), *model_rules(settings.model), *feed_rules(settings.feed),
        *audit_rules(settings.audit), *state_rules(settings.state),
        *plane_rules(settings),
        *stream_rules(settings.nats, settings.kafka, settings.feed.kind),
        *grpc_rules(settings.grpc, settings.server.port),
        *security_rules(settings.security, settings.server.host, is_loopback(settings.server.host)),
    ]  # fmt: skip
    if settings.gateway is not None:
        is_local = is_loopback(settings.gateway.host)
        rules += gateway_rules(settings.gateway, settings.venue, settings.server.port, is_local)
    for holds, expected, found, remedy in rules:
        if not holds:
            raise UsageError(where, expected=expected, found=found, remedy=remedy)


def server_rules(server: Server) -> Iterator[Rule]:
    """Rules of `[server]`."""
    yield 0 <= server.port <= 65535, "server.port from 0 to 65535", str(server.port), "choose another"


def model_rules(model: Model) -> Iterator[Rule]:
    """Rules of `[model]`."""
    yield model.max_blind_ticks >= 1, "model.max_blind_ticks of at least 1", str(model.max_blind_ticks), "raise it"
    yield 0 <= model.watch_s <= 86400, "model.watch_s from 0 to 86400 s", str(model.watch_s), "30 suits most"
    yield (
        1 <= model.shadow_ticks <= 10000,
        "model.shadow_ticks from 1 to 10000",
        str(model.shadow_ticks),
        "40 suits most",
    )
    yield 0 < model.deadline_s <= 60, "model.deadline_s above 0, up to 60 s", str(model.deadline_s), "0.5 suits most"


def plane_rules(settings: Settings) -> Iterator[Rule]:
    """Rules of `[dataplane]`, `[chain]` and `[leases]`."""
    planes = settings.dataplane
    if planes.haproxy is not None:
        yield from haproxy_rules(planes.haproxy, settings.venue)
    if settings.chain is not None:
        yield from chain_rules(settings.chain, settings.venue)
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


@lru_cache(256)
def is_loopback(host: str) -> bool:
    """Whether a host is this machine only: `localhost` or a loopback address, never a name that a resolver could move."""
    if host == LOOPBACK_NAME:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
