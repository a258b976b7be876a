"""Trust in the loop: shadows of the rules that compete, what they cost on the orders that came, and the leash for the next plan.

Decided here: what is a counterfactual (each rule sees its own queues and units), and what a deviation may cost at the worst.
"""

import math
from dataclasses import dataclass, field, replace

from shaper.capacity import reactive_units, wanted_units
from shaper.fluid import pass_span
from shaper.forecast import Forecast
from shaper.observed import Observed
from shaper.record import Record, recorded
from shaper.shadow import Shadow, pass_time, seen_by, set_units, shadow_of
from shaper.tide import Tide, moved, reactive_demand
from shaper.trust import Costs, Leash, Trust, TrustRules, budget_usd, held, in_effect, new_trust, update
from shaper.venue import Tier, Venue

FORGOTTEN_REVIEWS = 20  # after a longer silence the shadows start anew from what is measured
RISES = 1.5  # times the demand of this moment that a surge may still bring, when it is above the usual surge


@dataclass(frozen=True, slots=True)
class Steering:
    """Trust, the shadows of the own, the forecast-led and the reactive pool at `at_s`, and the leash for a plan of then.

    `record` is that of the forecasts' claims; `tide` says how demand moves.
    """

    rules: TrustRules
    trust: Trust
    own: Shadow
    led: Shadow
    reactive: Shadow
    at_s: float
    leash: Leash
    record: Record = field(default_factory=Record)
    tide: Tide = field(default_factory=Tide)


def steer(
    venue: Venue, forecast: Forecast | None, observed: Observed, before: Steering | TrustRules | None = None
) -> Steering:
    """The steering at `observed.at_s`: pass its `leash` to `plan` or `wanted_units`, and itself to the next call.

    `before` is the steering of the last review; rules, or None for the default ones, start anew. The own pool is taken to have
    set `observed.ordered_units` at the last review.
    """
    if not isinstance(before, Steering):
        return _opened(venue, forecast, observed, before or TrustRules())
    if observed.demand_age_s > before.rules.static_after_s:
        leash = Leash("static", 0.0, *(observed.ordered_units,) * 3)
        return replace(before, trust=held(before.trust), at_s=observed.at_s, leash=leash)
    passed_s = observed.at_s - before.at_s
    before = replace(
        before,
        record=recorded(venue, forecast, observed, before.record),
        tide=moved(venue, before.tide, observed, before.rules.stress),
    )
    if not 0 <= passed_s <= FORGOTTEN_REVIEWS * venue.review_s:
        fresh = _opened(venue, forecast, observed, before.rules)
        trust = update(before.trust, Costs(0, 0, 0), before.rules)[0]
        return _leashed(venue, observed, replace(fresh, trust=trust, record=before.record, tide=before.tide))
    own = set_units(venue.pool, before.own, observed.ordered_units, before.at_s)
    rows = [
        pass_time(venue, shadow, before.at_s, observed.at_s, observed.demand_per_s)
        for shadow in (own, before.led, before.reactive)
    ]
    costs = Costs(*(cost for _, cost in rows))
    after = replace(before, trust=update(before.trust, costs, before.rules)[0], own=rows[0][0], at_s=observed.at_s)
    return _decided(venue, forecast, observed, replace(after, led=rows[1][0], reactive=rows[2][0]))


def missed_surge_usd(venue: Venue, observed: Observed, rules: TrustRules) -> float:
    """USD lost in one review while demand is `stress` times what the reactive rule holds capacity for now."""
    tiers, demand = venue.by_priority, observed.demand_per_s
    capacity = reactive_units(venue, demand, 0.0) * venue.pool.unit_rate_per_s
    after, lost = pass_span(tiers, (0.0,) * len(tiers), rules.stress * demand, capacity, venue.review_s)
    return sum(_worst_usd(tier) * (queue + gone) for tier, queue, gone in zip(tiers, after, lost, strict=True))


def missing_unit_usd(venue: Venue, surge_per_s: float, units: int) -> float:
    """USD that one unit less than `units` may lose in a planning lead of a surge to so many orders a second.

    It is missed by the last tier that is still served.
    """
    capacity, demand = units * venue.pool.unit_rate_per_s, surge_per_s
    orders = venue.pool.unit_rate_per_s * venue.lead_s
    for tier in venue.by_priority:
        capacity -= demand * tier.demand_share
        if capacity < 0:
            return orders * _worst_usd(tier)
    return 0.0


