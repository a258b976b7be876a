"""The plan: a setting per lever with its reason, from a forecast where one can be believed, and what would be set without.

Decided here: how the parts are put together. Plans are values: equal inputs give equal plans, to the bit.
"""

from dataclasses import dataclass

from shaper.bidding import FeeSetting, bids
from shaper.capacity import Need, reactive_units, wanted_units, without_forecast
from shaper.forecast import Forecast
from shaper.lines import most_waiting
from shaper.observed import Observed
from shaper.outlook import CONTRADICTED, median
from shaper.pricing import priced
from shaper.report import Report, report
from shaper.routes import RouteSetting, routes
from shaper.routing import split_orders
from shaper.tiers import PARTS, share_capacity
from shaper.trust import Leash, Stage
from shaper.venue import Node, Venue
from shaper.warming import WarmSetting, warmed

__all__ = [
    "CapacitySetting",
    "ForecastIdentity",
    "NodeSetting",
    "Observed",
    "Plan",
    "Settings",
    "Stage",
    "TierSetting",
    "plan",
]


@dataclass(frozen=True, slots=True)
class CapacitySetting:
    """Units that a pool is to have in place or on their way, and the orders per second they serve."""

    pool: str
    units: int
    rate_per_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class TierSetting:
    """A tier's class (0 is served first), its quota in orders per second, and that quota's share of the capacity.

    `most_waiting` orders of it may wait (None: as many as the gateway holds).
    """

    tier: str
    priority: int
    rate_per_s: float
    share: float
    reason: str
    most_waiting: int | None = None


@dataclass(frozen=True, slots=True)
class NodeSetting:
    """The share of the orders that a node gets, 0..1 in steps of 0.0001."""

    node: str
    weight: float
    reason: str


@dataclass(frozen=True, slots=True)
class Settings:
    """One setting per lever: capacity of the pools, quotas of the tiers, weights of the nodes."""

    capacity: tuple[CapacitySetting, ...]
    quotas: tuple[TierSetting, ...]
    weights: tuple[NodeSetting, ...]


