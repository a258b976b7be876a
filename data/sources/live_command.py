"""shaper data pull evm-live: record a node's feed into a lake until the time is over or somebody ends it.

Decided here: the options of the recorder, and that an interrupt is the ordinary way to end it.
"""

import asyncio
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from data.errors import DataError, UsageError
from data.lake.append import Appended, append
from data.sources.engine import Rows
from data.sources.evm_chain import name_of
from data.sources.evm_live import Recorder, Settling
from data.sources.rpc import Rpc, quantity
from data.sources.web import Manners, Web, host

ABOUT = "the live feed of an EVM node: new blocks, pending transactions, the pool"
EXAMPLE = "--ws ws://127.0.0.1:8546 --rpc http://127.0.0.1:8545 --seconds 3600"
DEPTH = 12


@dataclass(frozen=True)
class Keeper:
    """Puts rows into the lake and says so on standard error."""

    folder: Path
    console: Console
    total: dict[str, Appended] = field(default_factory=dict)

    def __call__(self, rows: Rows) -> None:
        """Append rows."""
        self.total[rows.table] = self.total.get(rows.table, Appended()) + append(
            self.folder, rows.table, rows.frame, rows.origin
        )
        self.console.print(f"[dim]{rows.table}: {self.total[rows.table].new:,} rows")


def add_options(parser: ArgumentParser) -> None:
    """Options of `shaper data pull evm-live`."""
    parser.add_argument("--ws", required=True, metavar="URL", help="WebSocket address of a node")
    parser.add_argument("--rpc", metavar="URL", help="HTTP address of the node: whole blocks with tips, and the pool")
    parser.add_argument("--chain", metavar="NAME", help="name in the lake (default: by the chain id that --rpc tells)")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), metavar="S", help="how long (default: until ended)"
    )
    parser.add_argument("--every", type=float, default=15.0, metavar="S", help="seconds between samples (default: 15)")
    parser.add_argument(
        "--depth", type=int, default=DEPTH, metavar="N", help="blocks above a settled one (default: 12)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the lake")


def run(options: Namespace) -> int:
    """Record; returns 0, also when interrupted. Raises DataError when there was nothing to record."""
    if options.chain is None and options.rpc is None:
        raise UsageError(
            "evm-live", expected="--chain or --rpc", found="neither", remedy="say what the chain is called"
        )
    if options.seconds <= 0 or options.every <= 0 or options.depth < 0:
        raise UsageError(
            "evm-live", expected="times above 0", found="others", remedy="correct --seconds, --every or --depth"
        )
    keeper = Keeper(options.out, Console(stderr=True))
    try:
        asyncio.run(record(options, keeper))
    except KeyboardInterrupt:
        keeper.console.print("ended")
    if not keeper.total:
        raise DataError(
            host(options.ws),
            expected="news within that time",
            found="none",
            remedy="check the node, or record for longer",
        )
    for table, appended in sorted(keeper.total.items()):
        print(
            f"{table}: {appended.new} new, {appended.known} known, {appended.conflicting + appended.broken} set aside"
        )
    return 0


async def record(options: Namespace, keeper: Keeper) -> None:
    """Record with a client that lives as long."""
    async with Web(Manners()) as web:
        rpc = Rpc(web, options.rpc) if options.rpc else None
        name = options.chain
        if rpc and name is None:
            name = name_of(quantity(await rpc.call("eth_chainId"), rpc.where, "chain id"))
        settling = Settling(options.depth)
        await Recorder(options.ws, name, keeper, settling, rpc, options.every).record(options.seconds)
