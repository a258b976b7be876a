"""The configuration that an Envoy starts with: listener, routes, quota filter, and where to ask for the rest.

Decided here: what does not change while the venue is the same is static, so that an Envoy that starts while the sidecar is away
still listens. Nothing is retried, because orders are not safe to send twice. Each message is checked field by field against
Envoy's own definitions while it is rendered.
"""

import json
from collections.abc import Mapping
from typing import Any

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.clusters.aggregate.v3 import cluster_pb2
from envoy.extensions.filters.http.rate_limit_quota.v3 import rate_limit_quota_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.matcher.v3 import http_inputs_pb2
from google.protobuf import json_format

from serving.envoy.quotas import DOMAIN, REPORT_S, TIER_KEY
from serving.envoy.resources import CLUSTER, ENFORCE_KEY, REFUSE_KEY, RUNTIME, address, assignment, strategy
from serving.envoy.settings import Envoy
from shaper.venue import Tier, Venue

CONTROL = "shaper"
ADS = {"resource_api_version": "V3", "ads": {}, "initial_fetch_timeout": "2s"}
ORDERS, SPARE = "orders", "spare"
FOREVER = "315360000s"
RETRY_AFTER = {"header": {"key": "retry-after", "value": "1"}}
Values = dict[str, Any]


def render(own: Envoy, venue: Venue, node: str) -> str:
    """The bootstrap of one Envoy, JSON; `node` is the name that it gives to the sidecar."""
    values = {
        "node": {"id": node, "cluster": "shaper"},
        "admin": {"address": plain(address(own.admin))},
        "layered_runtime": {
            "layers": [
                {"name": RUNTIME, "rtds_layer": {"name": RUNTIME, "rtds_config": ADS}},
                {"name": "admin", "admin_layer": {}},
            ]
        },
        "dynamic_resources": {"ads_config": {"api_type": "GRPC", "transport_api_version": "V3", **service()}},
        "static_resources": {"listeners": [listener(own, venue)], "clusters": clusters(own, venue)},
    }
    message = json_format.ParseDict(values, bootstrap_pb2.Bootstrap())
    return json.dumps(plain(message), indent=2) + "\n"


def service() -> Values:
    """How the control plane is asked: again within two seconds when it is away."""
    back_off = {"base_interval": "0.25s", "max_interval": "2s"}
    asked = {"cluster_name": CONTROL, "retry_policy": {"retry_back_off": back_off}}
    return {"grpc_services": [{"envoy_grpc": asked}]}


def listener(own: Envoy, venue: Venue) -> Values:
    """Where orders come in."""
    manager = http_connection_manager_pb2.HttpConnectionManager(stat_prefix="orders")
    json_format.ParseDict(
        {
            "route_config": {
                "name": "orders",
                "virtual_hosts": [{"name": "orders", "domains": ["*"], "routes": routes(own, venue)}],
            },
            "http_filters": [
                {"name": "quotas", "typed_config": packed(quota_filter(own, venue))},
                {"name": "router", "typed_config": packed(router_pb2.Router())},
            ],
        },
        manager,
    )
    return {
        "name": "orders",
        "address": plain(address(own.bind)),
        "filter_chains": [{"filters": [{"name": "orders", "typed_config": packed(manager)}]}],
    }


def routes(own: Envoy, venue: Venue) -> list[Values]:
    """A switch for each tier that refuses it whole, then the ways to the nodes: under quotas, unless the runtime says no quotas."""
    fraction = {"default_value": {"numerator": 100}, "runtime_key": ENFORCE_KEY}
    off = {"quotas": packed(route_components_pb2.FilterConfig(disabled=True))}
    return [
        *(refusal(own, tier) for tier in venue.by_priority),
        *({**way, "match": {**way["match"], "runtime_fraction": fraction}} for way in ways(own, venue)),
        *({**way, "typed_per_filter_config": off} for way in ways(own, venue)),
    ]


def ways(own: Envoy, venue: Venue) -> list[Values]:
    """The ways to the nodes, that of the first class on circuits of its own."""
    first = min(tier.priority for tier in venue.tiers)
    to_nodes = {"cluster": ORDERS, "timeout": f"{own.timeout_s}s"}
    high = [tier for tier in venue.by_priority if tier.priority == first]
    return [
        *({"match": matching(own, tier), "route": {**to_nodes, "priority": "HIGH"}} for tier in high),
        {"match": {"prefix": "/"}, "route": to_nodes},
    ]


def matching(own: Envoy, tier: Tier) -> Values:
    """The match of a tier's orders."""
    return {"prefix": "/", "headers": [{"name": own.tier_header, "string_match": {"exact": tier.name}}]}


