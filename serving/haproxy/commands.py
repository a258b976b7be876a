"""`shaper dataplane haproxy`: the configuration of HAProxy, made from the sidecar's own.

Decided here: `apply` tries a configuration before it takes the place of the old one, and says whether the reload succeeded.
"""

import argparse
import asyncio
from pathlib import Path

from data.errors import DataError
from serving.dataplane import DataPlaneError
from serving.haproxy.files import check, files, write
from serving.haproxy.runtime import Session
from serving.haproxy.settings import HAProxy
from shaper.venue import Venue

ACTIONS = {
    "render": "print the configuration and its maps, or write them to --out",
    "check": "ask haproxy itself whether it takes the configuration",
    "apply": "check, write into dataplane.haproxy.folder, and reload through --master",
}


def add(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = kinds.add_parser(
        "haproxy", help="HAProxy through its runtime socket", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("action", choices=ACTIONS, help="; ".join(f"{name}: {text}" for name, text in ACTIONS.items()))
    parser.add_argument("--config", type=Path, required=True, help="the sidecar's TOML file")
    parser.add_argument("--out", type=Path, help="write to this folder instead of dataplane.haproxy.folder")
    parser.add_argument("--master", help="socket of HAProxy's master process, to reload it (haproxy -W -S PATH)")


def run(section: HAProxy, venue: Venue, options: argparse.Namespace) -> int:
    """Do one action; returns 0. Raises DataError."""
    own = section if options.out is None else section.in_folder(options.out.absolute())
    if options.action == "check":
        print(check(own, venue) or "the configuration is valid")
    elif options.action == "apply":
        check(own, venue)
        print(f"written to {write(own, venue)}")
        print(asyncio.run(reloaded(options.master)) if options.master else "reload HAProxy to use it")
    elif options.out:
        print(f"written to {write(own, venue)}")
    else:
        for name, text in files(own, venue).items():
            print(f"# ---- {name}\n{text}")
    return 0


async def reloaded(master: str) -> str:
    """What the master process says of a reload. Raises DataError when the new workers did not start."""
    try:
        session = await Session.open(master)
        said = await session.ask("reload")
    except DataPlaneError as error:
        raise DataError(
            "--master", expected="HAProxy's master socket", found=str(error), remedy="see haproxy -S"
        ) from error
    return said or "reloaded"
