import asyncio
import json
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from websockets.asyncio.server import ServerConnection, serve

from data.errors import DataError, UsageError
from data.lake.append import append
from data.sources import live_command
from data.sources.engine import Rows
from data.sources.evm_chain import Header
from data.sources.evm_live import Pool, Recorder, Settling, heads, sample_pool
from data.sources.rpc import RefusedError, Rpc
from data.sources.web import Manners, Web
from tests.data.sources.node import Node
from tests.data.sources.pulling import Sleeps, run_pull, table
from tests.data.sources.server import Server
from tests.data.sources.test_evm import asked

Result = TypeVar("Result")
Speak = Callable[[ServerConnection, str], Awaitable[None]]


def with_node(speak: Speak, call: Callable[[str], Awaitable[Result]], refused: tuple[str, ...] = ()) -> Result:
    """Run a call against a WebSocket node that answers eth_subscribe and then speaks."""

    async def handle(socket: ServerConnection) -> None:
        kind = json.loads(await socket.recv())["params"][0]
        if kind in refused:
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no"}}))
            await socket.wait_closed()
            return
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "result": "0xabc"}))
        await speak(socket, kind)

    async def run() -> Result:
        async with serve(handle, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await call(f"ws://127.0.0.1:{port}")

    return asyncio.run(run())


def notice(result: object) -> str:
    return json.dumps(
        {"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": "0xabc", "result": result}}
    )


def head(node: Node, number: int, own: str | None = None) -> dict[str, Any]:
    block = node.eth_getBlockByNumber(hex(number), full=False)
    assert block is not None
    return {name: value for name, value in block.items() if name != "transactions"} | ({"hash": own} if own else {})


def header(number: int, own: str = "") -> Header:
    return Header(number, number, 1, 1, 1, None, own or f"0x{number}", "")


def test_heads_arrive_in_their_order_over_a_connection_that_breaks() -> None:
    node, connections = Node(), iter([[5, 6], [7]])

    async def speak(socket: ServerConnection, _: str) -> None:
        for number in next(connections):
            await socket.send(notice(head(node, number)))

    async def three(url: str) -> list[Header]:
        found = []
        async for one in heads(url):
            found.append(one)
            if len(found) == 3:
                return found
        return found

    found = with_node(speak, three)
    assert [one.number for one in found] == [5, 6, 7]
    assert found[2].base_fee_wei == node.blocks[7].base_fee_wei


def test_a_refused_subscription_is_one_message() -> None:
    async def first(url: str) -> None:
        async for _ in heads(url):
            return

    async def silent(socket: ServerConnection, _: str) -> None:
        await socket.wait_closed()

    with pytest.raises(RefusedError, match="expected an answer to eth_subscribe newHeads; found error -32601"):
        with_node(silent, first, refused=("newHeads",))


def test_an_address_that_is_none_is_one_message() -> None:
    async def first() -> None:
        async for _ in heads("http://127.0.0.1:9"):
            return

    with pytest.raises(DataError, match="expected a WebSocket at ws://"):
        asyncio.run(first())


def test_a_server_that_speaks_no_websocket_is_one_message_without_the_key(server: Server) -> None:
    async def first() -> None:
        async for _ in heads(f"{server.url.replace('http', 'ws')}/v3/secret"):
            return

    with pytest.raises(DataError, match=r"expected a WebSocket at ws:.*404") as caught:
        asyncio.run(first())
    assert "secret" not in str(caught.value)


def test_a_reorganisation_replaces_the_heads_above_it() -> None:
    settling = Settling(2)
    for one in (header(1), header(2), header(3), header(2, "0xother"), header(3, "0xthird")):
        settling.add(one)
    assert [one.own_hash for one in settling.settled()] == ["0x1"]
    settling.add(header(4))
    assert [one.own_hash for one in settling.settled()] == ["0xother"]


def content(*transactions: dict[str, str]) -> dict[str, Any]:
    return {"pending": {"0xa": {str(n): one for n, one in enumerate(transactions)}}, "queued": {"0xb": {"0": {}}}}


class Pooled(Node):
    def txpool_content(self) -> dict[str, Any]:
        return content(
            {"gas": hex(21_000), "gasPrice": hex(10 * 10**9)},
            {"gas": hex(100_000), "gasPrice": hex(1), "maxFeePerGas": hex(30 * 10**9)},
        )

    def txpool_status(self) -> dict[str, str]:
        return {"pending": "0x2a", "queued": "0x7"}


