"""Policies side by side on identical seeds of one scenario: who takes part, how they are tuned, and what each cost.

Decided here: the names of the policies, that every one of them is tuned on seeds that are not reported, for each scenario or
(the policy to beat a second time) for all of them at once as ours is, and which forecasts ours is given under which name.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from shaper.replay.bound import least_cost_usd
from shaper.replay.contenders import SYNC_S, Autoscaled, Contender, Manner, Ours
from shaper.replay.events import Fault, Run, Stage, play
from shaper.replay.foresight import Sight, adversarial, learned, perfect
from shaper.replay.gateway import Discipline
from shaper.replay.ledger import Entry, entry
from shaper.replay.limits import Aimd, Gradient
from shaper.replay.orders import Clients
from shaper.replay.policies import ReactiveSettings
from shaper.replay.recorded import Recorded
from shaper.replay.surges import Flow, Market, draw
from shaper.replay.trace import ForecastSeries, ReplayError
from shaper.venue import Venue

BASELINES: dict[str, Discipline] = {
    "round robin": Discipline(late=False, lines="one", routing="round robin"),
    "least request": Discipline(late=False, lines="one", routing="least request"),
    "power of two": Discipline(late=False, lines="one", routing="two choices"),
    "prequal": Discipline(late=False, lines="one", routing="prequal"),
    "reactive autoscaling": Discipline(lines="one", routing="least request"),
    "adaptive concurrency": Discipline(lines="one", routing="least request"),
    "WFQ + AIMD": Discipline(lines="fair", routing="least request"),
    "priority + LIFO": Discipline(lifo_after_s=2.0),
    "priority + LIFO, one set": Discipline(lifo_after_s=2.0),
}
TO_BEAT, ONE_SET = "priority + LIFO", "priority + LIFO, one set"
LEARNED, PERFECT, ADVERSARIAL = "ours, learned", "ours, perfect", "ours, adversarial"
OURS = (LEARNED, PERFECT, ADVERSARIAL)
POLICIES = (*BASELINES, *OURS)
HEADROOMS = (0.1, 0.3, 0.6, 1.0, 2.0, 4.0)
ROOMS = (0.02, 0.1, 0.25, 0.5)
DRAINS_S = (10.0, 30.0, 120.0)
STABILISATIONS_S = (60.0, 300.0)


@dataclass(frozen=True, slots=True)
class Setting:
    """One scenario: the venue, its market and clients, what goes wrong, how it is measured and foreseen.

    `lifo_after_s` and `manner` are ours: one set for all scenarios; `one_set` is that of the policy to beat where it has one for
    all scenarios too. `initial_headroom` units stand ready at the start beyond the
    calm's demand. With `recorded` orders these take the market's place.
    """

    venue: Venue
    market: Market = field(default_factory=Market)
    clients: Clients = field(default_factory=Clients)
    faults: tuple[Fault, ...] = ()
    sight: Sight = field(default_factory=Sight)
    observe_s: float = 10.0
    lag_s: float = 5.0
    noise: float = 0.1
    manner: Manner = field(default_factory=lambda: Manner(ReactiveSettings(0.2, 5.0, 30.0, 60.0), every_s=5.0))
    one_set: Manner = field(default_factory=lambda: Manner(ReactiveSettings(4.0, 5.0, 10.0, 60.0), 0.1, 5.0))
    lifo_after_s: float = 2.0
    initial_headroom: float = 0.3
    recorded: Recorded | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One seed: its flow and stage, the clairvoyant's cost in USD, and each policy's entry."""

    seed: int
    bound_usd: float
    entries: tuple[tuple[str, Entry], ...]


def flow_of(setting: Setting, seed: int) -> Flow:
    """The orders of a seed: drawn from the market, or recorded."""
    if setting.recorded is not None:
        return setting.recorded.flow(setting.venue, setting.clients, seed)
    return draw(setting.venue, setting.market, setting.clients, seed)


def stage_of(setting: Setting, flow: Flow, seed: int) -> Stage:
    """What every policy finds on a flow."""
    calm = setting.market.calm_per_s
    return Stage(
        venue=setting.venue,
        orders=flow.orders,
        initial_units=setting.venue.pool.units_for(calm * (1 + setting.initial_headroom)),
        before_per_s=calm,
        observe_s=setting.observe_s,
        lag_s=setting.lag_s,
        noise=setting.noise,
        seed=seed,
        faults=setting.faults,
    )


