"""What there is to decide about: tiers of orders, the capacity lever, settlement nodes, and how demand follows a forecast.

Decided here: the units of every setting, and which venues contradict themselves.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from shaper.fees import FeeRules
from shaper.forecast import Curve, Forecast, at_level, at_levels
from shaper.levers import Lever


class VenueError(ValueError):
    """A venue that contradicts itself; the message lists every contradiction."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Exposure:
    """What an order of a tier stands to lose with the price while it waits, by the law of `pricing`.

    `notional_usd` is its size; `gamma_usd` is Γ·S², USD per squared return (hedge); `margin` the return that uses up a
    position's margin (liquidation); `half_spread` that of a quote (maker). The cost is that of a delay of `typical_delay_s`, and is
    kept within floor and ceiling.
    """

    law: Literal["hedge", "liquidation", "maker", "taker"]
    notional_usd: float = 0.0
    gamma_usd: float = 0.0
    margin: float = 0.0
    half_spread: float = 0.0
    typical_delay_s: float = 1.0
    floor_usd_per_s: float = 0.0
    ceiling_usd_per_s: float = 1e9


@dataclass(frozen=True, slots=True)
class Tier:
    """A class of orders. Lower `priority` is served first; money is USD per order.

    `delay_cost_usd_per_s` is the cost of one order waiting one second, `reject_cost_usd` that of one order never served;
    an order unserved after `deadline_s` expires. `floor_share` of the capacity is never taken from the tier,
    `demand_share` is its usual share of the orders (shares of all tiers sum to 1). Beyond its floor it gets at most
    `ceiling_share`. With an `exposure` the delay cost follows the volatility forecast, see `pricing.priced`.
    """

    name: str
    priority: int
    delay_cost_usd_per_s: float
    reject_cost_usd: float
    deadline_s: float
    floor_share: float
    demand_share: float
    ceiling_share: float = 1.0
    exposure: Exposure | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """The capacity lever: units that each serve `unit_rate_per_s` orders a second.

    A unit ordered now serves after `actuation_delay_s` and is paid from the order on; releasing works at once. Orders come
    in multiples of `step_units`, change the pool by at most `max_change_units` per review (None: no limit), and nothing is
    released within `cooldown_s` of the last order.
    """

    name: str
    unit_rate_per_s: float
    min_units: int
    max_units: int
    actuation_delay_s: float
    cost_usd_per_unit_s: float
    step_units: int = 1
    max_change_units: int | None = None
    cooldown_s: float = 0.0

    @property
    def capacity_cost_usd(self) -> float:
        """USD for the capacity to serve one order: the overage cost c_o of the newsvendor."""
        return self.cost_usd_per_unit_s / self.unit_rate_per_s

    def units_for(self, rate_per_s: float) -> int:
        """Fewest units that serve a rate, within the pool's range and step; a rate that is not finite asks for all."""
        if not rate_per_s < self.max_units * self.unit_rate_per_s:
            return self.max_units
        return self.rounded(math.ceil(rate_per_s / self.unit_rate_per_s - 1e-9))

    def rounded(self, units: int) -> int:
        """Next higher number of units that the step allows, within the range."""
        steps = -(-(units - self.min_units) // self.step_units)
        return min(max(self.min_units + steps * self.step_units, self.min_units), self.max_units)

    def reachable(self, ordered: int, wanted: int, since_order_s: float | None = None) -> int:
        """The number of units nearest to `wanted` that one review may set, from `ordered` units in place or on their way.

        `since_order_s` is the time since units were last ordered (None: long ago).
        """
        limit = self.max_units if self.max_change_units is None else self.max_change_units
        if since_order_s is not None and since_order_s < self.cooldown_s:
            wanted = max(wanted, ordered)
        return max(min(self.rounded(wanted), ordered + limit), ordered - limit)


@dataclass(frozen=True, slots=True)
class Node:
    """A settlement node: what it serves a second, its latency when idle (s), its fee (USD per order), whether it is up."""

    name: str
    operator: str
    region: str
    chain: str
    capacity_per_s: float
    latency_s: float
    fee_usd: float
    up: bool = True


@dataclass(frozen=True, slots=True)
class DemandMap:
    """How orders per second follow from forecast targets: ln demand = intercept + Σ coefficient·target + residual.

    The default reads the target "demand" (ln of orders per second) as it is. `residual_sd` is the standard deviation of
    what the targets leave unexplained, in ln(1/s).
    """

    intercept: float = 0.0
    coefficients: tuple[tuple[str, float], ...] = (("demand", 1.0),)
    residual_sd: float = 0.0

    def curve(self, forecast: Forecast, lead_s: float, levels: Curve) -> Curve | None:
        """Orders per second at `levels`, `lead_s` after the issue; None if a target is missing or the lead too long.

        The targets' deviations from their medians and the residual are taken as independent, so that on either side of
        the median they add as squares; with one target and no residual this is that target's own quantile.
        """
        terms = [(forecast.curve(name, lead_s), factor) for name, factor in self.coefficients]
        curves = [(curve, factor) for curve, factor in terms if curve is not None]
        if len(curves) < len(terms):
            return None
        if len(curves) == 1 and curves[0][1] > 0 and self.residual_sd == 0:
            curve, factor = curves[0]
            return tuple(_exp(self.intercept + factor * value) for value in at_levels(forecast.levels, curve, levels))
        return tuple(_exp(self._log_demand(forecast.levels, curves, level)) for level in levels)

    def _log_demand(self, known: Curve, curves: list[tuple[Curve, float]], level: float) -> float:
        middle, squares = self.intercept, (self.residual_sd * NormalDist().inv_cdf(level)) ** 2
        for curve, factor in curves:
            median = at_level(known, curve, 0.5)
            middle += factor * median
            squares += (factor * (at_level(known, curve, level if factor > 0 else 1 - level) - median)) ** 2
        return middle + math.copysign(math.sqrt(squares), level - 0.5)


@dataclass(frozen=True, slots=True)
class Venue:
    """A venue: tiers, the pool, nodes, the review period, dispersion caps, and how it plans.

    `shortage_s` is how long an order that finds no capacity is taken to wait (None: the pool's delay plus one review, the
    time until a correction works). A forecast-led plan never sets less than the demand of this moment with
    `hedge_headroom`: it insures against surges that the forecast does not know of. `persistence`, 0..1, says how far the
    level of demand within the forecast's band is taken to last, see `outlook.demand_curve`. Without a forecast,
    `reactive_headroom` is the margin over the demand of this moment, and a queue is to be cleared within
    `reactive_drain_s` (None: the delay plus one review). `staffing` "auto" lets queueing laws set capacity where the forecast
    is surer than arrivals are regular, see `staffing.regime`. `levers` are those beside the pool,
    `fees` the chain that orders bid on.
    Raises VenueError that lists all contradictions.
    """

    tiers: tuple[Tier, ...]
    pool: Pool
    nodes: tuple[Node, ...] = ()
    review_s: float = 15.0
    max_operator_share: float = 1.0
    max_region_share: float = 1.0
    demand: DemandMap = DemandMap()
    shortage_s: float | None = None
    persistence: float = 0.5
    hedge_headroom: float = 0.0
    reactive_headroom: float = 0.3
    reactive_drain_s: float | None = None
    staffing: Literal["newsvendor", "auto"] = "newsvendor"
    levers: tuple[Lever, ...] = ()
    fees: FeeRules | None = None

    def __post_init__(self) -> None:
        """Refuse a venue with any contradiction, naming all of them."""
        faults = [*_tier_faults(self.tiers), *_pool_faults(self.pool), *_node_faults(self.nodes), *_venue_faults(self)]
        if faults:
            raise VenueError("; ".join(faults))

    @property
    def lead_s(self) -> float:
        """The lead at which capacity is planned: until an order of now works, and until the next one would."""
        return self.pool.actuation_delay_s + self.review_s

    @property
    def by_priority(self) -> tuple[Tier, ...]:
        """Tiers in the order of service: priority class first, then the generalised cμ index, then the name.

        The index is what one more second of waiting costs at the worst: delay cost plus the reject cost spread over the
        deadline (van Mieghem 1995, with a deadline as a steep end of the delay cost).
        """
        return tuple(sorted(self.tiers, key=lambda t: (t.priority, -urgency_usd_per_s(t), t.name)))


def urgency_usd_per_s(tier: Tier) -> float:
    """Generalised cμ index of a tier, USD per order and second."""
    return tier.delay_cost_usd_per_s + tier.reject_cost_usd / tier.deadline_s


def _tier_faults(tiers: tuple[Tier, ...]) -> Iterable[str]:
    names = [tier.name for tier in tiers]
    if not tiers or len(set(names)) < len(names):
        yield f"expected at least one tier and unique tier names, found {names}"
    for tier in tiers:
        money = (tier.delay_cost_usd_per_s, tier.reject_cost_usd)
        if not all(math.isfinite(usd) and usd >= 0 for usd in money):
            yield f"tier {tier.name}: expected costs of 0 or more, found {money}"
        if not (math.isfinite(tier.deadline_s) and tier.deadline_s > 0):
            yield f"tier {tier.name}: expected a positive deadline_s, found {tier.deadline_s}"
        if not (0 <= tier.floor_share <= 1 and 0 <= tier.demand_share <= 1):
            yield f"tier {tier.name}: expected shares in 0..1, found {tier.floor_share} and {tier.demand_share}"
        if not tier.floor_share <= tier.ceiling_share <= 1:
            yield f"tier {tier.name}: expected a ceiling_share from its floor to 1, found {tier.ceiling_share}"
        if tier.exposure is not None:
            yield from _exposure_faults(tier.name, tier.exposure)
    if tiers and not abs(sum(tier.demand_share for tier in tiers) - 1) < 1e-6:
        yield f"expected demand shares that sum to 1, found {sum(tier.demand_share for tier in tiers):.6g}"
    if not sum(tier.floor_share for tier in tiers) <= 1 + 1e-9:
        yield f"expected floor shares that sum to at most 1, found {sum(tier.floor_share for tier in tiers):.6g}"


def _exposure_faults(name: str, exposure: Exposure) -> Iterable[str]:
    sizes = (exposure.notional_usd, exposure.gamma_usd, exposure.margin, exposure.half_spread, exposure.floor_usd_per_s)
    if not all(math.isfinite(size) and size >= 0 for size in sizes):
        yield f"tier {name}: expected an exposure of finite sizes of 0 or more, found {exposure}"
    if not (exposure.typical_delay_s > 0 and exposure.floor_usd_per_s <= exposure.ceiling_usd_per_s):
        yield f"tier {name}: expected a positive typical_delay_s and a floor up to the ceiling, found {exposure}"


def _pool_faults(pool: Pool) -> Iterable[str]:
    if not (math.isfinite(pool.unit_rate_per_s) and pool.unit_rate_per_s > 0):
        yield f"pool {pool.name}: expected a positive unit_rate_per_s, found {pool.unit_rate_per_s}"
    if not 0 <= pool.min_units <= pool.max_units or pool.max_units < 1:
        yield f"pool {pool.name}: expected 0 <= min_units <= max_units >= 1, found {pool.min_units} and {pool.max_units}"
    waits = (pool.actuation_delay_s, pool.cooldown_s, pool.cost_usd_per_unit_s)
    if not all(math.isfinite(value) and value >= 0 for value in waits):
        yield f"pool {pool.name}: expected delay, cooldown and cost of 0 or more, found {waits}"
    if pool.step_units < 1 or (pool.max_change_units is not None and pool.max_change_units < pool.step_units):
        yield f"pool {pool.name}: expected 1 <= step_units <= max_change_units, found {pool.step_units}, {pool.max_change_units}"


def _node_faults(nodes: tuple[Node, ...]) -> Iterable[str]:
    names = [node.name for node in nodes]
    if len(set(names)) < len(names):
        yield f"expected unique node names, found {names}"
    for node in nodes:
        if not (math.isfinite(node.capacity_per_s) and node.capacity_per_s > 0):
            yield f"node {node.name}: expected a positive capacity_per_s, found {node.capacity_per_s}"
        if not all(math.isfinite(value) and value >= 0 for value in (node.latency_s, node.fee_usd)):
            yield f"node {node.name}: expected latency_s and fee_usd of 0 or more, found {node.latency_s}, {node.fee_usd}"


def _venue_faults(venue: Venue) -> Iterable[str]:
    waits = [venue.review_s, *(value for value in (venue.shortage_s, venue.reactive_drain_s) if value is not None)]
    if not all(math.isfinite(value) and value > 0 for value in waits):
        yield f"expected a positive review_s, shortage_s and reactive_drain_s, found {waits}"
    margins = (venue.hedge_headroom, venue.reactive_headroom)
    if not all(math.isfinite(value) and value >= -1 for value in margins):
        yield f"expected a hedge_headroom and reactive_headroom of -1 or more, found {margins}"
    if not (math.isfinite(venue.demand.intercept) and venue.demand.coefficients and venue.demand.residual_sd >= 0):
        yield f"expected a demand map with coefficients and a residual_sd of 0 or more, found {venue.demand}"
    if not 0 <= venue.persistence < 1:
        yield f"expected a persistence in [0, 1), found {venue.persistence}"
    groups = (("operator", venue.max_operator_share), ("region", venue.max_region_share))
    for kind, cap in groups:
        count = len({getattr(node, kind) for node in venue.nodes})
        if not 0 < cap <= 1:
            yield f"expected max_{kind}_share in (0, 1], found {cap}"
        elif count and cap * count < 1 - 1e-9:
            yield f"max_{kind}_share {cap} cannot be met by {count} {kind}s: expected at least {1 / count:.3g}"


def _exp(value: float) -> float:
    """e^value, without overflow: above e^700 a rate is absurd anyway and the plan refuses it."""
    return math.exp(min(value, 700.0))
