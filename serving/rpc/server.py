"""The gRPC server beside the HTTP one, on the same event loop.

Decided here: the same tokens, roles and certificates as over HTTP; calls beyond `max_connections` at once are refused.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc

from data.errors import DataError
from serving.desk import Desk
from serving.oip import open_inference_pb2_grpc
from serving.oip.endpoint import InferenceEndpoint
from serving.oip.grpc_service import InferenceService
from serving.rpc import shaper_pb2_grpc
from serving.rpc.decoding import decoding
from serving.rpc.health import Health
from serving.rpc.service import Service
from serving.security import Access, Role, Security, allows

LOG = logging.getLogger(__name__)
GRACE_S = 2.0
MOST_BYTES = 16 * 2**20
ROLES: dict[str, Role] = {
    "Observe": "observe",
    "ObserveStream": "observe",
    "Report": "observe",
    "PutPin": "operate",
    "DeletePins": "operate",
    "SwapModel": "operate",
}  # all others read
PUBLIC = (
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
)
BEARER = "bearer "


class Asks(grpc.aio.ServerInterceptor):
    """Asks each caller who it is, as the guard of the HTTP paths does."""

    def __init__(self, access: Access) -> None:
        self.access = access

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Go on, or answer with the refusal instead."""
        refusal = self.refusal(details.method, dict(details.invocation_metadata))
        if refusal is None:
            return decoding(await continuation(details))

        async def refuse(_: Any, context: Any) -> None:
            await context.abort(*refusal)

        return grpc.unary_unary_rpc_method_handler(refuse)

    def refusal(self, method: str, told: dict[str, Any]) -> tuple[grpc.StatusCode, str] | None:
        """Status and reason for a call that may not pass; None when it may."""
        security = self.access.security
        if not security.asks or method in PUBLIC:
            return None
        given = str(told.get("authorization", ""))
        role: Role | None = security.client_role if security.client_ca and not given else None
        if given.lower().startswith(BEARER):
            role = self.access.keys.role(given[len(BEARER) :].strip().encode())
        if role is None:
            return (
                grpc.StatusCode.UNAUTHENTICATED,
                "expected a known token; found none; send authorization: Bearer TOKEN",
            )
        asked = ROLES.get(method.rpartition("/")[2], "read")
        if not allows(role, asked):
            return (
                grpc.StatusCode.PERMISSION_DENIED,
                f"expected the role {asked}; found {role}; use a token of that role",
            )
        return None


@asynccontextmanager
async def answering(
    desk: Desk, host: str, port: int, access: Access, inference: InferenceEndpoint
) -> AsyncIterator[int]:
    """Answer on a port while the context is open; gives the port. Raises DataError when the address is taken."""
    server = grpc.aio.server(
        interceptors=[Asks(access)],
        maximum_concurrent_rpcs=access.security.max_connections,
        options=[("grpc.max_receive_message_length", MOST_BYTES), ("grpc.so_reuseport", 0)],
    )
    shaper_pb2_grpc.add_ShaperServicer_to_server(Service(desk), server)  # type: ignore[no-untyped-call]
    open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(  # type: ignore[no-untyped-call]
        InferenceService(inference), server
    )
    health_pb2_grpc.add_HealthServicer_to_server(Health(desk), server)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = listen(server, place, access.security)
    except RuntimeError as error:
        raise DataError(
            "grpc.port", expected=f"a free port on {host}", found=str(port), remedy="choose another"
        ) from error
    await server.start()
    LOG.info("gRPC on port %d", bound)
    try:
        yield bound
    finally:
        await asyncio.shield(server.stop(GRACE_S))


def listen(server: Any, place: str, security: Security) -> int:
    """Bind a server, over TLS where there is a certificate; returns the port."""
    if security.certificate is None or security.key is None:
        return int(server.add_insecure_port(place))
    pair = Path(security.key).read_bytes(), Path(security.certificate).read_bytes()
    authority = None if security.client_ca is None else Path(security.client_ca).read_bytes()
    credentials = grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)
    return int(server.add_secure_port(place, credentials))
