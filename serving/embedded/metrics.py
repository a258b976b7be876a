"""What Prometheus reads of the embedded gateway.

Decided here: labels are the venue's tiers and nodes and a few outcomes, never what a client says, so that nobody can grow them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serving.metrics import NAMESPACE

SUBSYSTEM = "gateway"
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OUTCOMES = ("accepted", "declined", "too_much", "unable", "unknown", "invalid")
ATTEMPTS = ("answered", "failed", "unsent")


@dataclass(frozen=True)
class GatewayMetrics:
    """The gateway's metrics; counters that each order moves are kept by label, for finding them costs more than counting."""

    orders: dict[tuple[str, str], Counter]
    seconds: dict[str, Histogram]
    late: dict[str, Counter]
    attempts: dict[tuple[str, str], Counter]
    invalid: Counter
    retries: Counter
    hedges: Counter
    repeats: Counter
    waiting: Gauge
    in_flight: Gauge
    out: Gauge

    @classmethod
    def create(cls, registry: CollectorRegistry, tiers: Iterable[str], nodes: Iterable[str]) -> "GatewayMetrics":
        """Metrics in a registry, each label there from the start."""
        tiers, nodes = tuple(tiers), tuple(nodes)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace=NAMESPACE, subsystem=SUBSYSTEM, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, namespace=NAMESPACE, subsystem=SUBSYSTEM, registry=registry)

        orders = counter("orders_total", "Orders and reads by tier and what became of them", "tier", "outcome")
        late = counter("late_total", "Answers after their tier's deadline", "tier")
        attempts = counter("attempts_total", "Requests to upstreams by node and what became of them", "node", "outcome")
        seconds = Histogram(
            "order_duration_seconds", "From arrival to an upstream's answer", ("tier",),
            namespace=NAMESPACE, subsystem=SUBSYSTEM, registry=registry, buckets=LATENCY_BUCKETS,
        )  # fmt: skip
        return cls(
            orders={(tier, outcome): orders.labels(tier, outcome) for tier in tiers for outcome in OUTCOMES},
            seconds={tier: seconds.labels(tier) for tier in tiers},
            late={tier: late.labels(tier) for tier in tiers},
            attempts={(node, outcome): attempts.labels(node, outcome) for node in nodes for outcome in ATTEMPTS},
            invalid=counter("invalid_total", "Requests without a known key, or that cannot be understood"),
            retries=counter("retries_total", "Attempts after a first one that failed"),
            hedges=counter("hedged_reads_total", "Reads that a second upstream was asked for too"),
            repeats=counter(
                "repeats_total", "Orders sent to the gateway again, and answered without being sent on again"
            ),
            waiting=gauge("waiting_orders", "Orders that wait at the gate", "tier"),
            in_flight=gauge("in_flight_requests", "Requests under way at an upstream", "node"),
            out=gauge("node_out", "1 while nothing new is sent to a node: its circuit is open", "node"),
        )

    def watch(self, tier: str, waiting: Callable[[], float]) -> None:
        """Ask for a tier's queue whenever the metrics are read."""
        self.waiting.labels(tier).set_function(waiting)

    def watch_node(self, node: str, in_flight: Callable[[], float], out: Callable[[], float]) -> None:
        """Ask for a node's load and circuit whenever the metrics are read."""
        self.in_flight.labels(node).set_function(in_flight)
        self.out.labels(node).set_function(out)
