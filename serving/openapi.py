"""The request body of `/v1/observations` in the OpenAPI document, made from the schemas of the canonical tables."""

from dataclasses import dataclass
from typing import Any, cast

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema

from serving.observations import observations_type


@dataclass
class ObservationsOperation(Operation):
    """An operation whose body is rows by canonical table; the rows' types are written out where they are used."""

    def __post_init__(self) -> None:
        """Describe the body, which the handler decodes itself."""
        body = cast("Schema", inlined())
        self.request_body = RequestBody({"application/json": OpenAPIMediaType(schema=body)}, required=True)


def inlined() -> dict[str, Any]:
    """JSON Schema of a request body, without references."""
    (body,), parts = msgspec.json.schema_components([observations_type()], ref_template="{name}")

    def expanded(node: Any) -> Any:
        if isinstance(node, list):
            return [expanded(part) for part in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return expanded(parts[node["$ref"]])
        return {key: expanded(value) for key, value in node.items() if value is not None}

    whole: dict[str, Any] = expanded(body)
    return whole
