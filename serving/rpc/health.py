"""The standard health service of gRPC.

Decided here: the process as a whole (no name) is live, `shaper.v1.Shaper` is ready.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.desk import Desk

SERVICE = "shaper.v1.Shaper"
LOOK_S = 1.0  # how often a watcher is told of a change


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """The standard health service: the process as a whole is live, `shaper.v1.Shaper` is ready."""

    def __init__(self, desk: Desk) -> None:
        self.sidecar = desk.sidecar

    def state(self, service: str) -> Any:
        """The state of a service."""
        if service not in ("", SERVICE):
            return health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        good = self.sidecar.board.readiness().ready if service else not self.sidecar.has_failed
        return health_pb2.HealthCheckResponse.SERVING if good else health_pb2.HealthCheckResponse.NOT_SERVING

    async def Check(self, asked: Any, context: Any) -> Any:  # noqa: N802
        """The state now."""
        state = self.state(asked.service)
        if state == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"expected {SERVICE} or nothing; found another")
        return health_pb2.HealthCheckResponse(status=state)

    async def Watch(self, asked: Any, _: Any) -> AsyncIterator[Any]:  # noqa: N802
        """The state, and again whenever it has changed."""
        last = None
        while True:
            state = self.state(asked.service)
            if state != last:
                last = state
                yield health_pb2.HealthCheckResponse(status=state)
            await asyncio.sleep(LOOK_S)
