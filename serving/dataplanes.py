"""Prepare the proxies that enforce plans: render and check their configurations.

Decided here: which data planes there are; each has a package of its own, which is loaded only where it is used.
"""

import argparse
from typing import TypeVar

from prometheus_client import CollectorRegistry

from data.errors import UsageError
from serving.capacity.processes import ProcessPlane
from serving.capacity.webhook import WebhookPlane
from serving.dataplane import DataPlane
from serving.leases.settings import Leases
from serving.settings import Settings, check, read_settings

T = TypeVar("T")
EPILOG = """example:
  shaper dataplane envoy render --config serving/deploy/envoy.toml --out var/envoy.json
  envoy -c var/envoy.json"""


def main(argv: list[str]) -> int:
    """Run one action on one data plane; returns 0. Raises DataError or UsageError."""
    from serving.envoy import commands as envoy

    parser = argparse.ArgumentParser(
        "shaper dataplane", description=__doc__.partition("\n")[0] if __doc__ else None, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    kinds = parser.add_subparsers(dest="kind", required=True)
    envoy.add(kinds).set_defaults(
        run=lambda settings, options: envoy.run(found(settings.dataplane.envoy, "envoy"), settings.venue, options)
    )
    options = parser.parse_args(argv)
    settings = read_settings(options.config)
    check(settings, str(options.config))
    return int(options.run(settings, options))


def found(section: T | None, name: str) -> T:
    """The section of a data plane. Raises UsageError when there is none."""
    if section is None:
        raise UsageError(
            f"dataplane.{name}",
            expected="that section in the TOML file",
            found="none",
            remedy=f"add it, see serving/{name.upper()}.md",
        )
    return section


def planes_of(settings: Settings, registry: CollectorRegistry) -> tuple[DataPlane, ...]:
    """The data planes that the settings name, with their metrics in a registry."""
    own, planes = settings.dataplane, list[DataPlane]()
    if own.envoy is not None:
        from serving.envoy.plane import EnvoyPlane

        planes.append(leased(EnvoyPlane(own.envoy, settings.venue, registry), settings.leases, registry))
    if own.keda is not None:
        from serving.keda.plane import KedaPlane

        planes.append(KedaPlane(own.keda, settings.venue))
    if own.webhook is not None:
        planes.append(WebhookPlane(own.webhook))
    if own.processes is not None:
        planes.append(ProcessPlane(own.processes, settings.venue))
    return tuple(planes)


def leased(plane: DataPlane, own: Leases | None, registry: CollectorRegistry) -> DataPlane:
    """A proxy with this sidecar's share of the quotas, or with all of them where nothing is shared."""
    if own is None:
        return plane
    from serving.leases.plane import LeasedPlane

    return LeasedPlane(plane, own, registry)
