"""A scenario file of the event replay: a market with surges instead of a stretch of history.

Decided here: the keys of the TOML file, their defaults, and that a file may build on another (`extends`), whose tables it
completes or overrides key by key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data import strict
from data.errors import UsageError
from shaper.replay.contenders import Manner
from shaper.replay.contest import POLICIES, Setting
from shaper.replay.events import Fault
from shaper.replay.foresight import Sight
from shaper.replay.orders import Clients
from shaper.replay.policies import ReactiveSettings
from shaper.replay.surges import Market
from shaper.trust import TrustRules
from shaper.venue import Venue


@dataclass(frozen=True, slots=True)
class Circumstance:
    """How the gateway measures: over `observe_s`, known `lag_s` late; `noise` stretches actuation delays at random.

    Units are leased: none is released within `lease_delays` actuation delays of the last order.
    """

    observe_s: float = 10.0
    lag_s: float = 5.0
    noise: float = 0.1
    lease_delays: float = 0.0


@dataclass(frozen=True, slots=True)
class Seeds:
    """Seeds reported, from `first` on, and seeds that baselines are tuned on, from `first_tuning` on."""

    count: int = 20
    first: int = 1
    tuning: int = 2
    first_tuning: int = 10_001


@dataclass(frozen=True, slots=True)
class OwnManner:
    """What ours goes by, the same in every scenario: its reactive side, and when LIFO begins."""

    headroom: float = 0.2
    smoothing_s: float = 5.0
    drain_s: float = 10.0
    stabilisation_s: float = 60.0
    lifo_after_s: float = 2.0


@dataclass(frozen=True, slots=True)
class OneSet:
    """What the policy to beat goes by where it has, as ours, one set for all scenarios."""

    headroom: float = 4.0
    smoothing_s: float = 5.0
    drain_s: float = 10.0
    stabilisation_s: float = 60.0
    room: float = 0.1


@dataclass(frozen=True, slots=True)
class ContestFile:
    """The whole file. `delays_s`: the replay is repeated with each of these actuation delays (none: the pool's own)."""

    name: str
    venue: Venue
    market: Market
    about: str = ""
    clients: Clients = field(default_factory=Clients)
    faults: tuple[Fault, ...] = ()
    sight: Sight = field(default_factory=Sight)
    conditions: Circumstance = field(default_factory=Circumstance)
    ours: OwnManner = field(default_factory=OwnManner)
    one_set: OneSet = field(default_factory=OneSet)
    trust: TrustRules = field(default_factory=TrustRules)
    seeds: Seeds = field(default_factory=Seeds)
    policies: tuple[str, ...] = POLICIES
    delays_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse policies that do not exist, seeds that are tuned and reported, and markets that cannot be."""
        unknown = sorted(set(self.policies) - set(POLICIES))
        if unknown or not self.policies:
            raise ValueError(f"expected policies among {', '.join(POLICIES)}, found {', '.join(unknown) or 'none'}")
        seeds = self.seeds
        if seeds.count < 1 or seeds.tuning < 1:
            raise ValueError(f"expected at least one seed and one to tune on, found {seeds.count} and {seeds.tuning}")
        if set(self.reported) & set(self.tuned):
            raise ValueError("expected seeds that are tuned on to be others than those reported")
        if not (self.market.length_s > 60 and self.market.calm_per_s > 0):
            raise ValueError(f"expected a market of over 60 s with orders, found {self.market}")
        nodes = max(len(self.venue.nodes), 1)
        if not all(0 <= fault.node < nodes and 0 <= fault.speed <= 1 for fault in self.faults):
            raise ValueError(f"expected faults of nodes 0..{nodes - 1} with speeds in 0..1, found {self.faults}")

    @property
    def reported(self) -> tuple[int, ...]:
        """Seeds that are reported."""
        return tuple(range(self.seeds.first, self.seeds.first + self.seeds.count))

    @property
    def tuned(self) -> tuple[int, ...]:
        """Seeds that are tuned on."""
        return tuple(range(self.seeds.first_tuning, self.seeds.first_tuning + self.seeds.tuning))

    @property
    def all_delays_s(self) -> tuple[float, ...]:
        """The delays to play, ascending."""
        return tuple(sorted(set(self.delays_s))) or (self.venue.pool.actuation_delay_s,)

    def setting(self, delay_s: float) -> Setting:
        """The setting at one actuation delay."""
        ours, rival, leased_s = self.ours, self.one_set, self.conditions.lease_delays * delay_s
        scaling = ReactiveSettings(ours.headroom, ours.smoothing_s, ours.drain_s, ours.stabilisation_s)
        rivals = ReactiveSettings(rival.headroom, rival.smoothing_s, rival.drain_s, rival.stabilisation_s)
        return Setting(
            venue=replace(self.venue, pool=replace(self.venue.pool, actuation_delay_s=delay_s, cooldown_s=leased_s)),
            market=self.market,
            clients=self.clients,
            faults=self.faults,
            sight=self.sight,
            observe_s=self.conditions.observe_s,
            lag_s=self.conditions.lag_s,
            noise=self.conditions.noise,
            manner=Manner(scaling, every_s=self.venue.review_s, delay_noise=self.conditions.noise, trust=self.trust),
            one_set=Manner(rivals, rival.room, self.venue.review_s),
            lifo_after_s=ours.lifo_after_s,
        )


def read_tables(path: Path) -> dict[str, Any]:
    """The tables of a scenario file, those it extends beneath its own. Raises UsageError that names the file or the key."""
    section = strict.read_toml(path)
    below = section.pop("extends", None)
    if below is None:
        return section
    if not isinstance(below, str):
        raise UsageError(str(path), expected='extends = "FILE"', found=repr(below), remedy="name one file")
    return merged(read_tables(path.parent / below), section)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of which the upper ones complete or override the lower ones key by key; lists are replaced whole."""
    joint = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(joint.get(key), Mapping)
        joint[key] = merged(joint[key], value) if both else value
    return joint


def is_contest(path: Path) -> bool:
    """Whether a scenario file describes a market, and not a stretch of history."""
    return "market" in read_tables(path)


def read_contest(path: Path) -> ContestFile:
    """Read and check a scenario file. Raises UsageError that names the key."""
    try:
        return strict.convert(ContestFile, read_tables(path), str(path))
    except TypeError as error:
        remedy = "see training/configs/replay-systemic.toml"
        raise UsageError(str(path), expected="a scenario", found=str(error), remedy=remedy) from error
