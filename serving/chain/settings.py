"""Which nodes tell the state of the chain that fees are bid on: the `[chain]` section.

Decided here: how many blocks stand for the recent past.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from shaper.venue import Venue

Rule = tuple[bool, str, str, str]
MOST_BLOCKS = 1024  # what nodes answer at once


@dataclass(frozen=True)
class Chain:
    """`rpc` are addresses of nodes of the chain of `venue.fees`; the last `blocks` blocks are asked for.

    Where orders may settle on one of several chains, name a node of each: a bid has to do on the dearest.
    """

    rpc: tuple[str, ...]
    blocks: int = 20


def rules(own: Chain, venue: Venue) -> Iterator[Rule]:
    """Rules of `[chain]`."""
    yield len(own.rpc) > 0, "chain.rpc with an address at least", "none", 'rpc = ["http://127.0.0.1:8545"]'
    for address in own.rpc:
        yield address.startswith(("http://", "https://")), "chain.rpc as http(s) addresses", repr(address), "correct it"
    yield 1 <= own.blocks <= MOST_BLOCKS, f"chain.blocks from 1 to {MOST_BLOCKS}", str(own.blocks), "20 suits most"
    yield venue.fees is not None, "venue.fees beside [chain]", "none", "add the chain's fee rules, or remove [chain]"
