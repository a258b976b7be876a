"""The live feed of an EVM node: new heads and pending transactions over WebSocket, the transaction pool over HTTP.

Decided here: a head counts at once for whoever listens, but is recorded only when enough blocks lie above it, the last
one of a number winning (a reorganisation); a connection that breaks is opened again and what was missed is left to
`shaper data pull evm`, as appending is idempotent. Subscriptions: https://geth.ethereum.org/docs/interacting-with-geth/rpc/pubsub.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import numpy as np
import polars as pl
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from data.errors import DataError
from data.sources.engine import Rows
from data.sources.evm import frame, span, whole_blocks
from data.sources.evm_chain import Header
from data.sources.rpc import METHOD_NOT_FOUND, RefusedError, Rpc, fields, quantity
from data.sources.web import host

WEI_PER_GWEI = 1e9
MOST_MISSED = 500  # blocks that are read again after an outage; more is left to a pull


async def notifications(url: str, kind: str) -> AsyncIterator[object]:
    """What `eth_subscribe` of a kind (`newHeads`, `newPendingTransactions`) tells, over any number of connections.

    Raises DataError when the node refuses the subscription or the address is none.
    """
    try:
        async for socket in connect(url, max_size=1 << 24):
            try:
                await socket.send(msgspec.json.encode(subscription(kind)).decode())
                async for message in socket:
                    told = notification(message, kind, host(url))
                    if told is not None:
                        yield told
            except ConnectionClosed:
                continue
    except (InvalidURI, InvalidHandshake) as error:
        found = f"{error}".replace(url, host(url))
        raise DataError(
            host(url), expected="a WebSocket at ws://… or wss://…", found=found, remedy="correct --ws"
        ) from error


def subscription(kind: str) -> dict[str, object]:
    """The request for a subscription."""
    return {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": [kind]}


def notification(message: str | bytes, kind: str, where: str) -> object | None:
    """The content of a notification, None for the answer that begins the subscription."""
    told = fields(msgspec.json.decode(message), where)
    error = told.get("error")
    if error is not None:
        problem = fields(error, where)
        raise RefusedError(where, f"eth_subscribe {kind}", int(str(problem.get("code"))), str(problem.get("message")))
    if told.get("method") != "eth_subscription":
        return None
    return fields(told.get("params"), where).get("result")


async def heads(url: str) -> AsyncIterator[Header]:
    """Headers of new blocks as they arrive; a number comes again when the chain reorganises."""
    async for told in notifications(url, "newHeads"):
        yield live_header(fields(told, host(url)), host(url))


def live_header(block: Mapping[str, object], where: str) -> Header:
    """A header as it is notified: the transactions are not told."""

    def number(name: str) -> int:
        return quantity(block.get(name), where, name)

    return Header(
        number("number"),
        number("timestamp"),
        number("baseFeePerGas"),
        number("gasUsed"),
        number("gasLimit"),
        None,
        str(block.get("hash")),
        str(block.get("parentHash")),
    )


@dataclass
class Settling:
    """Heads that may still be replaced, and how many blocks have to lie above one that may not."""

    depth: int
    waiting: dict[int, Header] = field(default_factory=dict)

    def add(self, head: Header) -> None:
        """Take a head. It replaces the one of its number and ends all above it: they belong to a chain that was left."""
        self.waiting = {number: one for number, one in self.waiting.items() if number < head.number}
        self.waiting[head.number] = head

    def settled(self) -> list[Header]:
        """Take out the heads that are deep enough, in order."""
        newest = max(self.waiting, default=0)
        numbers = sorted(number for number in self.waiting if number <= newest - self.depth)
        return [self.waiting.pop(number) for number in numbers]


@dataclass(frozen=True)
class Pool:
    """The state of a transaction pool: how many wait and, where the node tells, their gas and most gwei per gas."""

    count: int
    gas: tuple[float, ...] | None = None
    fee_gwei: tuple[float, ...] | None = None

    def row(self, chain: str, at: datetime, arrivals_per_s: float | None) -> pl.DataFrame:
        """The canonical row of `mempool`."""
        gas, fee = np.array(self.gas or ()), np.array(self.fee_gwei or ())
        knows = self.gas is not None and self.fee_gwei is not None
        slow, fast = np.quantile(fee, (0.1, 0.9)).tolist() if fee.size else (None, None)
        values = {
            "pending_weight": float(gas.sum()) if knows else None,
            "pending_fee": float((gas * fee).sum()) if knows else None,
            "fee_fast": fast,
            "fee_slow": slow,
            "fee_min": float(fee.min()) if fee.size else None,
            "arrivals_per_s": arrivals_per_s,
        }
        types = {"chain": pl.String(), "ts": pl.Datetime("ms", "UTC"), "pending_count": pl.Int64()}
        row = {"chain": chain, "ts": at, "pending_count": self.count, **values}
        return pl.DataFrame([row], schema=types | dict.fromkeys(values, pl.Float64()))


async def sample_pool(rpc: Rpc) -> Pool:
    """The pool from `txpool_content`, from `txpool_status` where the node refuses that; raises RefusedError for neither."""
    try:
        content = fields(await rpc.call("txpool_content"), rpc.where)
    except RefusedError as error:
        if error.code != METHOD_NOT_FOUND:
            raise
        status = fields(await rpc.call("txpool_status"), rpc.where)
        return Pool(quantity(status.get("pending"), rpc.where, "pending"))
    senders = fields(content.get("pending"), rpc.where)
    waiting = [
        fields(transaction, rpc.where) for one in senders.values() for transaction in fields(one, rpc.where).values()
    ]
    gas = tuple(float(quantity(one.get("gas"), rpc.where, "gas")) for one in waiting)
    fees = (one.get("maxFeePerGas") or one.get("gasPrice") for one in waiting)
    return Pool(len(waiting), gas, tuple(quantity(fee, rpc.where, "gasPrice") / WEI_PER_GWEI for fee in fees))


@dataclass
class Arrivals:
    """Pending transactions since the last sample; None when the node does not tell them."""

    count: int | None = 0

    def take(self) -> int | None:
        """The count, which begins anew."""
        taken = self.count
        self.count = None if taken is None else 0
        return taken


@dataclass(frozen=True)
class Recorder:
    """Records a node's feed: `keep` gets rows every `every_s` seconds.

    With `rpc`, settled blocks are read again over HTTP, those between them that were missed too, so that they are the
    rows that `shaper data pull evm` would give; without it they lack transactions and tips, and the pool is unknown.
    """

    ws: str
    chain: str
    keep: Callable[[Rows], object]
    settling: Settling
    rpc: Rpc | None = None
    every_s: float = 15.0
    arrivals: Arrivals = field(default_factory=Arrivals)
    kept: list[int] = field(default_factory=list)

    async def record(self, seconds: float) -> None:
        """Record for so many seconds (`inf`: until cancelled); what has settled by then is kept."""
        tasks = [asyncio.create_task(work()) for work in (self.follow_heads, self.count_arrivals, self.sample)]
        limit = None if seconds == float("inf") else seconds
        try:
            done, _ = await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self.flush()

    async def follow_heads(self) -> None:
        """Gather heads."""
        async for head in heads(self.ws):
            self.settling.add(head)

    async def count_arrivals(self) -> None:
        """Count pending transactions; a node that does not tell them leaves the rate unknown."""
        try:
            async for _ in notifications(self.ws, "newPendingTransactions"):
                self.arrivals.count = (self.arrivals.count or 0) + 1
        except RefusedError:
            self.arrivals.count = None
            await asyncio.Event().wait()

    async def sample(self) -> None:
        """Keep what has settled and sample the pool, again and again."""
        while True:
            await asyncio.sleep(self.every_s)
            await self.flush()
            if self.rpc:
                arrived = self.arrivals.take()
                rate = None if arrived is None else arrived / self.every_s
                row = (await sample_pool(self.rpc)).row(self.chain, datetime.now(UTC), rate)
                await asyncio.to_thread(self.keep, Rows("mempool", row, f"{self.rpc.where} txpool"))

    async def flush(self) -> None:
        """Keep the blocks that have settled."""
        settled = self.settling.settled()
        if not settled:
            return
        if self.rpc is None:
            rows, origin = frame(self.chain, settled, {}), f"{host(self.ws)} newHeads"
        else:
            rows, origin = await self.whole(self.rpc, settled[0].number, settled[-1].number)
        await asyncio.to_thread(self.keep, Rows("blocks", rows, origin))
        self.kept[:] = [settled[-1].number]

    async def whole(self, rpc: Rpc, first: int, last: int) -> tuple[pl.DataFrame, str]:
        """Whole rows up to the last settled block, from the one after the last that was kept."""
        start = max(self.kept[0] + 1, last - MOST_MISSED) if self.kept else first
        numbers = range(start, last + 1)
        return await whole_blocks(rpc, self.chain, numbers), f"{rpc.where} eth_feeHistory {span(numbers)}"