def _opened(venue: Venue, forecast: Forecast | None, observed: Observed, rules: TrustRules) -> Steering:
    start, leash = shadow_of(venue, observed), Leash("reactive", 0.0, 0, 0, 0)
    trust = new_trust(rules, missed_surge_usd(venue, observed, rules))
    record = recorded(venue, forecast, observed, Record(held=int(rules.proven)))
    opened = Steering(
        rules, trust, start, start, start, observed.at_s, leash, record, moved(venue, Tide(), observed, rules.stress)
    )
    return _decided(venue, forecast, observed, opened)


def _decided(venue: Venue, forecast: Forecast | None, observed: Observed, steering: Steering) -> Steering:
    """Each rule's own decision on its own state, and the leash."""
    led = wanted_units(venue, forecast, seen_by(venue, steering.led, observed)).units
    reactive = _baseline(venue, observed, steering, sum(steering.reactive.queues))
    after = replace(
        steering,
        led=set_units(venue.pool, steering.led, led, observed.at_s),
        reactive=set_units(venue.pool, steering.reactive, reactive, observed.at_s),
    )
    return _leashed(venue, observed, after)


def _baseline(venue: Venue, observed: Observed, steering: Steering, queued_orders: float) -> int:
    """Units of the reactive rule, and no less than those of the insurance where nobody would announce a surge."""
    units = reactive_units(venue, reactive_demand(steering.tide, observed), queued_orders)
    if not (steering.record.blind and steering.rules.insured):
        return units
    return max(units, venue.pool.units_for(steering.tide.usual_per_s * (1 + steering.rules.insured)))


def _leashed(venue: Venue, observed: Observed, steering: Steering) -> Steering:
    rules, pool = steering.rules, venue.pool
    baseline = _baseline(venue, observed, steering, observed.queued_orders)
    budget = max(budget_usd(steering.trust, rules) - _queues_at_risk_usd(venue, steering), 0.0)
    surge = 0.0 if rules.stress == 1 else max(rules.stress * steering.tide.usual_per_s, RISES * observed.demand_per_s)
    risk = missing_unit_usd(venue, surge, baseline)
    fewer = baseline if risk == 0 else min(int(budget / risk), baseline)
    least = min(baseline - fewer, _needed_now(venue, observed, steering))
    least = (
        baseline if steering.record.surprised else max(least, math.ceil(rules.least_times * baseline), pool.min_units)
    )
    most = min(baseline + _affordable(venue, budget), int(rules.most_times * max(baseline, 1)), pool.max_units)
    refusal = steering.record.refusal
    stage, weight = (steering.trust.stage, in_effect(steering.trust)) if refusal is None else ("reactive", 0.0)
    leash = Leash(stage, weight, baseline, min(least, baseline), max(most, baseline), refusal)
    return replace(steering, leash=leash)


def _needed_now(venue: Venue, observed: Observed, steering: Steering) -> int:
    """Units for the demand of this moment and a rise of it: those that the reactive rule holds beyond are for demand of before."""
    now = replace(observed, held_per_s=RISES * observed.demand_per_s)
    return _baseline(venue, now, steering, observed.queued_orders)


def _affordable(venue: Venue, budget_usd: float) -> int:
    """Units above the baseline whose cost until they are released fits the budget.

    They are held for a review and the cooldown, and longer where a review may release few.
    """
    pool, low, high = venue.pool, 0, venue.pool.max_units
    while low < high:
        units = (low + high + 1) // 2
        reviews = 1 if pool.max_change_units is None else math.ceil(units / pool.max_change_units)
        held_s = pool.cooldown_s + venue.review_s * (reviews + 1) / 2
        low, high = (units, high) if units * pool.cost_usd_per_unit_s * held_s <= budget_usd else (low, units - 1)
    return low


def _queues_at_risk_usd(venue: Venue, steering: Steering) -> float:
    rows = zip(venue.by_priority, steering.own.queues, steering.reactive.queues, strict=True)
    return sum(_worst_usd(tier) * max(own - other, 0.0) for tier, own, other in rows)


def _worst_usd(tier: Tier) -> float:
    """What an order loses that waits until its deadline and is never served."""
    return tier.reject_cost_usd + tier.delay_cost_usd_per_s * tier.deadline_s
