"""The data plane: every plan becomes the number that KEDA asks for.

Decided here: KEDA pulls, so a plan is applied once it can be asked for; how many replicas there are is Kubernetes' to tell.
"""

from pathlib import Path
from typing import Any

import grpc

from serving.dataplane import DataPlaneError
from serving.gateway import Report
from serving.keda.externalscaler_pb2_grpc import add_ExternalScalerServicer_to_server
from serving.keda.scaler import Scaler
from serving.keda.settings import Keda
from shaper.plan import Plan
from shaper.venue import Venue

GRACE_S = 0.2


class KedaPlane:
    """The external scaler of this sidecar."""

    name = "keda"

    def __init__(self, own: Keda, venue: Venue) -> None:
        self.own = own
        self.scaler = Scaler((venue.pool.name,))
        self.server: Any = None

    async def open(self) -> None:
        """Answer from now on. Raises DataPlaneError for an address or a certificate that cannot be used."""
        secured = None if self.own.certificate is None else credentials(self.own)
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        add_ExternalScalerServicer_to_server(self.scaler, server)
        try:
            if secured is None:
                server.add_insecure_port(self.own.bind)
            else:
                server.add_secure_port(self.own.bind, secured)
        except RuntimeError as error:
            await server.stop(None)
            raise DataPlaneError(
                f"dataplane.keda: expected a free address and sound certificates; found {self.own.bind} refused; "
                "choose another address or correct the files"
            ) from error
        await server.start()
        self.server = server

    async def apply(self, plan: Plan) -> None:
        """Answer with the capacity of a plan."""
        await self.scaler.set({setting.pool: setting.units for setting in plan.capacity})

    async def report(self) -> Report | None:
        """Nothing: KEDA does not tell."""
        return None

    async def close(self) -> None:
        """Answer no more; KEDA then goes by the fallback of its objects."""
        if self.server is not None:
            await self.server.stop(GRACE_S)


def credentials(own: Keda) -> grpc.ServerCredentials:
    """What is shown and asked for. Raises DataPlaneError for a file that cannot be read."""
    try:
        key, certificate = (Path(str(name)).read_bytes() for name in (own.key, own.certificate))
        authority = None if own.client_authority is None else Path(own.client_authority).read_bytes()
    except OSError as error:
        raise DataPlaneError(f"dataplane.keda: expected PEM files; found {error}; correct the path") from error
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=authority, require_client_auth=authority is not None
    )
