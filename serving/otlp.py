"""Spans as the JSON that an OpenTelemetry collector takes (OTLP 1.3, section JSON Protobuf Encoding).

Decided here: JSON and not Protobuf, because the modules that the Protobuf exporter needs and those of Envoy's APIs (`xds-protos`)
are the same files, and whichever is installed last breaks the other. Times are nanoseconds as text, identities hexadecimal.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import msgspec
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

LOG = logging.getLogger(__name__)
INTERNAL = 1  # SpanKind of work inside a process
STATUS = {"UNSET": 0, "OK": 1, "ERROR": 2}


class JsonExporter(SpanExporter):
    """Sends spans to a collector; those that it does not take within `timeout_s` are lost."""

    def __init__(self, endpoint: str, timeout_s: float) -> None:
        self.endpoint = endpoint
        self.client = httpx.Client(timeout=timeout_s)
        self.failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; the first failure after a success is said."""
        try:
            answer = self.client.post(
                self.endpoint, content=msgspec.json.encode(request(spans)), headers={"Content-Type": "application/json"}
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            if not self.failed:
                LOG.warning("traces cannot be sent to %s: %s", self.endpoint, error)
            self.failed = True
            return SpanExportResult.FAILURE
        self.failed = False
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Let go of the connection."""
        self.client.close()


def request(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """The body of a request with spans of one process."""
    scope = spans[0].instrumentation_scope
    told = {"name": scope.name, "version": scope.version} if scope else {}
    whole = [{"scope": told, "spans": [one(span) for span in spans]}]
    return {"resourceSpans": [{"resource": {"attributes": pairs(spans[0].resource.attributes)}, "scopeSpans": whole}]}


def one(span: ReadableSpan) -> dict[str, Any]:
    """A span that has ended."""
    context = span.get_span_context()
    made = {
        "traceId": f"{context.trace_id:032x}" if context else "",
        "spanId": f"{context.span_id:016x}" if context else "",
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": pairs(span.attributes or {}),
        "events": [
            {"timeUnixNano": str(event.timestamp), "name": event.name, "attributes": pairs(event.attributes or {})}
            for event in span.events
        ],
        "status": {"code": STATUS[span.status.status_code.name]},
    }
    return made if span.parent is None else {**made, "parentSpanId": f"{span.parent.span_id:016x}"}


def pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attributes, each value under the name of its type."""
    return [{"key": key, "value": value(found)} for key, found in attributes.items()]


def value(found: object) -> dict[str, Any]:
    """A value under the name of its type; integers are text, as Protobuf's JSON has them."""
    if isinstance(found, bool):
        return {"boolValue": found}
    if isinstance(found, int):
        return {"intValue": str(found)}
    return {"doubleValue": found} if isinstance(found, float) else {"stringValue": str(found)}
