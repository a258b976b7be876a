"""What the gateway measures when a plan is asked for."""

import math
from dataclasses import dataclass

from shaper.fees import ChainState
from shaper.levers import Setting
from shaper.liquidation import Position


class ObservedError(ValueError):
    """A measurement that cannot be: a count below 0, or a number that is not finite."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Observed:
    """The state of the venue at `at_s` (seconds since 1970). Raises ObservedError, naming the first impossible number.

    `demand_per_s` is the rate of orders over the last measured seconds, centred `demand_age_s` before `at_s`;
    `queued` holds (tier, orders waiting), tiers left out have none; `ready_units` serve now, `ordered_units` counts them
    and those on their way. `pending` says when the latter arrive, as (time, units); units it leaves out are taken to
    arrive half a delay from now. `since_order_s` is the time since units were last ordered (None: long ago).
    `held_per_s` is the demand that the reactive rule goes by, smoothed and held as it likes (None: `demand_per_s`).
    `settings` says what the other levers are set to; those left out are taken to be at their least.
    `positions` may be liquidated: what is expected of them is added to the demand of the first tier.
    `chain` is the state of the chain that fees are bid on.
    """

    at_s: float
    demand_per_s: float
    queued: tuple[tuple[str, float], ...] = ()
    ready_units: int = 0
    ordered_units: int = 0
    pending: tuple[tuple[float, int], ...] = ()
    since_order_s: float | None = None
    demand_age_s: float = 0.0
    held_per_s: float | None = None
    settings: tuple[Setting, ...] = ()
    positions: tuple[Position, ...] = ()
    chain: ChainState | None = None

    def __post_init__(self) -> None:
        """Check every number, in the order of the fields."""
        faults = (
            (math.isfinite(self.at_s), "a finite at_s", self.at_s),
            (
                math.isfinite(self.demand_per_s) and self.demand_per_s >= 0,
                "demand_per_s of 0 or more",
                self.demand_per_s,
            ),
            (all(math.isfinite(n) and n >= 0 for _, n in self.queued), "queues of 0 or more orders", self.queued),
            (
                0 <= self.ready_units <= self.ordered_units,
                "0 <= ready_units <= ordered_units",
                (self.ready_units, self.ordered_units),
            ),
            (all(math.isfinite(at) and units > 0 for at, units in self.pending), "pending units above 0", self.pending),
            (
                math.isfinite(self.demand_age_s) and self.demand_age_s >= 0,
                "demand_age_s of 0 or more",
                self.demand_age_s,
            ),
        )
        for holds, expected, found in faults:
            if not holds:
                raise ObservedError(f"expected {expected}, found {found}")

    @property
    def reactive_per_s(self) -> float:
        """The demand that the reactive rule goes by."""
        return self.demand_per_s if self.held_per_s is None else self.held_per_s

    @property
    def queued_orders(self) -> float:
        """Orders waiting in all tiers."""
        return sum(orders for _, orders in self.queued)

    def ready_after(self, delay_s: float, lead_s: float) -> int:
        """Units that serve `lead_s` from now if nothing more is ordered, with a pool whose delay is `delay_s`."""
        landed = sum(units for at, units in self.pending if at <= self.at_s + lead_s)
        unknown = max(self.ordered_units - self.ready_units - sum(units for _, units in self.pending), 0)
        return min(self.ready_units + landed + (unknown if lead_s >= delay_s / 2 else 0), self.ordered_units)
