"""A sidecar that is killed at random moments, while rows come twice, in disorder or not at all, and its disk is full now and then.

Its plan is back at once, its audit trail is whole, every order that it accepted was taken once, and none came late.
"""

import asyncio
import itertools
import random
import resource
import signal
import time
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPException
from pathlib import Path

import httpx
import pytest

from serving.audit.reading import replay, verify
from tests.serving.embedded.load import transaction
from tests.serving.embedded.processes import chain, require_once, write_gateway
from tests.serving.made import START, counts, posted
from tests.serving.process import Running, running

KEPT = '[audit]\nfolder = "audit"\n[state]\nfolder = "state"\nevery_s = 1\n[feed]\nclock = "rows"\n'
BACK_WITHIN_S, BARE_START_S = 5.0, 2.0  # on a machine that is so busy that a bare start takes longer, in proportion
SPAN_S, ORDER_S, DEADLINE_S = 60, 0.02, 2.0
FULL_AT_BYTES = 4096  # of a file: less than what the trail and the snapshot have


@dataclass
class Orders:
    """Critical orders by number: those that wait for an acceptance, those accepted, and how long that took (s)."""

    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    open: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)

    async def play(self, port: int, over: asyncio.Event) -> None:
        """Send again what no answer came to, then new ones, until it is over."""
        waiting, self.open = self.open, []
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as http,
            asyncio.TaskGroup() as group,
        ):
            while not over.is_set():
                group.create_task(self.send(http, waiting.pop() if waiting else next(self.numbers)))
                await asyncio.sleep(ORDER_S)
        self.open += waiting

    async def send(self, http: httpx.AsyncClient, number: int) -> None:
        """One order; it waits for the next life when this one gave no acceptance."""
        call = {"jsonrpc": "2.0", "id": number, "method": "eth_sendRawTransaction", "params": [transaction(number)]}
        begun = time.monotonic()
        try:
            answer = await http.post("/", json=call, headers={"X-Api-Key": "liquidator"})
        except httpx.HTTPError:
            self.open.append(number)  # killed
            return
        assert answer.status_code == 200, answer.text
        self.accepted.append(number)
        self.took_s.append(time.monotonic() - begun)


@dataclass
class Rows:
    """Minutes of rows that are posted in order, again, in disorder, or not at all for a while."""

    draws: random.Random
    minute: int = 10

    async def play(self, sidecar: Running, over: asyncio.Event) -> None:
        """Post until it is over."""
        while not over.is_set():
            match self.draws.choice(("next", "next", "again", "disorder", "freeze")):
                case "next":
                    self.minute += 1
                    await self.post(sidecar, self.minute)
                case "again":
                    await self.post(sidecar, self.minute)
                case "disorder":
                    self.minute += 2
                    await self.post(sidecar, self.minute)
                    await self.post(sidecar, self.minute - 1)
                case "freeze":
                    await asyncio.sleep(0.3)

    async def post(self, sidecar: Running, minute: int) -> None:
        """Post a minute, if the sidecar lives."""
        rows = posted(counts(START + timedelta(seconds=SPAN_S * minute), SPAN_S))
        try:
            status, body = await asyncio.to_thread(sidecar.ask, "POST", "/v1/observations", {"request_counts": rows})
        except (OSError, HTTPException):
            return
        assert status == 202, body