def forecasts_of(setting: Setting, flow: Flow, name: str, seed: int) -> ForecastSeries:
    """The forecasts that ours is given under a name."""
    if name == PERFECT:
        return perfect(flow, setting.market)
    if name == ADVERSARIAL:
        return adversarial(flow, setting.market, setting.venue.lead_s)
    if setting.recorded is not None:
        return setting.recorded.series(seed)
    return learned(flow, setting.market, setting.sight, seed)


def contender(setting: Setting, name: str, manner: Manner, forecasts: ForecastSeries | None = None) -> Contender:
    """A policy at its start. Raises ReplayError for an unknown name, or for ours without forecasts."""
    venue = setting.venue
    if name in BASELINES:
        pace = {"adaptive concurrency": Gradient, "WFQ + AIMD": Aimd}.get(name)
        return Autoscaled(venue, BASELINES[name], manner, None if pace is None else pace(venue))
    if name not in OURS or forecasts is None:
        raise ReplayError(f"expected a policy among {', '.join(POLICIES)}, ours with forecasts, found {name}")
    return Ours(venue, setting.manner, forecasts, setting.lag_s, setting.lifo_after_s)


def run_of(setting: Setting, name: str, manner: Manner, flow: Flow, seed: int) -> tuple[Stage, Run]:
    """One policy on one seed's flow."""
    stage = stage_of(setting, flow, seed)
    forecasts = forecasts_of(setting, flow, name, seed) if name in OURS else None
    return stage, play(stage, contender(setting, name, manner, forecasts))


def play_round(setting: Setting, manners: dict[str, Manner], seed: int) -> Round:
    """All policies named in `manners` on one seed, and the clairvoyant."""
    flow = flow_of(setting, seed)
    entries = tuple((name, entry(*run_of(setting, name, manner, flow, seed))) for name, manner in manners.items())
    return Round(seed, least_cost_usd(stage_of(setting, flow, seed)), entries)


def tune(setting: Setting, name: str, seeds: tuple[int, ...]) -> Manner:
    """The cheapest manner of a baseline on some seeds, one value after the other; ours keeps its own.

    The horizontal autoscaler keeps its 15 s between looks; the others, as ours, look once in a review.
    """
    if name in OURS:
        return setting.manner
    return setting.one_set if name == ONE_SET else tune_for_all((setting,), name, seeds)


def tune_for_all(settings: tuple[Setting, ...], name: str, seeds: tuple[int, ...]) -> Manner:
    """The manner of a baseline whose mean regret over several settings is least: `[one_set]` is that over the shipped scenarios."""
    flows = [[(flow_of(setting, seed), seed) for seed in seeds] for setting in settings]
    least = [
        sum(least_cost_usd(stage_of(setting, *pair)) for pair in pairs) if len(settings) > 1 else 1.0
        for setting, pairs in zip(settings, flows, strict=True)
    ]
    every_s = SYNC_S if name == "reactive autoscaling" else settings[0].venue.review_s

    def cost(manner: Manner) -> float:
        return sum(
            entry(*run_of(setting, name, manner, flow, seed)).cost_usd / usd
            for setting, pairs, usd in zip(settings, flows, least, strict=True)
            for flow, seed in pairs
        )

    starts = [Manner(ReactiveSettings(headroom, 5.0, 30.0, 60.0), 0.5, every_s) for headroom in (0.2, 1.0)]
    return settled(min(starts, key=cost), cost)


def settled(manner: Manner, cost: Callable[[Manner], float]) -> Manner:
    """Coordinate descent over the grids of this module, once through."""
    best = (cost(manner), manner)
    for vary in COORDINATES:
        for option in vary(best[1]):
            if option != best[1]:
                found = cost(option)
                best = (found, option) if found < best[0] else best
    return best[1]


def _scaled(manner: Manner, **change: float) -> Manner:
    return replace(manner, scaling=replace(manner.scaling, **change))


COORDINATES: tuple[Callable[[Manner], list[Manner]], ...] = (
    lambda m: [_scaled(m, headroom=value) for value in HEADROOMS],
    lambda m: [replace(m, room=value) for value in ROOMS],
    lambda m: [_scaled(m, drain_s=value) for value in DRAINS_S],
    lambda m: [_scaled(m, stabilisation_s=value) for value in STABILISATIONS_S],
)
