"""What was last pushed, in a file: a sidecar that starts again goes on from it, so that Envoys lose nothing.

Decided here: the file is replaced whole; one that cannot be read is set aside and said, for an old plan is worth less than a
sidecar that starts.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.runtime.v3 import rtds_pb2
from google.protobuf import json_format

LOG = logging.getLogger(__name__)
KINDS = {
    f"type.googleapis.com/{kind.DESCRIPTOR.full_name}": kind
    for kind in (endpoint_pb2.ClusterLoadAssignment, rtds_pb2.Runtime)
}
ENDPOINTS, SWITCHES = KINDS


@dataclass
class Kept:
    """The newest version number, the resources by type that Envoys took, and the quotas (orders per second by tier)."""

    path: Path
    version: int = 0
    resources: dict[str, tuple[int, tuple[Any, ...]]] = field(default_factory=dict)
    quotas: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Kept":
        """The state of a file; an empty one when there is none, or none that can be read."""
        try:
            return cls.parsed(path, json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, json_format.ParseError) as error:
            LOG.warning("%s: expected what was last pushed to Envoy; found %s; it is begun anew", path, error)
            return cls(path)

    @classmethod
    def parsed(cls, path: Path, told: Mapping[str, Any]) -> "Kept":
        """The state that a file tells. Raises what its reading raises."""
        resources = {
            kind: (int(entry["version"]), tuple(json_format.ParseDict(item, KINDS[kind]()) for item in entry["items"]))
            for kind, entry in told["resources"].items()
        }
        return cls(path, int(told["version"]), resources, {name: float(rate) for name, rate in told["quotas"].items()})

    def write(self) -> None:
        """Replace the file. Raises OSError."""
        told = {
            "version": self.version,
            "resources": {kind: entry(*versioned) for kind, versioned in self.resources.items()},
            "quotas": self.quotas,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        waiting = self.path.with_name(f".{self.path.name}.new")
        waiting.write_text(json.dumps(told, indent=1), "utf-8")
        waiting.replace(self.path)


def entry(version: int, items: Sequence[Any]) -> dict[str, Any]:
    """One type of resources as plain values."""
    return {
        "version": version,
        "items": [json_format.MessageToDict(item, preserving_proto_field_name=True) for item in items],
    }
