"""What became of each tier's orders, read from the metrics of the gateway in this process, where there is one.

Decided here: counts are those of the process's life; the 99th percentile is that of the last reviews, interpolated within
the buckets of a histogram as Prometheus does it (`histogram_quantile`).
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
from prometheus_client import CollectorRegistry

ORDERS, SECONDS = "shaper_gateway_orders_total", "shaper_gateway_order_duration_seconds"
ADMITTED = ("accepted", "declined", "unknown")  # reached an upstream, whatever it said
REFUSED = ("too_much", "unable")
TURNS = 20  # reviews that the percentile looks back
Buckets = dict[float, float]  # cumulative counts by upper edge


class Tally(msgspec.Struct, frozen=True):
    """Orders of a tier: waiting now, admitted and refused so far, and the 99th percentile of their seconds; None: not measured."""

    tier: str
    queued: float
    admitted: float | None = None
    refused: float | None = None
    p99_s: float | None = None


@dataclass
class Tallies:
    """Reads a registry; remembers the histograms of the last reviews."""

    registry: CollectorRegistry
    tiers: Sequence[str]
    turns: deque[dict[str, Buckets]] = field(default_factory=lambda: deque(maxlen=TURNS))

    def turn(self) -> None:
        """A review has passed."""
        self.turns.append(self.buckets())

    def read(self, queued: Mapping[str, float]) -> tuple[Tally, ...]:
        """The tallies now, in the venue's order."""
        counts = self.counts()
        now, before = self.buckets(), self.turns[0] if self.turns else {}
        return tuple(
            Tally(
                tier,
                queued.get(tier, 0.0),
                total(counts, tier, ADMITTED),
                total(counts, tier, REFUSED),
                quantile(0.99, difference(now.get(tier, {}), before.get(tier, {}))),
            )
            for tier in self.tiers
        )

    def counts(self) -> dict[tuple[str, str], float]:
        """Orders by tier and outcome; empty without a gateway."""
        return {
            (sample.labels["tier"], sample.labels["outcome"]): sample.value
            for metric in self.registry.restricted_registry([ORDERS]).collect()
            for sample in metric.samples
            if sample.name == ORDERS
        }

    def buckets(self) -> dict[str, Buckets]:
        """Cumulative counts by tier and upper edge; empty without a gateway."""
        found: dict[str, Buckets] = {}
        for metric in self.registry.restricted_registry([f"{SECONDS}_bucket"]).collect():
            for sample in metric.samples:
                if sample.name == f"{SECONDS}_bucket":
                    found.setdefault(sample.labels["tier"], {})[float(sample.labels["le"])] = sample.value
        return found


def total(counts: Mapping[tuple[str, str], float], tier: str, outcomes: Sequence[str]) -> float | None:
    """The sum of some outcomes; None when none of them is counted."""
    found = [counts[tier, outcome] for outcome in outcomes if (tier, outcome) in counts]
    return sum(found) if found else None


def difference(now: Buckets, before: Buckets) -> Buckets:
    """What was counted since."""
    return {edge: count - before.get(edge, 0.0) for edge, count in now.items()}


def quantile(level: float, buckets: Buckets) -> float | None:
    """A quantile of cumulative counts by upper edge; the last finite edge for what lies beyond it, None without any count."""
    edges = sorted(buckets.items())
    whole = edges[-1][1] if edges else 0.0
    if whole <= 0:
        return None
    rank = level * whole
    for (low, below), (edge, count) in pairwise([(0.0, 0.0), *edges]):
        if count >= rank and count > below:
            return low if math.isinf(edge) else low + (edge - low) * (rank - below) / (count - below)
    return None