def refusal(own: Envoy, tier: Tier) -> Values:
    """The route that refuses a share of a tier's orders, none unless the runtime says so."""
    fraction = {"default_value": {"numerator": 0}, "runtime_key": f"{REFUSE_KEY}.{tier.name}"}
    return {
        "match": {**matching(own, tier), "runtime_fraction": fraction},
        "direct_response": {"status": 503},
        "response_headers_to_add": [RETRY_AFTER],
    }


def quota_filter(own: Envoy, venue: Venue) -> Any:
    """The filter that sorts orders into buckets by tier and asks the sidecar for their rates."""
    *others, last = venue.by_priority
    header = http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=own.tier_header)
    tree = {
        "input": {"name": "tier", "typed_config": packed(header)},
        "exact_match_map": {"map": {tier.name: bucket(venue, tier) for tier in others}},
    }
    return json_format.ParseDict(
        {
            "domain": DOMAIN,
            "rlqs_server": {"envoy_grpc": {"cluster_name": CONTROL}},
            "bucket_matchers": {**({"matcher_tree": tree} if others else {}), "on_no_match": bucket(venue, last)},
        },
        rate_limit_quota_pb2.RateLimitQuotaFilterConfig(),
    )


def bucket(venue: Venue, tier: Tier) -> Values:
    """A tier's bucket. Before its first quota it admits all: the filter has no limiter of its own then."""
    least = venue.pool.min_units * venue.pool.unit_rate_per_s * tier.floor_share
    made = rate_limit_quota_pb2.RateLimitQuotaBucketSettings()
    json_format.ParseDict(
        {
            "bucket_id_builder": {"bucket_id_builder": {TIER_KEY: {"string_value": tier.name}}},
            "reporting_interval": f"{REPORT_S:.0f}s",
            "no_assignment_behavior": {"fallback_rate_limit": {"blanket_rule": "ALLOW_ALL"}},
            "expired_assignment_behavior": {
                "expired_assignment_behavior_timeout": FOREVER,
                "fallback_rate_limit": plain(strategy(least, 1.0)),
            },
            "deny_response_settings": {"http_status": {"code": 429}, "response_headers_to_add": [RETRY_AFTER]},
        },
        made,
    )
    return {"action": {"name": "bucket", "typed_config": packed(made)}}


def clusters(own: Envoy, venue: Venue) -> list[Values]:
    """The sidecar, the nodes as it weighs them, the same by capacity for an Envoy that starts without it, and the way to both."""
    ways = cluster_pb2.ClusterConfig(clusters=[CLUSTER, SPARE])
    common = node_cluster(own)
    return [
        control(own),
        {**common, "name": CLUSTER, "type": "EDS", "eds_cluster_config": {"eds_config": ADS}},
        {**common, "name": SPARE, "type": "STATIC", "load_assignment": plain(assignment(own, venue, {}, SPARE))},
        {
            "name": ORDERS,
            "connect_timeout": common["connect_timeout"],
            "lb_policy": "CLUSTER_PROVIDED",
            "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": packed(ways)},
        },
    ]


def control(own: Envoy) -> Values:
    """The sidecar, asked over HTTP/2 and taken for gone when it does not answer for seven seconds."""
    http2 = {"connection_keepalive": {"interval": "5s", "timeout": "2s"}}
    options = http_protocol_options_pb2.HttpProtocolOptions()
    json_format.ParseDict({"explicit_http_config": {"http2_protocol_options": http2}}, options)
    place = {"lb_endpoints": [{"endpoint": {"address": plain(address(own.control))}}]}
    return {
        "name": CONTROL,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packed(options),
        },
        "load_assignment": {"cluster_name": CONTROL, "endpoints": [place]},
    }


def node_cluster(own: Envoy) -> Values:
    """What clusters of nodes have in common; a node that cannot be reached is left out for a while by Envoy itself.

    ROUND_ROBIN, for LEAST_REQUEST does not keep to weights.
    """
    limits = {"max_pending_requests": own.max_waiting, "max_requests": own.max_waiting, "max_retries": 0}
    return {
        "connect_timeout": "0.5s",
        "lb_policy": "ROUND_ROBIN",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "locality_weighted_lb_config": {}},
        "circuit_breakers": {
            "thresholds": [{"priority": "DEFAULT", **limits}, {"priority": "HIGH", **limits}],
        },
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "enforcing_local_origin_success_rate": 0,
            "enforcing_consecutive_5xx": 0,
            "enforcing_success_rate": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "base_ejection_time": "5s",
            "max_ejection_percent": 100,
        },
    }


def packed(message: Any) -> Values:
    """A message as the content of an Any."""
    return {"@type": f"type.googleapis.com/{message.DESCRIPTOR.full_name}", **plain(message)}


def plain(message: Any) -> Values:
    """A message as plain values, with the names of its fields."""
    told: Mapping[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return dict(told)