def fill_disk(sidecar: Running, is_full: bool) -> None:
    """Let no file of the sidecar grow, or let them again: what a full disk does to it, and to it alone."""
    hard = resource.prlimit(sidecar.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(sidecar.process.pid, resource.RLIMIT_FSIZE, (FULL_AT_BYTES if is_full else hard, hard))


async def live(sidecar: Running, orders: Orders, rows: Rows, for_s: float) -> float:
    """One life, to its end by kill -9; returns from when on a plan must be back (s)."""
    over = asyncio.Event()
    full_s = rows.draws.choice((0.0, for_s / 2))
    plan = sidecar.get("/v1/plan")
    async with asyncio.TaskGroup() as group:
        group.create_task(orders.play(sidecar.orders_port, over))
        group.create_task(rows.play(sidecar, over))
        fill_disk(sidecar, full_s > 0)
        await asyncio.sleep(full_s)
        fill_disk(sidecar, False)
        await asyncio.sleep(for_s - full_s)
        if not full_s:  # else the rows since have been in no journal
            plan = await asyncio.to_thread(sidecar.get, "/v1/plan")
        assert sidecar.stop(signal.SIGKILL) == -signal.SIGKILL
        over.set()
    return float(plan["valid_from_s"]) - 2 * SPAN_S  # the newest may not be kept yet


def back_within(sidecar: Running, plan_s: float, limit_s: float) -> float:
    """How long it took from its start until there was a plan that is not older (s)."""
    begun = time.monotonic()
    sidecar.wait_for("/v1/plan", limit_s)
    while sidecar.get("/v1/plan")["valid_from_s"] < plan_s:  # the snapshot's is older than the rows of the journal
        assert time.monotonic() - begun < limit_s
    return time.monotonic() - begun + sidecar.start_s


async def settle(sidecar: Running, orders: Orders) -> None:
    """Have accepted what no answer has come to."""
    over, wanted = asyncio.Event(), len(orders.accepted) + len(orders.open)
    playing = asyncio.create_task(orders.play(sidecar.orders_port, over))
    async with asyncio.timeout(60):
        while len(orders.accepted) < wanted:
            await asyncio.sleep(0.05)
    over.set()
    await playing
    assert not orders.open


@pytest.mark.parametrize(
    "kills", [pytest.param(3, marks=pytest.mark.integration), pytest.param(50, marks=pytest.mark.long)]
)
@pytest.mark.timeout(1200)
def test_a_sidecar_that_is_killed_at_random_moments_loses_no_order_no_plan_and_no_record(
    tmp_path: Path, kills: int
) -> None:
    (tmp_path / "ledger").mkdir()
    draws = random.Random(20 + kills)  # noqa: S311
    orders, rows, plan_s, late_s, limit_s = Orders(), Rows(draws), 0.0, [], 60.0
    with chain(tmp_path / "ledger") as nodes:
        config = write_gateway(tmp_path, nodes, timeout_s=1.0)
        config.write_text(config.read_text("utf-8") + KEPT, "utf-8")
        for name in nodes.ports:
            nodes.trouble(name, "well", pause_s=0.05)
        for life in range(kills + 1):
            with running(config) as sidecar:
                if life == 0:
                    limit_s = BACK_WITHIN_S * max(sidecar.start_s / BARE_START_S, 1)
                    for minute in range(rows.minute + 1):
                        asyncio.run(rows.post(sidecar, minute))
                late_s.append(back_within(sidecar, plan_s, limit_s))
                if life < kills:
                    plan_s = asyncio.run(live(sidecar, orders, rows, draws.uniform(0.0, 1.5)))
                else:
                    asyncio.run(settle(sidecar, orders))
                    assert sidecar.stop() == 0
        require_once(nodes, [transaction(number) for number in orders.accepted])
        assert len(nodes.taken()) == len(orders.accepted)
    in_time = sum(took_s <= DEADLINE_S for took_s in orders.took_s) / len(orders.took_s)
    print(
        f"\nback within {max(late_s[1:]):.2f} s at the worst of {kills} (limit {limit_s:.1f} s), {rows.minute} minutes"
    )
    print(
        f"{len(orders.accepted)} orders taken once, {in_time:.2%} of them in time, at most {max(orders.took_s):.2f} s"
    )
    assert max(late_s[1:]) < limit_s
    assert in_time >= 0.999
    assert verify(config.parent / "audit").kinds["start"] == kills + 1
    assert replay(config.parent / "audit").recomputed > kills
