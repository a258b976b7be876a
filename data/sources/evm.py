"""Blocks of any EVM chain over JSON-RPC: headers for what happened, `eth_feeHistory` for what senders tipped.

Decided here: `eth_feeHistory` tells neither times nor gas limits, so each block's header is read as well and the two have
to agree; only blocks below the confirmation depth are taken; a part is a fixed range of numbers, so that pulls of
overlapping ranges share their parts. Methods: https://ethereum.github.io/execution-apis/.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import polars as pl

from data.errors import DataError, UsageError
from data.sources.asking import add_times
from data.sources.engine import Fetched, Part, Rows
from data.sources.evm_chain import Header, chain_row, name_of
from data.sources.rpc import METHOD_NOT_FOUND, Call, RefusedError, Rpc, fields, items, quantity
from data.sources.web import TransientError, Web, host

PERCENTILES = (10, 50, 90)
WEI_PER_GWEI = 1e9
SAMPLE = 200  # blocks by which a chain's parameters are measured
CONFIRMATIONS = 64  # two epochs of Ethereum, by when its blocks are final


@dataclass(frozen=True)
class Asked:
    """Which blocks are asked for: [since, until) in time, read in ranges of `batch` blocks."""

    url: str
    since: datetime
    until: datetime
    name: str | None = None
    batch: int = 100
    confirmations: int = CONFIRMATIONS


@dataclass(frozen=True)
class Chain:
    """A chain of which blocks are asked for."""

    asked: Asked

    async def parts(self, web: Web) -> Sequence[Part]:
        """The chain's parameters, then ranges of blocks, oldest first."""
        rpc = Rpc(web, self.asked.url)
        chain_id = quantity(await rpc.call("eth_chainId"), rpc.where, "chain id")
        safe = quantity(await rpc.call("eth_blockNumber"), rpc.where, "block number") - self.asked.confirmations
        if safe < 1:
            raise DataError(rpc.where, expected="confirmed blocks", found="none", remedy="lower --confirmations")
        first = await self.block_at(rpc, self.asked.since, safe)
        after = await self.block_at(rpc, self.asked.until, safe)
        if first >= after:
            found = f"none between {self.asked.since:%F %T} and {self.asked.until:%F %T}"
            raise DataError(rpc.where, expected="confirmed blocks", found=found, remedy="give other times")
        name = self.asked.name or name_of(chain_id)
        sample = Measured(self.asked.url, name, chain_id, range(max(safe - SAMPLE, 0), safe + 1))
        step = self.asked.batch
        starts = range(first - first % step, after, step)
        ranges = [range(max(start, first), min(start + step, after)) for start in starts]
        return [sample, *(Blocks(self.asked.url, name, chain_id, numbers) for numbers in ranges)]

    async def block_at(self, rpc: Rpc, at: datetime, safe: int) -> int:
        """Number of the first block at or after a time, at most the one after the last safe one; by bisection."""
        low, high = 0, safe + 1
        while low < high:
            middle = (low + high) // 2
            block = fields(await rpc.call("eth_getBlockByNumber", hex(middle), False), rpc.where)
            if quantity(block.get("timestamp"), rpc.where, "timestamp") < at.timestamp():
                low = middle + 1
            else:
                high = middle
        return low


@dataclass(frozen=True)
class Measured:
    """The parameters of a chain, from a sample of its newest safe blocks."""

    url: str
    name: str
    chain_id: int
    sample: range

    @property
    def key(self) -> str:
        """Never the same twice, so that each pull measures anew."""
        return f"evm/{self.chain_id}/{self.name}/parameters/{self.sample.stop}"

    async def fetch(self, web: Web) -> Fetched:
        """One row of `chains`."""
        rpc = Rpc(web, self.url)
        headers = await read_headers(rpc, self.sample)
        row = chain_row(self.name, self.chain_id, headers)
        return Fetched((Rows("chains", row, f"{rpc.where} blocks {span(self.sample)}"),))


@dataclass(frozen=True)
class Blocks:
    """A range of blocks."""

    url: str
    name: str
    chain_id: int
    numbers: range

    @property
    def key(self) -> str:
        """Lasting name: chain and range."""
        return f"evm/{self.chain_id}/{self.name}/blocks/{span(self.numbers)}"

    async def fetch(self, web: Web) -> Fetched:
        """The blocks with their tips."""
        rows = await whole_blocks(Rpc(web, self.url), self.name, self.numbers)
        return Fetched((Rows("blocks", rows, f"{host(self.url)} eth_feeHistory {span(self.numbers)}"),))


async def whole_blocks(rpc: Rpc, name: str, numbers: range) -> pl.DataFrame:
    """Canonical rows of consecutive blocks; read again while the two sources of base fees disagree."""

    async def once() -> pl.DataFrame:
        headers = await read_headers(rpc, numbers)
        return frame(name, headers, await read_tips(rpc, headers))

    return await rpc.web.tried(rpc.where, once)


