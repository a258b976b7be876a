"""What a chain is like, measured on its blocks: name, block time, EIP-1559 elasticity and denominator.

Decided here: nothing is assumed of a chain but the form of the EIP-1559 recurrence
(https://eips.ethereum.org/EIPS/eip-1559); its two constants are those that reproduce the most changes to the wei.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from types import MappingProxyType

import polars as pl

NAMES: Mapping[int, str] = MappingProxyType(
    {1: "ethereum", 10: "optimism", 137: "polygon", 324: "zksync", 8453: "base", 42161: "arbitrum", 43114: "avalanche"}
)
ELASTICITIES = range(1, 33)
CANDIDATES_OF_FIT = 3
LEAST_CHANGES = 8


@dataclass(frozen=True)
class Header:
    """A block's header: number, time (epoch s), base fee (wei), gas used and limit, transactions (None: unknown), hashes."""

    number: int
    time_s: int
    base_fee_wei: int
    gas_used: int
    gas_limit: int
    tx_count: int | None
    own_hash: str
    parent_hash: str


@dataclass(frozen=True)
class Constants:
    """The two constants of the recurrence, and the share of fee changes that they reproduce exactly."""

    elasticity: int
    denominator: int
    agreement: float


def name_of(chain_id: int) -> str:
    """Usual name of a chain, `evm-ID` for one that is not listed here."""
    return NAMES.get(chain_id, f"evm-{chain_id}")


def next_base_fee(parent: Header, elasticity: int, denominator: int) -> int:
    """Base fee (wei) of the block after `parent`, in the integers of EIP-1559."""
    target = parent.gas_limit // elasticity
    base = parent.base_fee_wei
    if target == 0 or parent.gas_used == target:
        return base
    change = base * abs(parent.gas_used - target) // target // denominator
    return base + max(change, 1) if parent.gas_used > target else base - change


def constants(headers: Sequence[Header]) -> Constants | None:
    """Constants that reproduce most base fees of consecutive headers; None when too few fees changed to tell.

    For each elasticity the denominator is 1 / slope of the least-squares line of relative fee change against
    (gas used - target) / target; its neighbours are tried too, as integer division bends the line.
    """
    pairs = [
        (parent, child)
        for parent, child in pairwise(headers)
        if child.number == parent.number + 1 and child.base_fee_wei != parent.base_fee_wei
    ]
    if len(pairs) < LEAST_CHANGES:
        return None
    best: Constants | None = None
    for elasticity in ELASTICITIES:
        for denominator in denominators(pairs, elasticity):
            found = Constants(elasticity, denominator, agreement(pairs, elasticity, denominator))
            if best is None or found.agreement > best.agreement:
                best = found
            if best.agreement == 1.0:
                return best
    return best


def denominators(pairs: Sequence[tuple[Header, Header]], elasticity: int) -> list[int]:
    """Denominators worth a try for an elasticity."""
    squares = products = 0.0
    for parent, child in pairs:
        target = parent.gas_limit / elasticity
        pressure = parent.gas_used / target - 1.0
        change = (child.base_fee_wei - parent.base_fee_wei) / parent.base_fee_wei
        squares += pressure * pressure
        products += pressure * change
    if products <= 0.0 or squares <= 0.0:
        return []
    middle = round(squares / products)
    return [value for value in range(middle - CANDIDATES_OF_FIT, middle + CANDIDATES_OF_FIT + 1) if value > 0]


def agreement(pairs: Sequence[tuple[Header, Header]], elasticity: int, denominator: int) -> float:
    """Share of the children whose base fee the recurrence gives to the wei."""
    exact = sum(next_base_fee(parent, elasticity, denominator) == child.base_fee_wei for parent, child in pairs)
    return exact / len(pairs)


def chain_row(name: str, chain_id: int, headers: Sequence[Header]) -> pl.DataFrame:
    """The canonical row of `chains` that headers (at least two, consecutive) tell."""
    first, last = headers[0], headers[-1]
    found = constants(headers)
    return pl.DataFrame(
        {
            "chain": [name],
            "ts": [datetime.fromtimestamp(last.time_s, UTC)],
            "chain_id": [chain_id],
            "block_time_s": [max(last.time_s - first.time_s, 1) / (last.number - first.number)],
            "elasticity": [found.elasticity if found else None],
            "denominator": [found.denominator if found else None],
            "agreement": [found.agreement if found else None],
        },
        schema_overrides={
            "ts": pl.Datetime("ms", "UTC"),
            "elasticity": pl.Int64,
            "denominator": pl.Int64,
            "agreement": pl.Float64,
        },
    )
