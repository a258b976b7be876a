"""The data plane: plans become pushes, reports become demand.

Decided here: one server answers both services; a plan counts as applied when every connected Envoy has taken it, and what was
taken is written down before that is said.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.rate_limit_quota.v3 import rlqs_pb2
from prometheus_client import CollectorRegistry

from serving.dataplane import DataPlaneError
from serving.envoy.discovery import Discovery
from serving.envoy.kept import ENDPOINTS, SWITCHES, Kept
from serving.envoy.metrics import EnvoyMetrics
from serving.envoy.quotas import Quotas
from serving.envoy.resources import assignment, quotas, switches
from serving.envoy.settings import Envoy
from serving.gateway import Report
from shaper.plan import Plan
from shaper.venue import Venue

OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second sidecar on the same address is an error, not a rival
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),  # Envoys ask every 5 s whether the sidecar is alive
    ("grpc.http2.max_ping_strikes", 0),
)
GRACE_S = 0.2


class EnvoyPlane:
    """All Envoys that ask this sidecar."""

    name = "envoy"

    def __init__(
        self,
        own: Envoy,
        venue: Venue,
        registry: CollectorRegistry | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.own = own
        self.venue = venue
        metrics = EnvoyMetrics.create(registry or CollectorRegistry())
        self.kept = Kept.read(Path(own.state))
        self.discovery = Discovery(self.kept, metrics, now_s)
        tiers = [tier.name for tier in venue.by_priority]
        first = min(tier.priority for tier in venue.tiers)
        urgent = [tier.name for tier in venue.tiers if tier.priority == first]
        self.quotas = Quotas(own, tiers, metrics, now_s, urgent)
        self.server: Any = None

    async def open(self) -> None:
        """Answer Envoys with what was last pushed, or with weights by capacity. Raises DataPlaneError."""
        if not self.knows_nodes():
            self.discovery.push(ENDPOINTS, [assignment(self.own, self.venue, {})])
        self.discovery.push(SWITCHES, [switches(self.own)])
        self.quotas.push(self.kept.quotas)
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((discovery_rpc(self.discovery), quota_rpc(self.quotas)))
        try:
            server.add_insecure_port(self.own.control)
        except RuntimeError as error:
            await server.stop(None)
            raise DataPlaneError(
                f"dataplane.envoy.control: expected a free address; found {self.own.control} taken; choose another"
            ) from error
        await server.start()
        self.server = server

    def knows_nodes(self) -> bool:
        """Whether the weights last pushed are of exactly the addresses that are configured now."""
        current = self.discovery.topics[ENDPOINTS].current
        every = [assignment(self.own, self.venue, {})]
        return current is not None and addresses(current.items) == addresses(every)

    async def apply(self, plan: Plan) -> None:
        """Push a plan and wait for the answers. Raises DataPlaneError for an Envoy that refuses or says nothing."""
        weights = {setting.node: setting.weight for setting in plan.weights}
        self.kept.quotas = quotas(plan)
        self.quotas.push(self.kept.quotas)
        self.discovery.push(ENDPOINTS, [assignment(self.own, self.venue, weights)])
        faults = await self.discovery.confirmed(self.own.confirm_s)
        try:
            self.kept.write()
        except OSError as error:
            faults.append(f"{self.own.state}: expected a file that may be written; found {error}; correct the path")
        if faults:
            raise DataPlaneError(f"envoy: {'; '.join(faults)}")

    async def report(self) -> Report | None:
        """Demand of all Envoys together; None while none reports."""
        demand = self.quotas.demand_per_s()
        return None if demand is None else Report(demand_per_s=demand)

    async def close(self) -> None:
        """Hang up; the Envoys go on with what they have."""
        if self.server is not None:
            await self.server.stop(GRACE_S)


def discovery_rpc(discovery: Discovery) -> grpc.GenericRpcHandler:
    """The one RPC of the discovery service that is answered; any other is UNIMPLEMENTED."""
    method = grpc.stream_stream_rpc_method_handler(
        discovery.stream,
        request_deserializer=discovery_pb2.DiscoveryRequest.FromString,
        response_serializer=discovery_pb2.DiscoveryResponse.SerializeToString,
    )
    service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
    return grpc.method_handlers_generic_handler(service, {"StreamAggregatedResources": method})


def quota_rpc(service: Quotas) -> grpc.GenericRpcHandler:
    """The RPC of the quota service."""
    method = grpc.stream_stream_rpc_method_handler(
        service.stream,
        request_deserializer=rlqs_pb2.RateLimitQuotaUsageReports.FromString,
        response_serializer=rlqs_pb2.RateLimitQuotaResponse.SerializeToString,
    )
    name = "envoy.service.rate_limit_quota.v3.RateLimitQuotaService"
    return grpc.method_handlers_generic_handler(name, {"StreamRateLimitQuotas": method})


def addresses(items: Any) -> set[tuple[str, int]]:
    """IP address and port of every endpoint."""
    sockets = (
        point.endpoint.address.socket_address
        for item in items
        for place in item.endpoints
        for point in place.lb_endpoints
    )
    return {(found.address, found.port_value) for found in sockets}
