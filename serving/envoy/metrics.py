"""What Prometheus reads of the Envoys: who is connected, what they took and refused, and what they were asked for.

Decided here: names, units and labels; Envoys are counted and never labelled, for their number has no bound.
"""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

NAMESPACE = "shaper_envoy"
CONFIRM_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


@dataclass(frozen=True)
class EnvoyMetrics:
    """`usage` is orders a second by tier and verdict, `quota` orders a second by tier, `confirm_seconds` from push to answer."""

    connected: Gauge
    pushes: Counter
    refusals: Counter
    confirm_seconds: Histogram
    usage: Gauge
    quota: Gauge

    @classmethod
    def create(cls, registry: CollectorRegistry) -> "EnvoyMetrics":
        """Metrics in a registry. Raises ValueError when they are in it already."""

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, namespace=NAMESPACE, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace=NAMESPACE, registry=registry)

        return cls(
            connected=gauge("connected", "Streams that are open, by service", "service"),
            pushes=counter("pushes_total", "Resources sent, by type", "type"),
            refusals=counter("refusals_total", "Resources that an Envoy refused, by type", "type"),
            confirm_seconds=Histogram(
                "confirm_seconds", "From a push to its answer", buckets=CONFIRM_BUCKETS,
                namespace=NAMESPACE, registry=registry,
            ),
            usage=gauge("usage_orders_per_second", "Orders that the Envoys reported", "tier", "verdict"),
            quota=gauge("quota_orders_per_second", "Quota that all Envoys share", "tier"),
        )  # fmt: skip
