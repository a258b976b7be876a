"""Why a plan sets what it sets: the numbers that its rules read, beside what they came to and what would be set otherwise.

Decided here: what an operator is told. Every number comes from the functions that made the plan, on the same inputs.
"""

from dataclasses import dataclass

from shaper.capacity import shortage_cost_usd, tier_prices_usd, wanted_units
from shaper.decision import Inputs, Override
from shaper.forecast import Curve
from shaper.outlook import LEVELS, demand_curve, distrust, news
from shaper.plan import Plan, TierSetting
from shaper.pricing import priced
from shaper.tiers import PARTS
from shaper.trust import Leash
from shaper.venue import Tier, Venue, urgency_usd_per_s

CAPACITY_LAW = (
    "newsvendor: the fewest units C with sum over tiers of (c_k - c_k+1) * P(work of the first k tiers > C) <= c_o, "
    "work read at the lead (delay and one review); within the leash, then within what one review may change"
)
QUOTA_LAW = "floor, then needs by priority and (delay cost + reject cost / deadline) / work, then headroom by demand"
WEIGHT_LAW = "the split that minimises latency + fee + congestion within capacities and dispersion caps"


@dataclass(frozen=True, slots=True)
class Read:
    """What the forecast says of one target at the lead: quantiles at `levels`, and the chance of a spike by then."""

    target: str
    levels: Curve
    quantiles: Curve
    spike: float | None


@dataclass(frozen=True, slots=True)
class CapacityReason:
    """Why a pool has its units.

    `demand_per_s` are orders a second at `levels`, `lead_s` ahead (None: no forecast reaches that far), `prices_usd` what an order
    of each tier by priority loses that finds no capacity, `unit_usd` the capacity to serve one order. `wanted` is before what
    one review may change.
    """

    pool: str
    units: int
    wanted: int
    without_forecast: int
    lead_s: float
    levels: Curve
    demand_per_s: Curve | None
    prices_usd: Curve
    unit_usd: float
    leash: Leash | None
    law: str = CAPACITY_LAW


@dataclass(frozen=True, slots=True)
class TierReason:
    """Why a tier has its share: its rank's index (USD a second), what it loses without capacity, its floor, and the alternative."""

    tier: str
    share: float
    without_forecast: float
    urgency_usd_per_s: float
    shortage_usd: float
    floor: float
    reason: str
    law: str = QUOTA_LAW


@dataclass(frozen=True, slots=True)
class NodeReason:
    """Why a node has its weight, and what it would have without a forecast."""

    node: str
    weight: float
    without_forecast: float
    reason: str
    law: str = WEIGHT_LAW


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a plan is as it is; `not_led_by` is why its forecast could not lead (None: it could)."""

    at_s: float
    stage: str
    reason: str
    not_led_by: str | None
    forecast: tuple[Read, ...]
    capacity: CapacityReason
    quotas: tuple[TierReason, ...]
    weights: tuple[NodeReason, ...]
    overrides: tuple[Override, ...]


def explained(venue: Venue, inputs: Inputs, made: Plan) -> Explanation:
    """The explanation of the plan that some inputs came to."""
    forecast, observed = inputs.forecast, inputs.observed
    venue = priced(venue, forecast, observed.at_s)
    return Explanation(
        at_s=observed.at_s,
        stage=made.stage,
        reason=made.reason,
        not_led_by=distrust(venue, forecast, observed),
        forecast=_read(venue, inputs),
        capacity=_capacity(venue, inputs, made),
        quotas=_quotas(venue, made),
        weights=_weights(made),
        overrides=inputs.overrides,
    )


def _read(venue: Venue, inputs: Inputs) -> tuple[Read, ...]:
    forecast = inputs.forecast
    if forecast is None:
        return ()
    lead_s = inputs.observed.at_s - forecast.issued_at_s + venue.lead_s
    curves = [(target, forecast.curve(target, lead_s)) for target in forecast.targets]
    return tuple(
        Read(target, forecast.levels, curve, forecast.spike_by(target, lead_s))
        for target, curve in curves
        if curve is not None
    )


def _capacity(venue: Venue, inputs: Inputs, made: Plan) -> CapacityReason:
    forecast, observed = inputs.forecast, inputs.observed
    demand = None
    if forecast is not None:
        told = news(venue, forecast, observed)
        demand = demand_curve(venue, forecast, observed.at_s - forecast.issued_at_s, venue.lead_s, told)
    setting, without = made.capacity[0], made.without_forecast.capacity[0]
    return CapacityReason(
        pool=setting.pool,
        units=setting.units,
        wanted=wanted_units(venue, forecast, observed, inputs.leash).units,
        without_forecast=without.units,
        lead_s=venue.lead_s,
        levels=LEVELS,
        demand_per_s=demand,
        prices_usd=tier_prices_usd(venue),
        unit_usd=venue.pool.capacity_cost_usd,
        leash=inputs.leash,
    )


def _quotas(venue: Venue, made: Plan) -> tuple[TierReason, ...]:
    tiers = {tier.name: tier for tier in venue.tiers}
    wait_s = venue.lead_s if venue.shortage_s is None else venue.shortage_s

    def reason(setting: TierSetting, without: TierSetting, tier: Tier) -> TierReason:
        lost, floor = shortage_cost_usd(tier, wait_s), round(tier.floor_share * PARTS) / PARTS
        return TierReason(
            setting.tier, setting.share, without.share, urgency_usd_per_s(tier), lost, floor, setting.reason
        )

    pairs = zip(made.quotas, made.without_forecast.quotas, strict=True)
    return tuple(reason(setting, without, tiers[setting.tier]) for setting, without in pairs)


def _weights(made: Plan) -> tuple[NodeReason, ...]:
    pairs = zip(made.weights, made.without_forecast.weights, strict=True)
    return tuple(NodeReason(a.node, a.weight, b.weight, a.reason) for a, b in pairs)
