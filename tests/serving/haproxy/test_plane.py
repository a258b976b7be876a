"""The runtime API against a stand-in on a real socket that speaks HAProxy's interactive mode and remembers what it was told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from serving.dataplane import DataPlaneError
from serving.haproxy.agent import Agent
from serving.haproxy.plane import HAProxyPlane, maps_of, weights_of, window_of
from serving.haproxy.render import NO_QUOTA
from tests.serving.haproxy.made import planned, section, venue

pytestmark = pytest.mark.anyio
STAT = "# pxname,svname,qcur,req_rate,\norders,FRONTEND,,250,\nnodes,n0,0,,\nnodes,BACKEND,9,,\n"
TABLE = (
    "# table: tiers, type: string, size:1024, used:2\n0x1: key=critical use=0 exp=1 shard=0 conn_cur=2 http_req_rate(1000)=5\n"
    "0x2: key=bulk use=0 exp=1 shard=0 conn_cur=7 http_req_rate(1000)=50\n"
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def stand_in(path: str, answer: Callable[[str], str]) -> AsyncIterator[list[str]]:
    told: list[str] = []
    sessions: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.append(writer)
        while line := await reader.readline():
            told.append(line.decode().strip())
            writer.write(f"{answer(told[-1])}\n\n> ".encode())
        writer.close()

    server = await asyncio.start_unix_server(talk, path)
    try:
        yield told
    finally:
        server.close()
        for writer in sessions:
            writer.close()


def obliging(command: str) -> str:
    if command.startswith("prepare map"):
        return "New version created: 7"
    return {"show stat": STAT, "show table tiers": TABLE}.get(command, "")


def plane(folder: Path) -> HAProxyPlane:
    return HAProxyPlane(section(folder), venue())


async def test_a_plan_is_told_once_and_again_only_where_it_changed(tmp_path: Path) -> None:
    own = plane(tmp_path)
    async with stand_in(own.own.socket, obliging) as told:
        await own.apply(planned(venue(), 100.0))
        first = len(told)
        assert f"set server nodes/n0 weight {weights_of(planned(venue(), 100.0))['n0']}" in told
        assert f"add map @7 {tmp_path}/classes.map critical 0" in told
        assert f"commit map @7 {tmp_path}/quotas.map" in told
        await own.apply(planned(venue(), 100.0))
        assert len(told) == first
        await own.apply(planned(venue(), 3000.0))
        assert {line.split()[-1] for line in told[first:] if line.startswith("commit")} == {f"{tmp_path}/quotas.map"}
        await own.close()


async def test_a_haproxy_that_was_restarted_is_told_everything_again(tmp_path: Path) -> None:
    own = plane(tmp_path)
    async with stand_in(own.own.socket, obliging) as told:
        await own.apply(planned(venue(), 100.0))
        count = len(told)
    with pytest.raises(DataPlaneError, match="haproxy"):
        await own.apply(planned(venue(), 3000.0))
    Path(own.own.socket).unlink(missing_ok=True)
    async with stand_in(own.own.socket, obliging) as told:
        await own.apply(planned(venue(), 100.0))
        assert len(told) == count
        await own.close()


async def test_a_refusal_is_said_with_the_command(tmp_path: Path) -> None:
    own = plane(tmp_path)
    async with stand_in(own.own.socket, lambda command: "" if command == "prompt" else "No such server."):
        with pytest.raises(DataPlaneError, match=r"set server nodes/n0 weight .*No such server"):
            await own.apply(planned(venue(), 100.0))


async def test_the_load_is_read_back_and_the_least_urgent_are_taken_to_wait(tmp_path: Path) -> None:
    own = plane(tmp_path)
    async with stand_in(own.own.socket, obliging):
        report = await own.report()
        await own.close()
    assert report is not None
    assert report.demand_per_s == 250.0
    assert report.queued == {"critical": 2.0, "hedge": 0.0, "maker": 0.0, "taker": 0.0, "bulk": 7.0}


async def test_no_haproxy_is_said_with_the_socket_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataPlaneError, match=r"haproxy.sock.*start HAProxy"):
        await plane(tmp_path).report()


def test_the_most_urgent_tier_has_no_quota_and_the_others_the_plans() -> None:
    made = planned(venue(), 3000.0)
    quotas = maps_of(made)["quotas"]
    assert quotas["critical"] == NO_QUOTA
    assert quotas["maker"] == window_of(next(tier.rate_per_s for tier in made.quotas if tier.tier == "maker")) == 100


def test_weights_are_in_256ths_of_the_largest() -> None:
    weights = weights_of(planned(venue(), 100.0))
    assert max(weights.values()) == 256
    assert min(weights.values()) >= 1


async def test_an_agent_answers_the_share_of_a_fresh_plan_and_ready_otherwise() -> None:
    clock = [0.0]
    agent = Agent(0, lambda: clock[0])
    await agent.open()

    async def asked(node: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
        writer.write(node.encode() + b"\n")
        answer = (await reader.read()).decode().strip()
        writer.close()
        return answer

    assert await asked("n0") == "ready"
    made = planned(venue(), 100.0)
    await agent.apply(made)
    weights = weights_of(made)
    assert await asked("n0") == f"ready {round(100 * weights['n0'] / 256)}%"
    assert await asked("unknown") == "ready"
    clock[0] = made.valid_until_s + 1
    assert await asked("n0") == "ready"
    await agent.close()
