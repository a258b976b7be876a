"""Prepare the proxies that enforce plans: render, check and apply their configurations.

Decided here: which data planes there are; each has a package of its own, loaded only where it is named, so that the sidecar starts
quickly and extras need not be there.
"""

import argparse
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from data.errors import UsageError
from serving.dataplane import DataPlane
from serving.envoy import commands as envoy
from serving.haproxy import commands as haproxy
from serving.leases.settings import Leases
from serving.settings import Settings, check, read_settings

EPILOG = """example:
  shaper dataplane haproxy check --config serving/deploy/haproxy.toml
  shaper dataplane haproxy render --config serving/deploy/haproxy.toml --out var/haproxy
  shaper dataplane envoy render --config serving/deploy/envoy.toml --out var/envoy.json"""


def main(argv: list[str]) -> int:
    """Run one action on one data plane; returns 0. Raises DataError or UsageError."""
    parser = argparse.ArgumentParser(
        "shaper dataplane", description=__doc__.partition("\n")[0] if __doc__ else None, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    kinds = parser.add_subparsers(dest="kind", required=True)
    haproxy.add(kinds)
    envoy.add(kinds)
    options = parser.parse_args(argv)
    settings = read_settings(options.config)
    check(settings, str(options.config))
    planes = settings.dataplane
    if options.kind == "haproxy" and planes.haproxy is not None:
        return haproxy.run(planes.haproxy, settings.venue, options)
    if options.kind == "envoy" and planes.envoy is not None:
        return envoy.run(planes.envoy, settings.venue, options)
    raise UsageError(
        str(options.config),
        expected=f"a section [dataplane.{options.kind}]",
        found="none",
        remedy=f"add it, see serving/deploy/{options.kind}.toml",
    )


def planes_of(settings: Settings, registry: CollectorRegistry, now_s: Callable[[], float]) -> tuple[DataPlane, ...]:
    """The data planes that the settings name, with their metrics in a registry; `now_s` is the feed's clock."""
    own, planes = settings.dataplane, list[DataPlane]()
    if settings.gateway is not None:
        from serving.embedded.plane import EmbeddedGateway

        planes.append(EmbeddedGateway(settings.gateway, settings.venue, registry, settings.feed.demand_window_s))
    if own.haproxy is not None:
        from serving.haproxy.agent import Agent
        from serving.haproxy.plane import HAProxyPlane

        planes.append(leased(HAProxyPlane(own.haproxy, settings.venue), settings.leases, registry))
        if own.haproxy.agent_port is not None:
            planes.append(Agent(own.haproxy.agent_port, now_s))
    if own.envoy is not None:
        from serving.envoy.plane import EnvoyPlane

        planes.append(leased(EnvoyPlane(own.envoy, settings.venue, registry), settings.leases, registry))
    if own.keda is not None:
        from serving.keda.plane import KedaPlane

        planes.append(KedaPlane(own.keda, settings.venue))
    if own.webhook is not None:
        from serving.capacity.webhook import WebhookPlane

        planes.append(WebhookPlane(own.webhook))
    if own.processes is not None:
        from serving.capacity.processes import ProcessPlane
        from serving.haproxy.retiring import Front

        front = None if own.haproxy is None else Front(own.haproxy)
        planes.append(ProcessPlane(own.processes, settings.venue, front))
    if settings.chain is not None:
        from serving.chain.plane import ChainWatch

        planes.append(ChainWatch(settings.chain))
    return tuple(planes)


def leased(plane: DataPlane, own: Leases | None, registry: CollectorRegistry) -> DataPlane:
    """A proxy with this sidecar's share of the quotas, or with all of them where nothing is shared."""
    if own is None:
        return plane
    from serving.leases.plane import LeasedPlane

    return LeasedPlane(plane, own, registry)