@dataclass(frozen=True, slots=True)
class ForecastIdentity:
    """Which forecast a plan came from."""

    origin: str
    contract_digest: str
    issued_at_s: float
    valid_until_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What to set from `valid_from_s` until the next plan, at the latest `valid_until_s`.

    `stage` says whether a forecast led it, `reason` why; `forecast` is the one at hand, believed or not;
    `without_forecast` is what the reactive rule would set on the same measurement. `warm` sets connections and nonce
    lanes, `fees` the bids, `routes` the nodes of tiers with needs of their own; `report` says what it comes to.
    """

    valid_from_s: float
    valid_until_s: float
    stage: Stage
    reason: str
    capacity: tuple[CapacitySetting, ...]
    quotas: tuple[TierSetting, ...]
    weights: tuple[NodeSetting, ...]
    forecast: ForecastIdentity | None
    without_forecast: Settings
    warm: tuple[WarmSetting, ...] = ()
    fees: tuple[FeeSetting, ...] = ()
    routes: tuple[RouteSetting, ...] = ()
    report: Report | None = None


def plan(venue: Venue, forecast: Forecast | None, observed: Observed, leash: Leash | None = None) -> Plan:
    """The plan for what was measured and what is forecast (None: no forecast at hand), within a leash (None: none).

    A forecast that is stale, absent, silent on a target, contradicted by the measurement or too short for the pool's delay
    does not lead: the plan is then the reactive one, and says why. A leash of the stage `reactive` or `static` lets none lead.
    """
    venue = priced(venue, forecast, observed.at_s)
    need = wanted_units(venue, forecast, observed, leash)
    plain = reactive_units(venue, observed.reactive_per_s, observed.queued_orders)
    units = plain if need.stage == "static" else without_forecast(venue, observed, leash)
    reactive = Need(units, "by what is seen alone", stage="reactive")
    without = _settings(venue, observed, reactive)
    led = need.stage in ("forecast-led", "blended")
    chosen = without if need.stage == "reactive" else _settings(venue, observed, need)
    demand = _demand(observed, need if led else reactive)
    until = observed.at_s + 2 * venue.review_s
    return Plan(
        valid_from_s=observed.at_s,
        valid_until_s=min(until, forecast.valid_until_s) if led and forecast else until,
        stage=need.stage,
        reason=_why(venue, forecast, need, leash),
        capacity=chosen.capacity,
        quotas=chosen.quotas,
        weights=chosen.weights,
        forecast=_identity(forecast),
        without_forecast=without,
        warm=warmed(venue, forecast if led else None, observed),
        fees=bids(venue, forecast if led else None, observed),
        routes=routes(venue, demand),
        report=report(venue, chosen.capacity[0].rate_per_s, tuple(node.weight for node in chosen.weights), demand),
    )


def planned_units(venue: Venue, need: Need, observed: Observed) -> int:
    """The units a plan sets for a need: what one review may reach from where the pool is."""
    return venue.pool.reachable(observed.ordered_units, need.units, observed.since_order_s)


def _settings(venue: Venue, observed: Observed, need: Need) -> Settings:
    units = planned_units(venue, need, observed)
    now = observed.ready_units * venue.pool.unit_rate_per_s
    demand = _demand(observed, need)
    return Settings(
        (
            CapacitySetting(
                venue.pool.name,
                units,
                units * venue.pool.unit_rate_per_s,
                _capacity_reason(venue, observed, need, units),
            ),
        ),
        _quotas(venue, observed, now or units * venue.pool.unit_rate_per_s, demand),
        _weights(venue, demand),
    )


def _demand(observed: Observed, need: Need) -> float:
    """Orders per second that quotas and weights are for."""
    return observed.demand_per_s if need.work is None else max(observed.demand_per_s, median(need.work.demand))


def _quotas(venue: Venue, observed: Observed, capacity_per_s: float, demand_per_s: float) -> tuple[TierSetting, ...]:
    shares = share_capacity(venue, capacity_per_s, demand_per_s, dict(observed.queued))
    lines = most_waiting(venue, observed)
    return tuple(
        TierSetting(
            tier=share.tier.name,
            priority=rank,
            rate_per_s=capacity_per_s * share.parts / PARTS,
            share=share.parts / PARTS,
            reason=f"needs {share.need:.1%} of {capacity_per_s:.0f}/s, floor {share.floor:.1%}, headroom {share.headroom:.1%}",
            most_waiting=line,
        )
        for rank, (share, line) in enumerate(zip(shares, lines, strict=True))
    )


def _weights(venue: Venue, demand_per_s: float) -> tuple[NodeSetting, ...]:
    split = split_orders(venue, demand_per_s)
    return tuple(
        NodeSetting(node.name, parts / PARTS, _node_reason(node, parts / PARTS * demand_per_s, split.relaxed))
        for node, parts in zip(venue.nodes, split.parts, strict=True)
    )


def _node_reason(node: Node, load_per_s: float, relaxed: str | None) -> str:
    if not node.up:
        return "down"
    terms = f"{node.latency_s:.3g} s and {node.fee_usd:.3g} USD an order, {load_per_s:.0f} of its {node.capacity_per_s:.0f}/s"
    return f"{terms}; {relaxed}" if relaxed else terms


def _capacity_reason(venue: Venue, observed: Observed, need: Need, units: int) -> str:
    limited = f"; {need.units} wanted, as many as one review may reach" if units != need.units else ""
    if need.stage == "static":
        return f"{units} units: held{limited}"
    if need.work is None:
        seen = f"{observed.reactive_per_s:.0f}/s seen, {observed.queued_orders:.0f} queued"
        more = (
            ""
            if need.units <= reactive_units(venue, observed.reactive_per_s, observed.queued_orders)
            else ", and more against a surge"
        )
        return f"{units} units: {seen}, headroom {venue.reactive_headroom:.0%}{more}{limited}"
    demand = need.work.demand
    expected = f"demand due in {need.work.lead_s:.0f} s: median {median(demand):.0f}/s, 95 % {demand[9]:.0f}/s"
    held = f"; kept for the demand of the next {need.held_for_s:.0f} s" if need.held_for_s < need.work.lead_s else ""
    if need.work.liquidations_per_s > 0:
        expected = f"{expected}, and {need.work.liquidations_per_s:.1f}/s of liquidations"
    return f"{units} units: newsvendor on {expected}, {observed.queued_orders:.0f} queued now{held}{limited}"


def _why(venue: Venue, forecast: Forecast | None, need: Need, leash: Leash | None) -> str:
    if need.fallback is not None or forecast is None:
        return f"{'held' if need.stage == 'static' else 'by what is seen alone'}: {need.fallback}"
    delay_s = venue.pool.planned_delay_s
    read = f"forecast of {forecast.origin} read {venue.lead_s:.0f} s ahead (delay {delay_s:.0f} s and one review)"
    if leash is not None:
        limits = f"{leash.least_units} to {leash.most_units} units about the reactive {leash.baseline_units}"
        read = f"{read}, trusted with weight {leash.weight:.2f} within {limits}"
    if need.outside > CONTRADICTED:
        return f"{read}, and no less than without it: measured demand is {need.outside:.2g} times the upper edge of its 90 % band"
    return read


def _identity(forecast: Forecast | None) -> ForecastIdentity | None:
    if forecast is None:
        return None
    return ForecastIdentity(forecast.origin, forecast.contract_digest, forecast.issued_at_s, forecast.valid_until_s)
