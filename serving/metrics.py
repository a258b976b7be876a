"""What Prometheus reads: names, units and labels.

Decided here: every metric the sidecar exports, all in one registry of the process's own (nothing is registered at import).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from serving.ladder import RUNGS, Outcome
from shaper.forecast import Forecast
from shaper.plan import Plan

NAMESPACE = "shaper"
WORK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
ANSWER_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
OUTCOMES: tuple[Outcome, ...] = ("issued", "blind", "late", "failed", "discarded")


@dataclass(frozen=True)
class Metrics:
    """The sidecar's metrics; times are seconds, rates orders a second."""

    registry: CollectorRegistry
    build: Gauge
    rows: Counter
    refused: Counter
    forecasts: Counter
    forecast_seconds: Histogram
    forecast_issued: Gauge
    spike: Gauge
    coverage: Gauge
    rung: Gauge
    trust: Gauge
    clock_jumps: Counter
    model_changes: Counter
    begun_anew: Counter
    plans: Counter
    plan_seconds: Histogram
    plan_valid_until: Gauge
    failures: Counter
    demand: Gauge
    capacity: Gauge
    tier_rate: Gauge
    tier_priority: Gauge
    node_weight: Gauge
    requests: Counter
    request_seconds: Histogram
    ready: Gauge
    plane_up: Gauge
    plane_failures: Counter

    @classmethod
    def create(cls) -> "Metrics":
        """Metrics in a fresh registry, beside those of the process."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace=NAMESPACE, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, namespace=NAMESPACE, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, namespace=NAMESPACE, registry=registry, buckets=buckets)

        made = cls(
            registry=registry,
            build=gauge("build_info", "Always 1; the labels say what runs", "version", "model", "contract"),
            rows=counter("observed_rows_total", "Rows taken in, by canonical table", "table"),
            refused=counter("observations_refused_total", "Requests to /v1/observations that were refused"),
            forecasts=counter("forecasts_total", "Ticks by what became of their forecast", "outcome"),
            forecast_seconds=histogram("forecast_duration_seconds", "From rows to a forecast", WORK_BUCKETS),
            forecast_issued=gauge("forecast_issued_timestamp_seconds", "Issue time of the newest forecast"),
            spike=gauge("spike_probability", "Chance of a spike by the last horizon", "target"),
            coverage=gauge("coverage_ratio", "Rolling share of truths inside the outermost band", "target"),
            rung=gauge(
                "forecast_rung", "Whose forecast plans stand on: " + ", ".join(f"{n} {r}" for n, r in enumerate(RUNGS))
            ),
            trust=gauge("trust_weight_ratio", "Weight that the forecast has earned against the reactive rule"),
            clock_jumps=counter("clock_jumps_total", "Times the wall clock jumped"),
            model_changes=counter("model_changes_total", "What became of models, by hot swap", "change"),
            begun_anew=counter("calibration_resets_total", "Times the online calibration began anew", "reason"),
            plans=counter("plans_total", "Plans by what led them", "stage"),
            plan_seconds=histogram("plan_duration_seconds", "From a forecast to a plan", WORK_BUCKETS),
            plan_valid_until=gauge("plan_valid_until_timestamp_seconds", "Until when the newest plan holds"),
            failures=counter("step_failures_total", "Steps that failed and left the last good plan in place"),
            demand=gauge("demand_orders_per_second", "Demand that the newest plan saw"),
            capacity=gauge("capacity_units", "Units that the newest plan orders", "pool"),
            tier_rate=gauge("tier_rate_orders_per_second", "Quota of the newest plan", "tier"),
            tier_priority=gauge("tier_priority", "Priority class of the newest plan, lower is served first", "tier"),
            node_weight=gauge("node_weight_ratio", "Share of orders the newest plan routes to a node", "node"),
            requests=counter("http_requests_total", "Requests by path and status", "path", "status"),
            request_seconds=histogram("http_request_duration_seconds", "Time to answer", ANSWER_BUCKETS),
            ready=gauge("ready", "1 while /readyz answers 200"),
            plane_up=gauge("data_plane_up", "1 while a data plane takes plans and its reports are believed", "plane"),
            plane_failures=counter("data_plane_failures_total", "Calls that failed or came too late", "plane", "call"),
        )
        for outcome in OUTCOMES:
            made.forecasts.labels(outcome)
        return made

    def watch_ready(self, ready: Callable[[], bool]) -> None:
        """Ask for readiness whenever the metrics are read."""
        self.ready.set_function(lambda: float(ready()))

    def asked(self, outcome: Outcome, forecast: Forecast | None, coverage: Mapping[str, float]) -> None:
        """Show what became of a tick, and how often earlier bands held."""
        self.forecasts.labels(outcome).inc()
        for target, share in coverage.items():
            self.coverage.labels(target).set(share)
        if forecast is None:
            return
        self.forecast_issued.set(forecast.issued_at_s)
        for target, chances in zip(forecast.targets, forecast.spike, strict=True):
            self.spike.labels(target).set(chances[-1])

    def show(self, plan: Plan) -> None:
        """Show the settings of a plan."""
        self.plans.labels(plan.stage).inc()
        self.plan_valid_until.set(plan.valid_until_s)
        for pool in plan.capacity:
            self.capacity.labels(pool.pool).set(pool.units)
        for tier in plan.quotas:
            self.tier_rate.labels(tier.tier).set(tier.rate_per_s)
            self.tier_priority.labels(tier.tier).set(tier.priority)
        for node in plan.weights:
            self.node_weight.labels(node.node).set(node.weight)
