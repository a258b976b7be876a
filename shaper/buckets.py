"""Token buckets in a hierarchy: a venue's capacity, and each tier's guaranteed part of it, fed by the plan's quotas.

Decided here: a tier within its guarantee is served whatever the others do; beyond it, it borrows what they leave (hierarchical
token bucket, Devera 2002). Tokens are work; time is an argument and may stand still, never run back.
"""

from collections.abc import Mapping


class Bucket:
    """Tokens that grow at `rate_per_s` up to `burst_s` seconds of it.

    They may be overdrawn, so that large orders pass now and the next ones wait longer.
    """

    __slots__ = ("at_s", "burst_s", "rate_per_s", "tokens")

    def __init__(self, rate_per_s: float, burst_s: float, at_s: float) -> None:
        self.rate_per_s, self.burst_s, self.at_s = rate_per_s, burst_s, at_s
        self.tokens = rate_per_s * burst_s

    def ready(self, at_s: float) -> bool:
        """Whether there are tokens at a time."""
        if at_s > self.at_s:
            self.tokens = min(self.tokens + (at_s - self.at_s) * self.rate_per_s, self.rate_per_s * self.burst_s)
            self.at_s = at_s
        return self.tokens > 0

    def spend(self, work: float) -> None:
        """Take tokens, below zero if need be, but never further than a burst."""
        self.tokens = max(self.tokens - work, -self.rate_per_s * self.burst_s)

    def feed(self, rate_per_s: float, at_s: float) -> None:
        """Change the rate from a time on."""
        self.ready(at_s)
        self.rate_per_s, self.tokens = rate_per_s, min(self.tokens, rate_per_s * self.burst_s)


class Hierarchy:
    """A bucket for all tiers together, and one for each."""

    def __init__(self, rates_per_s: Mapping[str, float], burst_s: float, at_s: float) -> None:
        self.root = Bucket(sum(rates_per_s.values()), burst_s, at_s)
        self.tiers = {tier: Bucket(rate, burst_s, at_s) for tier, rate in rates_per_s.items()}

    def feed(self, rates_per_s: Mapping[str, float], at_s: float) -> None:
        """Take the quotas of a new plan; a tier it leaves out has no guarantee."""
        self.root.feed(sum(rates_per_s.values()), at_s)
        for tier, bucket in self.tiers.items():
            bucket.feed(rates_per_s.get(tier, 0.0), at_s)

    def may(self, tier: str, borrow: bool, at_s: float) -> bool:
        """Whether a tier may be served now: within its guarantee, or by borrowing what all together have left."""
        return self.root.ready(at_s) if borrow else self.tiers[tier].ready(at_s)

    def spend(self, tier: str, work: float) -> None:
        """Charge work to a tier and to all together."""
        self.tiers[tier].spend(work)
        self.root.spend(work)