async def read_headers(rpc: Rpc, numbers: range) -> list[Header]:
    """Headers of consecutive blocks, read again while they are not one chain (a node behind, a reorganisation)."""
    calls = [Call("eth_getBlockByNumber", (hex(number), False)) for number in numbers]

    async def once() -> list[Header]:
        found = [header(result, rpc.where) for result in await rpc.batch(calls)]
        if [one.number for one in found] != list(numbers):
            raise TransientError(f"blocks other than {span(numbers)}")
        if any(child.parent_hash != parent.own_hash for parent, child in pairwise(found)):
            raise TransientError(f"blocks {span(numbers)} that are not one chain")
        return found

    return await rpc.web.tried(rpc.where, once)


def header(result: object, where: str) -> Header:
    """A header from its JSON."""
    if result is None:
        raise TransientError("a block that the node does not have")
    block = fields(result, where)

    def number(name: str) -> int:
        return quantity(block.get(name), where, name)

    return Header(
        number("number"),
        number("timestamp"),
        number("baseFeePerGas"),
        number("gasUsed"),
        number("gasLimit"),
        len(items(block.get("transactions", []), where)),
        str(block.get("hash")),
        str(block.get("parentHash")),
    )


async def read_tips(rpc: Rpc, headers: Sequence[Header]) -> dict[int, list[float]]:
    """Tips (gwei) at the percentiles by block number; empty where the node has none.

    Nodes answer with fewer blocks than asked for; the rest is asked for again, from the end.
    """
    fees = {one.number: one.base_fee_wei for one in headers}
    tips: dict[int, list[float]] = {}
    first, newest = headers[0].number, headers[-1].number
    while newest >= first:
        try:
            answer = await rpc.call("eth_feeHistory", hex(newest - first + 1), hex(newest), list(PERCENTILES))
        except RefusedError as error:
            if error.code == METHOD_NOT_FOUND:
                return tips
            raise
        history = fields(answer, rpc.where)
        oldest = quantity(history.get("oldestBlock"), rpc.where, "oldestBlock")
        if oldest > newest or not items(history.get("gasUsedRatio") or [], rpc.where):
            return tips
        tips |= tips_of(history, oldest, newest, fees, rpc.where)
        newest = oldest - 1
    return tips


def tips_of(
    answer: Mapping[str, object], oldest: int, newest: int, fees: Mapping[int, int], where: str
) -> dict[int, list[float]]:
    """Tips of one answer; raises TransientError when its base fees are not those of the headers."""
    base = [quantity(fee, where, "baseFeePerGas") for fee in items(answer.get("baseFeePerGas"), where)]
    rewards = items(answer.get("reward") or [], where)
    numbers = [number for number in range(oldest, newest + 1) if number in fees]
    if len(base) <= newest - oldest or any(base[number - oldest] != fees[number] for number in numbers):
        raise TransientError(f"base fees of blocks {oldest}-{newest} that contradict their headers")
    if len(rewards) <= newest - oldest:
        return {}
    return {number: gwei(rewards[number - oldest], where) for number in numbers}


def gwei(rewards: object, where: str) -> list[float]:
    """Rewards of one block in gwei."""
    return [quantity(value, where, "reward") / WEI_PER_GWEI for value in items(rewards, where)]


def frame(name: str, headers: Sequence[Header], tips: dict[int, list[float]]) -> pl.DataFrame:
    """Canonical rows of blocks."""
    columns = [f"tip_p{percentile}_gwei" for percentile in PERCENTILES]
    rows = [
        {
            "chain": name,
            "number": one.number,
            "ts": datetime.fromtimestamp(one.time_s, UTC),
            "base_fee_wei": one.base_fee_wei,
            "gas_used": one.gas_used,
            "gas_limit": one.gas_limit,
            "tx_count": one.tx_count,
            **dict(zip(columns, tips.get(one.number, [None] * len(columns)), strict=False)),
        }
        for one in headers
    ]
    types = {"ts": pl.Datetime("ms", "UTC"), **dict.fromkeys(columns, pl.Float64())}
    return pl.DataFrame(rows, schema_overrides=types)


def span(numbers: range) -> str:
    """First and last number of a range."""
    return f"{numbers.start}-{numbers.stop - 1}"


def add_options(parser: ArgumentParser) -> None:
    """Options of `shaper data pull evm`."""
    parser.add_argument("--rpc", required=True, metavar="URL", help="HTTP address of a node")
    parser.add_argument("--chain", metavar="NAME", help="name in the lake (default: by the chain id)")
    parser.add_argument(
        "--batch", type=int, default=100, metavar="N", help="blocks of a request (default: %(default)s)"
    )
    parser.add_argument(
        "--confirmations",
        type=int,
        default=CONFIRMATIONS,
        metavar="N",
        help="newest blocks to leave out (default: %(default)s)",
    )
    add_times(parser)


def from_options(options: Namespace) -> Chain:
    """The source that the options ask for."""
    if options.batch < 1 or options.confirmations < 0:
        raise UsageError(
            "--batch", expected="at least 1 block", found=f"{options.batch}", remedy="give a larger number"
        )
    return Chain(Asked(options.rpc, options.since, options.until, options.chain, options.batch, options.confirmations))
