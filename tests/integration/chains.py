"""Three real chains (anvil) of different block times and gas limits, and clients that send signed EIP-1559 transactions to them.

Each order is the first transaction of an account of its own, which all three chains know: whichever node it is routed to
can include it. What became of it is read from the chains themselves.
"""

import asyncio
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from eth_account import Account
from eth_account.signers.local import LocalAccount

from shaper.venue import Tier
from tests.integration.parts import free_port, part

GAS, GWEI, CHAIN_ID = 21_000, 10**9, 31337
BLOCK_TIMES_S = (1, 2, 3)
BURSTS = 2  # a block holds twice what the base fee settles at (EIP-1559)
Bid = tuple[int, int]  # most and tip a gas, wei


@dataclass(frozen=True)
class Sent:
    """An order: when it was sent (s since 1970), and the hash of its transaction, None when it was refused."""

    tier: str
    at_s: float
    hash: str | None


@contextmanager
def chains(rate_per_s: float) -> Iterator[tuple[int, ...]]:
    """Ports of three chains that each settle `rate_per_s` orders a second without their base fee rising."""
    ports = tuple(free_port() for _ in BLOCK_TIMES_S)
    started = [
        subprocess.Popen(
            [
                part("anvil"), "--port", str(port), "--block-time", str(block_s), "--chain-id", str(CHAIN_ID),
                "--gas-limit", str(int(rate_per_s * block_s * BURSTS * GAS)), "--order", "fees", "--accounts", "1",
                "--base-fee", str(GWEI), "--silent",
            ],
            start_new_session=True,
        )
        for port, block_s in zip(ports, BLOCK_TIMES_S, strict=True)
    ]  # fmt: skip
    try:
        for port in ports:
            wait_for(port)
        yield ports
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(10)


def wait_for(port: int, limit_s: float = 30.0) -> None:
    """Wait until somebody listens."""
    begun = time.monotonic()
    while time.monotonic() - begun < limit_s:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {port}")


async def ask(client: httpx.AsyncClient, port: int, *calls: tuple[str, list[object]]) -> list[object]:
    """Results of a batch of JSON-RPC calls."""
    batch = [{"jsonrpc": "2.0", "id": i, "method": name, "params": params} for i, (name, params) in enumerate(calls)]
    answers = (await client.post(f"http://127.0.0.1:{port}", json=batch)).json()
    return [answer["result"] for answer in sorted(answers, key=lambda answer: answer["id"])]


async def funded(client: httpx.AsyncClient, ports: tuple[int, ...], count: int, first: int) -> list[LocalAccount]:
    """New accounts, rich on every chain."""
    accounts: list[LocalAccount] = [Account.from_key((first + place + 1).to_bytes(32, "big")) for place in range(count)]
    calls = [("anvil_setBalance", [account.address, hex(10**21)]) for account in accounts]
    for port in ports:
        for start in range(0, count, 500):
            await ask(client, port, *calls[start : start + 500])
    return accounts


def signed(account: LocalAccount, bid: Bid) -> str:
    """A transfer of 1 wei as a raw transaction."""
    most, tip = bid
    fields = {
        "type": 2, "chainId": CHAIN_ID, "nonce": 0, "gas": GAS, "maxFeePerGas": most, "maxPriorityFeePerGas": min(tip, most),
        "to": "0x" + "11" * 20, "value": 1,
    }  # fmt: skip
    return "0x" + bytes(account.sign_transaction(fields).raw_transaction).hex()


async def flood(
    client: httpx.AsyncClient, port: int, accounts: list[LocalAccount], tiers: tuple[Tier, ...], rate_per_s: float,
    bid_of: Callable[[str], Bid],
) -> list[Sent]:  # fmt: skip
    """Poisson arrivals of all tiers by their shares, one for each account, none waiting for another."""
    draws = random.Random(3)  # noqa: S311
    names, shares = [tier.name for tier in tiers], [tier.demand_share for tier in tiers]
    due, tasks = time.time(), []
    for account in accounts:
        due += draws.expovariate(rate_per_s)
        await asyncio.sleep(max(due - time.time(), 0))
        tier = draws.choices(names, shares)[0]
        tasks.append(asyncio.create_task(send(client, port, tier, signed(account, bid_of(tier)))))
    return await asyncio.gather(*tasks)


async def send(client: httpx.AsyncClient, port: int, tier: str, raw: str) -> Sent:
    """Send one order."""
    at_s = time.time()
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw]}
    try:
        answer = await client.post(f"http://127.0.0.1:{port}", json=call, headers={"x-tier": tier})
    except httpx.HTTPError:
        return Sent(tier, at_s, None)
    return Sent(tier, at_s, answer.json().get("result") if answer.status_code == 200 else None)


async def included(client: httpx.AsyncClient, ports: tuple[int, ...]) -> dict[str, float]:
    """Time (s since 1970) of the block that holds each transaction, of all chains."""
    found: dict[str, float] = {}
    for port in ports:
        (newest,) = await ask(client, port, ("eth_blockNumber", []))
        numbers = range(int(str(newest), 16) + 1)
        for block in await ask(client, port, *(("eth_getBlockByNumber", [hex(n), False]) for n in numbers)):
            assert isinstance(block, dict)
            found |= dict.fromkeys(block["transactions"], float(int(block["timestamp"], 16)))
    return found


def on_time(sent: list[Sent], at_s: dict[str, float], tiers: tuple[Tier, ...]) -> dict[str, tuple[int, int, float]]:
    """By tier: orders sent, orders refused, and the share of all that were included by their deadline."""
    rows = {}
    for tier in tiers:
        own = [order for order in sent if order.tier == tier.name]
        served = sum(
            order.hash is not None and at_s.get(order.hash, 1e18) - order.at_s <= tier.deadline_s for order in own
        )
        rows[tier.name] = (len(own), sum(order.hash is None for order in own), served / max(len(own), 1))
    return rows
