"""Which node tells the state of the chain that fees are bid on: the `[chain]` section.

Decided here: how many blocks stand for the recent past.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from shaper.venue import Venue

Rule = tuple[bool, str, str, str]
MOST_BLOCKS = 1024  # what nodes answer at once


@dataclass(frozen=True)
class Chain:
    """`rpc` is the address of a node of the chain of `venue.fees`; the last `blocks` blocks are asked for."""

    rpc: str
    blocks: int = 20


def rules(own: Chain, venue: Venue) -> Iterator[Rule]:
    """Rules of `[chain]`."""
    yield own.rpc.startswith(("http://", "https://")), "chain.rpc as an http(s) address", repr(own.rpc), "correct it"
    yield 1 <= own.blocks <= MOST_BLOCKS, f"chain.blocks from 1 to {MOST_BLOCKS}", str(own.blocks), "20 suits most"
    yield venue.fees is not None, "venue.fees beside [chain]", "none", "add the chain's fee rules, or remove [chain]"
