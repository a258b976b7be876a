"""Traces: what a step did and how long each part took, for an OpenTelemetry collector.

Decided here: the sidecar knows only `Tracer`; OpenTelemetry is loaded where `[trace]` names a collector (extra `otel`). Spans are
sent in the background, and dropped while the collector is away: nothing waits for it.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from data.errors import UsageError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

Value = str | int | float | bool
SERVICE, DISTRIBUTION = "shaper", "derivatives-traffic-shaper"
SEND_S = 2  # how long a collector may take, the last time when the process ends


@dataclass(frozen=True)
class Trace:
    """Where spans are sent: the OTLP/HTTP address of a collector, such as http://127.0.0.1:4318/v1/traces (None: nowhere)."""

    endpoint: str | None = None


class Span(Protocol):
    """Something under way."""

    def tell(self, told: Mapping[str, Value]) -> None:
        """Say what it came to."""
        ...


class Tracer(Protocol):
    """Tells what is under way."""

    def span(self, name: str) -> AbstractContextManager[Span]:
        """A span for as long as the context is open, inside those that are open around it."""
        ...

    def close(self) -> None:
        """Send what has not been sent."""
        ...


class Untraced:
    """Tells nobody."""

    @contextmanager
    def span(self, name: str) -> Iterator[Span]:
        """A span that goes nowhere."""
        del name
        yield self

    def tell(self, told: Mapping[str, Value]) -> None:
        """Forget it."""

    def close(self) -> None:
        """Nothing was kept."""


class Collected:
    """Spans to an OpenTelemetry collector."""

    def __init__(self, provider: "TracerProvider") -> None:
        self.provider = provider
        self.tracer = provider.get_tracer(SERVICE, version(DISTRIBUTION))

    @contextmanager
    def span(self, name: str) -> Iterator[Span]:
        """A span as the collector will see it; an exception that passes through is part of it."""
        with self.tracer.start_as_current_span(name) as span:

            class Open:
                def tell(self, told: Mapping[str, Value]) -> None:
                    span.set_attributes(dict(told))

            yield Open()

    def close(self) -> None:
        """Send what has not been sent, as long as that takes no longer than it may."""
        self.provider.shutdown()


def tracer(trace: Trace) -> Tracer:
    """The tracer of the settings. Raises UsageError when the extra is not installed."""
    if trace.endpoint is None:
        return Untraced()
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from serving.otlp import JsonExporter
    except ModuleNotFoundError as error:
        raise UsageError(
            "trace.endpoint",
            expected=f"the package {error.name!r}",
            found="it is not installed",
            remedy=f"pip install '{DISTRIBUTION}[otel]', or leave the endpoint away",
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(JsonExporter(trace.endpoint, SEND_S), schedule_delay_millis=1000))
    return Collected(provider)
