"""The agent that HAProxy asks for weights: the pull alternative to the runtime socket.

Decided here: a node of the plan answers its weight as a share of the largest, a node that no plan names is ready as configured,
and an answer older than the plan's end is not given. (HAProxy Configuration Manual 2.6, `agent-check`.)
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from serving.gateway import Report
from shaper.plan import Plan

ASK_LIMIT_S = 2.0
ANSWER_BYTES = 256


@dataclass
class Agent:
    """A data plane that is asked: one line with the name of a server comes, one line with its state goes."""

    port: int
    now_s: Callable[[], float]
    name: str = "haproxy-agent"
    plan: Plan | None = None
    server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on the loopback interface."""
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, limit=ANSWER_BYTES)
        self.port = self.server.sockets[0].getsockname()[1]

    async def apply(self, plan: Plan) -> None:
        """Answer with this plan from now on."""
        self.plan = plan

    async def report(self) -> Report | None:
        """An agent is told nothing."""
        return None

    async def close(self) -> None:
        """Listen no longer; HAProxy keeps the last weights."""
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question."""
        with suppress(OSError, TimeoutError, ValueError):
            asked = await asyncio.wait_for(reader.readline(), ASK_LIMIT_S)
            writer.write(self.answer(asked.decode("utf-8", "replace").strip()).encode() + b"\n")
            await writer.drain()
        writer.close()

    def answer(self, node: str) -> str:
        """The state of a server as HAProxy reads it."""
        plan = self.plan
        if plan is None or self.now_s() > plan.valid_until_s:
            return "ready"
        weights = {one.node: one.weight for one in plan.weights}
        if node not in weights:
            return "ready"
        share = round(100 * weights[node] / max(max(weights.values()), 1e-9))
        return f"ready {share}%" if share else "drain"
