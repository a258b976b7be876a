"""What a scenario does to the world at set times: one kind of episode, whose effects are all optional."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Episode:
    """Effects that rise in a straight line, hold, and fade in a straight line; once, or again every so often.

    It begins `first_h` hours into the world (and every `every_h` after, if above 0), up to `jitter_h` later by chance. Sizes
    differ from time to time by a lognormal factor whose natural logarithm has the deviation `spread`, cut at two of them.
    """

    first_h: float
    every_h: float = 0.0
    jitter_h: float = 0.0
    rise_s: float = 10.0
    hold_s: float = 0.0
    fade_s: float = 60.0
    spread: float = 0.0
    # Effects at their height.
    move: float = 0.0  # of ln price of ETH, made during the rise
    rebound: float = 0.0  # share of it that comes back during the fade
    volatility: float = 0.0  # added to ln volatility
    fee: float = 0.0  # added to ln of the equilibrium base fee
    demand: float = 0.0  # added to ln of every tier's order rate
    cascade: float = 0.0  # forced orders, in calm rates, of the tiers that take part in liquidations
    # Nodes of `chain`: factors on capacity and latency, and the share of them (the first ones) that is down.
    chain: str = ""
    capacity: float = 1.0
    latency: float = 1.0
    down: float = 0.0
    # Feeds that fall silent, from `silent_after_s` after the beginning, for `silent_s`.
    silent: tuple[str, ...] = ()
    silent_after_s: float = 0.0
    silent_s: float = 0.0

    def __post_init__(self) -> None:
        lengths = ("first_h", "every_h", "jitter_h", "hold_s", "spread", "silent_after_s", "silent_s")
        for name in lengths:
            if not getattr(self, name) >= 0:
                raise ValueError(f"expected {name} of 0 or more, found {getattr(self, name)}")
        for name in ("rise_s", "fade_s", "capacity", "latency"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"expected a finite {name} above 0, found {getattr(self, name)}")
        for name in ("rebound", "down"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected a share {name} of 0 to 1, found {getattr(self, name)}")
        if self.every_h and self.jitter_h >= self.every_h:
            raise ValueError(f"expected jitter_h below every_h of {self.every_h}, found {self.jitter_h}")
