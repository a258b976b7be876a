"""A node of a small chain, as a process of its own: JSON-RPC, REST orders, and whatever trouble it is told to make.

    python -m tests.serving.embedded.upstream NAME PORT [LEDGER]

The nodes of a chain share a folder: a transaction that any of them has taken is known to all, as gossip would make it, and every
order that a node takes is a line in NAME.log there; without one a node only answers. Troubles, set by POST /trouble: `hang` (takes
the order, then does not answer), `stall` (does nothing), `garble`, `lie` (names another hash), `fail` (500), `busy` (429),
`behind` (an old block), `genesis` (block 0, as a node that has just begun to synchronise), `slow` (0.3 s).
"""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from Crypto.Hash import keccak

JSON = (b"content-type", b"application/json")
HEIGHT = 1000


class Node:
    """A node, its trouble, and how long an order takes it (s)."""

    def __init__(self, name: str, ledger: Path | None) -> None:
        self.name, self.ledger, self.trouble, self.pause_s = name, ledger, "well", 0.0
        self.seen: list[dict[str, str]] = []
        self.bodies: list[bytes] = []

    def take(self, key: str) -> bool:
        """Take an order; False when the chain has it already."""
        if self.ledger is None:
            return True
        try:
            os.close(os.open(self.ledger / key, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        self.note(key)
        return True

    def note(self, key: str) -> None:
        """Write down an order that was taken."""
        if self.ledger is not None:
            with (self.ledger / f"{self.name}.log").open("a") as log:
                log.write(key + "\n")

    def called(self, call: dict[str, Any]) -> dict[str, Any]:
        """What a call comes to."""
        if call["method"] == "eth_blockNumber":
            return {"result": hex({"behind": HEIGHT - 100, "genesis": 0}.get(self.trouble, HEIGHT))}
        if call["method"] != "eth_sendRawTransaction":
            return {"result": {"by": self.name, "method": call["method"]}}
        digest = keccak.new(digest_bits=256, data=bytes.fromhex(call["params"][0][2:])).hexdigest()
        if self.trouble == "lie":
            return {"result": "0x" + "ab" * 32}
        if not self.take(digest):
            return {"error": {"code": -32000, "message": "already known"}}
        return {"result": "0x" + digest}

    def ordered(self, key: str | None) -> dict[str, Any]:
        """Take a REST order."""
        self.note(key or "no key")
        return {"taken": key, "by": self.name}

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and body, after what the trouble does to time."""
        if path == "/trouble":
            told = json.loads(body)
            self.trouble, self.pause_s = told["trouble"], told.get("pause_s", 0.0)
            return 200, b"{}"
        is_check = b"eth_blockNumber" in body
        if self.trouble == "stall":
            await asyncio.sleep(3600)
        if not is_check:
            await self.work(headers, body)
        status, content = self.worked(method, path, headers, body)
        if self.trouble == "hang":
            await asyncio.sleep(3600)
        return (status, content) if is_check else self.spoilt(status, content)

    async def work(self, headers: dict[str, str], body: bytes) -> None:
        """Take the time that an order takes."""
        if self.ledger is not None:
            self.seen, self.bodies = [*self.seen[-20:], headers], [*self.bodies[-20:], body]
        pause_s = self.pause_s + 0.3 * (self.trouble == "slow")
        if pause_s:
            await asyncio.sleep(pause_s)

    def worked(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """What a sound node answers."""
        if self.trouble == "fail":
            return 500, b"oops"
        if self.trouble == "busy" and b"eth_blockNumber" not in body:
            return 429, b"{}"
        if path.startswith("/orders"):
            told = self.ordered(headers.get("idempotency-key")) if method == "POST" else {"by": self.name, "path": path}
        else:
            told = {"jsonrpc": "2.0", "id": 1, **self.called(json.loads(body))}
        return 200, json.dumps(told).encode()

    def spoilt(self, status: int, content: bytes) -> tuple[int, bytes]:
        """The answer as it arrives."""
        return (status, b"<html>") if self.trouble == "garble" else (status, content)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status, content = await self.answer(scope["method"], scope["path"], headers, b"".join(parts))
        length = (b"content-length", str(len(content)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [JSON, length]})
        await send({"type": "http.response.body", "body": content})


def main(name: str, port: int, ledger: Path | None) -> None:
    """Serve until killed."""
    listener = socket.create_server(("127.0.0.1", port))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(
        Node(name, ledger), log_config=None, access_log=False, lifespan="off", timeout_keep_alive=60
    )
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
