"""`[grpc]`: whether and where the API answers over gRPC."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Grpc:
    """The port beside `server.port`, on the same host (None: no gRPC; 0 picks a free one, which the log names)."""

    port: int | None = None


def grpc_rules(grpc: Grpc, server_port: int) -> Iterator[tuple[bool, str, str, str]]:
    """Rules of `[grpc]`."""
    port = 0 if grpc.port is None else grpc.port
    yield 0 <= port <= 65535, "grpc.port from 0 to 65535", str(port), "choose another"
    yield port == 0 or port != server_port, "grpc.port other than server.port", str(port), "choose another"
