"""Everything that a plan is made of as one value, and what an operator has pinned over it.

Decided here: what an operator may pin (the stage, a pool's units, a tier's or a node's share), what that does to the rest, and
which pins contradict the venue or each other. Equal inputs give equal plans, to the bit: a record of them is a record of why.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from shaper.forecast import Forecast
from shaper.observed import Observed
from shaper.plan import CapacitySetting, NodeSetting, Plan, TierSetting, plan
from shaper.tiers import PARTS, largest_remainder
from shaper.trust import Leash
from shaper.venue import Venue

Lever = Literal["stage", "capacity", "quota", "weight"]
STAGES = ("reactive", "static")  # an operator may take the lead from a forecast, not give it more than it has earned


class OverrideError(ValueError):
    """A pin that the venue does not have a place for."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Override:
    """What an operator pins until `until_s` (seconds since 1970), and why.

    `lever` and `name`: "stage" and one of `STAGES` (`value` is ignored); "capacity", the pool and its units; "quota", a tier and
    its share of the capacity, 0..1; "weight", a node and its share of the orders, 0..1 (0 drains it).
    """

    lever: Lever
    name: str
    until_s: float
    reason: str
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a plan is made of, beside the venue."""

    forecast: Forecast | None
    observed: Observed
    leash: Leash | None = None
    overrides: tuple[Override, ...] = ()


def decided(venue: Venue, inputs: Inputs) -> Plan:
    """The plan of some inputs; where an operator has pinned something it holds no longer than the pin."""
    forecast, observed, leash = inputs.forecast, inputs.observed, inputs.leash
    stage = next((pin for pin in inputs.overrides if pin.lever == "stage"), None)
    if stage is not None and stage.name == "reactive":
        forecast = leash = None
    elif stage is not None:
        leash = Leash("static", 0.0, *(observed.ordered_units,) * 3)
    made = plan(venue, forecast, observed, leash)
    if not inputs.overrides:
        return made
    made = replace(
        made,
        valid_until_s=min(made.valid_until_s, *(max(pin.until_s, observed.at_s) for pin in inputs.overrides)),
        reason=made.reason if stage is None else _by(stage),
        capacity=tuple(_capacity(venue, setting, inputs.overrides) for setting in made.capacity),
    )
    return replace(made, quotas=_quotas(made, inputs.overrides), weights=_weights(made.weights, inputs.overrides))


def check(venue: Venue, overrides: Sequence[Override]) -> None:
    """Raise OverrideError at the first pin that names nothing of the venue, is out of range, or leaves others no room."""
    names = {
        "stage": STAGES,
        "capacity": (venue.pool.name,),
        "quota": tuple(tier.name for tier in venue.tiers),
        "weight": tuple(node.name for node in venue.nodes),
    }
    for pin in overrides:
        if pin.name not in names[pin.lever]:
            raise OverrideError(f"{pin.lever}: expected one of {list(names[pin.lever])}, found {pin.name!r}")
        if not math.isfinite(pin.value) or not math.isfinite(pin.until_s):
            raise OverrideError(f"{pin.lever} {pin.name}: expected finite numbers, found {pin.value}, {pin.until_s}")
    for pin in (pin for pin in overrides if pin.lever == "capacity"):
        if pin.value != venue.pool.rounded(int(pin.value)):
            steps = f"{venue.pool.min_units} to {venue.pool.max_units} units in steps of {venue.pool.step_units}"
            raise OverrideError(f"capacity {pin.name}: expected {steps}, found {pin.value:g}")
    for lever in ("quota", "weight"):
        shares = [pin.value for pin in overrides if pin.lever == lever]
        full = len(shares) == len(names[lever]) > 0
        if min(shares, default=0) < 0 or sum(shares) > 1 + 1e-9 or (full and sum(shares) < 1 - 1e-9):
            raise OverrideError(f"{lever}: expected shares of 0 or more that leave the sum of all at 1, found {shares}")


def fitting(venue: Venue, overrides: tuple[Override, ...]) -> tuple[Override, ...]:
    """The pins that a venue has a place for: all of them, or none."""
    try:
        check(venue, overrides)
    except OverrideError:
        return ()
    return overrides


def _by(pin: Override) -> str:
    return f"pinned by the operator: {pin.reason}"


def _capacity(venue: Venue, setting: CapacitySetting, pins: tuple[Override, ...]) -> CapacitySetting:
    for pin in pins:
        if pin.lever == "capacity" and pin.name == setting.pool:
            units = int(pin.value)
            return CapacitySetting(setting.pool, units, units * venue.pool.unit_rate_per_s, _by(pin))
    return setting


def _quotas(made: Plan, pins: tuple[Override, ...]) -> tuple[TierSetting, ...]:
    pinned = {pin.name: pin for pin in pins if pin.lever == "quota"}
    if not pinned:
        return made.quotas
    whole = sum(setting.rate_per_s for setting in made.quotas)
    shares = _shared([(setting.tier, setting.share) for setting in made.quotas], pinned)
    return tuple(
        replace(
            setting,
            share=share,
            rate_per_s=whole * share,
            reason=_by(pinned[setting.tier]) if setting.tier in pinned else setting.reason,
        )
        for setting, share in zip(made.quotas, shares, strict=True)
    )


def _weights(weights: tuple[NodeSetting, ...], pins: tuple[Override, ...]) -> tuple[NodeSetting, ...]:
    pinned = {pin.name: pin for pin in pins if pin.lever == "weight"}
    if not pinned:
        return weights
    shares = _shared([(setting.node, setting.weight) for setting in weights], pinned)
    return tuple(
        replace(setting, weight=share, reason=_by(pinned[setting.node]) if setting.node in pinned else setting.reason)
        for setting, share in zip(weights, shares, strict=True)
    )


def _shared(planned: list[tuple[str, float]], pinned: dict[str, Override]) -> list[float]:
    """Shares with the pinned ones as they are and the others in their proportions, evenly where all of these had none."""
    left = max(1 - sum(pin.value for pin in pinned.values()), 0.0)
    others = sum(share for name, share in planned if name not in pinned)
    even = 1 / max(len(planned) - len(pinned), 1)
    exact = [
        pinned[name].value if name in pinned else left * (share / others if others > 0 else even)
        for name, share in planned
    ]
    return [part / PARTS for part in largest_remainder(exact, PARTS)]
