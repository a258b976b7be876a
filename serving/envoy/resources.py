"""What a plan says, in Envoy's own messages: weights of nodes, runtime switches, token buckets. Pure functions.

Decided here: a node that the plan leaves without orders is not forgotten but waits in the next priority, where Envoy turns to
when the others fail. Buckets are filled over one fixed interval, because Envoy compares only its rest below a second to tell
a new bucket from the one in force.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.service.runtime.v3 import rtds_pb2
from envoy.type.v3 import ratelimit_strategy_pb2, token_bucket_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import UInt32Value

from serving.envoy.settings import Envoy, split
from shaper.plan import Plan
from shaper.venue import Node, Venue

CLUSTER = "nodes"
RUNTIME = "shaper"
ENFORCE_KEY = "shaper.enforce"
REFUSE_KEY = "shaper.refuse"
FILL_S = 10
PARTS = 10_000
LAST_TOKENS = 2**32 - 1


def assignment(own: Envoy, venue: Venue, weights: Mapping[str, float], cluster: str = CLUSTER) -> Any:
    """ClusterLoadAssignment of the nodes that are up: a locality for each region and operator of a priority."""
    places: dict[tuple[int, str, str], list[tuple[Node, int]]] = defaultdict(list)
    parts = {node.name: round(weights.get(node.name, 0.0) * PARTS) for node in venue.nodes if node.up}
    some = any(parts.values())
    for node in (node for node in venue.nodes if node.up):
        spare = some and not parts[node.name]
        share = parts[node.name] or max(round(node.capacity_per_s), 1)
        places[int(spare), node.region, node.operator].append((node, share))
    return endpoint_pb2.ClusterLoadAssignment(
        cluster_name=cluster,
        endpoints=[locality(own, place, members) for place, members in sorted(places.items())],
    )


def locality(own: Envoy, place: tuple[int, str, str], members: Iterable[tuple[Node, int]]) -> Any:
    """The nodes of one region and operator, weighted among each other, their sum against other localities."""
    priority, region, operator = place
    addresses = {point.node: point.address for point in own.endpoints}
    found = list(members)
    return endpoint_components_pb2.LocalityLbEndpoints(
        locality=base_pb2.Locality(region=region, zone=operator),
        priority=priority,
        load_balancing_weight=UInt32Value(value=sum(share for _, share in found)),
        lb_endpoints=[
            endpoint_components_pb2.LbEndpoint(
                endpoint=endpoint_components_pb2.Endpoint(address=address(addresses[node.name])),
                load_balancing_weight=UInt32Value(value=share),
            )
            for node, share in found
        ],
    )


def address(text: str) -> Any:
    """An address of Envoy's. Raises ValueError for a text that is none."""
    parts = split(text)
    if parts is None:
        raise ValueError(f"expected IP:port, found {text!r}")
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=parts[0], port_value=parts[1]))


def switches(own: Envoy) -> Any:
    """The runtime layer, in percent of orders: how many are under quotas, and how many of a tier are refused out of hand."""
    layer = Struct()
    layer.update({ENFORCE_KEY: 100, **{f"{REFUSE_KEY}.{tier}": 100 for tier in sorted(own.refused)}})
    return rtds_pb2.Runtime(name=RUNTIME, layer=layer)


def quotas(plan: Plan) -> dict[str, float]:
    """Orders per second by tier."""
    return {setting.tier: setting.rate_per_s for setting in plan.quotas}


def strategy(rate_per_s: float, burst_s: float) -> Any:
    """A token bucket of a rate, rounded down to a tenth of an order per second; none of it refuses everything."""
    tokens = min(math.floor(rate_per_s * FILL_S + 1e-9), LAST_TOKENS)
    if tokens <= 0:
        return ratelimit_strategy_pb2.RateLimitStrategy(blanket_rule="DENY_ALL")
    return ratelimit_strategy_pb2.RateLimitStrategy(
        token_bucket=token_bucket_pb2.TokenBucket(
            max_tokens=min(max(math.ceil(rate_per_s * burst_s), 1), LAST_TOKENS),
            tokens_per_fill=UInt32Value(value=tokens),
            fill_interval=Duration(seconds=FILL_S),
        )
    )
