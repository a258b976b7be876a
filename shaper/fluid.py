"""How queues move when orders are a fluid: strict priority between tiers, and no queue outlives its deadline."""

from shaper.forecast import Curve
from shaper.venue import Tier


def pass_span(
    tiers: tuple[Tier, ...], queues: Curve, rate_per_s: float, capacity_per_s: float, span_s: float
) -> tuple[Curve, Curve]:
    """Queues and orders lost after a span of constant demand and capacity, both by tier in the order of service.

    A tier offers its queue and its share of the rate; what is not served waits, but no more than came within its deadline.
    """
    if rate_per_s <= capacity_per_s and not any(queues):
        return queues, (0.0,) * len(queues)
    left, after, lost = capacity_per_s * span_s, [], []
    for tier, waiting in zip(tiers, queues, strict=True):
        offered = waiting + rate_per_s * tier.demand_share * span_s
        served = min(offered, left)
        left -= served
        after.append(min(offered - served, rate_per_s * tier.demand_share * tier.deadline_s))
        lost.append(offered - served - after[-1])
    return tuple(after), tuple(lost)
