"""Prepare the proxies that enforce plans: render, check and apply their configurations.

Decided here: which data planes there are; each has a package of its own.
"""

import argparse
from collections.abc import Callable

from serving.chain.plane import ChainWatch
from serving.dataplane import DataPlane
from serving.haproxy import commands as haproxy
from serving.haproxy.agent import Agent
from serving.haproxy.plane import HAProxyPlane
from serving.settings import Settings, check, read_settings

EPILOG = """example:
  shaper dataplane haproxy render --config serving/deploy/haproxy.toml --out var/haproxy
  shaper dataplane haproxy check --config serving/deploy/haproxy.toml"""


def main(argv: list[str]) -> int:
    """Run one action on one data plane; returns 0. Raises DataError or UsageError."""
    parser = argparse.ArgumentParser(
        "shaper dataplane", description=__doc__.partition("\n")[0] if __doc__ else None, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    kinds = parser.add_subparsers(dest="kind", required=True)
    haproxy.add(kinds)
    options = parser.parse_args(argv)
    settings = read_settings(options.config)
    check(settings, str(options.config))
    return haproxy.run(settings.dataplane.haproxy, settings.venue, options)


def planes_of(settings: Settings, now_s: Callable[[], float]) -> tuple[DataPlane, ...]:
    """The data planes that the settings name; `now_s` is the feed's clock."""
    found: list[DataPlane] = []
    own = settings.dataplane.haproxy
    if own is not None:
        found.append(HAProxyPlane(own, settings.venue))
        if own.agent_port is not None:
            found.append(Agent(own.agent_port, now_s))
    if settings.chain is not None:
        found.append(ChainWatch(settings.chain))
    return tuple(found)