def sampled(server: Server, node: Node) -> Pool:
    server.routes["/"] = node

    async def run() -> Pool:
        async with Web(Manners(attempts=1), Sleeps()) as web:
            return await sample_pool(Rpc(web, f"{server.url}/"))

    return asyncio.run(run())


def test_a_pool_is_sampled_with_its_gas_and_fees(server: Server) -> None:
    pool = sampled(server, Pooled())
    row = pool.row("ethereum", datetime(2024, 1, 1, tzinfo=UTC), 2.5).row(0, named=True)
    assert pool == Pool(2, (21_000.0, 100_000.0), (10.0, 30.0))
    assert (row["pending_weight"], row["pending_fee"], row["fee_min"]) == (121_000.0, 3_210_000.0, 10.0)
    assert (row["fee_slow"], row["fee_fast"], row["arrivals_per_s"]) == (pytest.approx(12.0), pytest.approx(28.0), 2.5)


def test_a_node_that_tells_only_the_count_leaves_the_rest_unknown(server: Server) -> None:
    pool = sampled(server, Pooled(missing=frozenset({"txpool_content"})))
    row = pool.row("ethereum", datetime(2024, 1, 1, tzinfo=UTC), None).row(0, named=True)
    assert (row["pending_count"], row["pending_weight"], row["fee_fast"]) == (42, None, None)


def test_a_node_without_a_pool_is_one_message(server: Server) -> None:
    with pytest.raises(RefusedError, match="txpool_status"):
        sampled(server, Pooled(missing=frozenset({"txpool_content", "txpool_status"})))


def test_recorded_blocks_are_the_rows_that_a_later_pull_gives(server: Server, tmp_path: Path) -> None:
    node = Pooled()
    server.routes["/"] = node

    async def speak(socket: ServerConnection, kind: str) -> None:
        for number in (100, 101, 105, 110) if kind == "newHeads" else ():
            await socket.send(notice(head(node, number)))
        for n in range(7 if kind == "newPendingTransactions" else 0):
            await socket.send(notice(f"0x{n}"))
        await socket.wait_closed()

    async def record(url: str) -> None:
        def keep(rows: Rows) -> None:
            append(tmp_path, rows.table, rows.frame, rows.origin)

        async with Web(Manners(attempts=1)) as web:
            recorder = Recorder(url, "ethereum", keep, Settling(4), Rpc(web, f"{server.url}/"), every_s=0.5)
            await recorder.record(2.0)

    with_node(speak, record)
    assert table(tmp_path, "blocks")["number"].to_list() == [100, 101, 102, 103, 104, 105]
    mempool = table(tmp_path, "mempool")
    assert mempool["pending_count"].unique().to_list() == [2]
    assert mempool["arrivals_per_s"].sum() * 0.5 == pytest.approx(7.0)
    counts = run_pull(asked(server, node), tmp_path).tables["blocks"]
    assert (counts.known, counts.new, counts.conflicting) == (6, 144, 0)


def test_a_recorder_without_http_keeps_what_heads_tell(tmp_path: Path) -> None:
    node = Node()

    async def speak(socket: ServerConnection, kind: str) -> None:
        for number in range(100, 110) if kind == "newHeads" else ():
            await socket.send(notice(head(node, number)))
        await socket.wait_closed()

    async def record(url: str) -> None:
        def keep(rows: Rows) -> None:
            append(tmp_path, rows.table, rows.frame, rows.origin)

        await Recorder(url, "ethereum", keep, Settling(3)).record(1.5)

    with_node(speak, record, refused=("newPendingTransactions",))
    blocks = table(tmp_path, "blocks")
    assert blocks["number"].to_list() == list(range(100, 107))
    assert blocks["tx_count"].null_count() == 7


@pytest.mark.parametrize("extra", [[], ["--chain", "x", "--every", "0"]])
def test_a_recorder_that_lacks_what_it_needs_is_a_usage_error(tmp_path: Path, extra: list[str]) -> None:
    parser = ArgumentParser()
    live_command.add_options(parser)
    with pytest.raises(UsageError):
        live_command.run(parser.parse_args(["--ws", "ws://127.0.0.1:9", "--out", str(tmp_path), *extra]))
