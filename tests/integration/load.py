"""Nodes that take their time, and clients that do not wait for each other: an open loop of orders by tier.

Run as a process of its own: `python -m tests.integration.load nodes SERVICE_S PORT…` serves until it is ended,
`cold WARM_S SERVICE_S PORT` does so after WARM_S seconds;
`python -m tests.integration.load orders PORT SECONDS WARM_S TIER=RATE…` prints one JSON line: by tier the orders sent after
the first WARM_S seconds, served and refused, and the served ones' p50 and p99 (ms).
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter, defaultdict

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def serve(service_s: float, ports: list[int]) -> None:
    """Answer every request after `service_s`."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(service_s)
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    for port in ports:
        await asyncio.start_server(talk, "127.0.0.1", port)
    print("ready", flush=True)
    await asyncio.Event().wait()


class Clients:
    """Connections to one port that are used again; each order takes one for itself."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.status: dict[str, Counter[int]] = defaultdict(Counter)
        self.served_s: dict[str, list[float]] = defaultdict(list)

    async def order(self, tier: str, counts: bool = True) -> tuple[int, float]:
        """Send one order and note what became of it, if it counts; returns status and seconds. A broken connection has status 0."""
        begun, status = time.perf_counter(), 0
        try:
            reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(f"POST /order HTTP/1.1\r\nhost: x\r\nx-tier: {tier}\r\ncontent-length: 0\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            status = int(lines[0].split()[1])
            length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")), 0)
            await reader.readexactly(length)
            if b"connection: close" in lines:
                writer.close()
            else:
                self.idle.append((reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        took_s = time.perf_counter() - begun
        if counts:
            self.status[tier][status] += 1
            if status == 200:
                self.served_s[tier].append(took_s)
        return status, took_s

    def close(self) -> None:
        """End the connections."""
        for _, writer in self.idle:
            writer.close()


async def send(port: int, seconds: float, warm_s: float, rates: dict[str, float]) -> dict[str, dict[str, float]]:
    """Poisson arrivals of each tier for some seconds; waits for every answer."""
    clients, pending, draws = Clients(port), set(), random.Random(7)  # noqa: S311
    due = {tier: draws.expovariate(rate) for tier, rate in rates.items()}
    begun = time.perf_counter()
    while min(due.values()) < seconds:
        tier = min(due, key=due.__getitem__)
        await asyncio.sleep(max(begun + due[tier] - time.perf_counter(), 0))
        task = asyncio.create_task(clients.order(tier, counts=due[tier] >= warm_s))
        pending.add(task)
        task.add_done_callback(pending.discard)
        due[tier] += draws.expovariate(rates[tier])
    await asyncio.gather(*pending)
    return {tier: told(clients.status[tier], sorted(clients.served_s[tier])) for tier in rates}


def told(status: Counter[int], served_s: list[float]) -> dict[str, float]:
    """What became of the orders of a tier."""
    at = {
        name: 1e3 * served_s[int(share * (len(served_s) - 1))] if served_s else float("nan")
        for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99))
    }
    return {"sent": status.total(), "served": status[200], "refused": status[429], **at}


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "cold":
        time.sleep(float(rest.pop(0)))
    if kind in ("nodes", "cold"):
        asyncio.run(serve(float(rest[0]), [int(port) for port in rest[1:]]))
    else:
        port, seconds, warm_s, *tiers = rest
        rates = {tier: float(rate) for tier, rate in (one.split("=") for one in tiers)}
        print(json.dumps(asyncio.run(send(int(port), float(seconds), float(warm_s), rates))))
