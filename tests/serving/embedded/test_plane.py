"""The gateway as a data plane: plans in, load out, and its end."""

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from serving.dataplane import DataPlane, DataPlaneError
from serving.embedded.plane import EmbeddedGateway, first_rates
from serving.sockets import listen
from shaper.observed import Observed
from shaper.plan import NodeSetting, Plan, TierSetting, plan
from shaper.routes import RouteSetting
from tests.serving.embedded.made import NAMES, play, settings, venue, world


def planned(**changes: object) -> Plan:
    made = plan(venue(), None, Observed(0.0, 10.0, (), 10, 10))
    return replace(made, **changes)  # type: ignore[arg-type]


def weights(**shares: float) -> tuple[NodeSetting, ...]:
    return tuple(NodeSetting(name, shares.get(name, 0.0), "") for name in NAMES)


def test_a_plan_says_which_nodes_get_the_orders_and_a_tier_s_routes_go_before_its_weights(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            await there.gateway.apply(
                planned(weights=weights(n0=0.5, n1=0.5), routes=(RouteSetting("bulk", "n2", 1.0, ""),))
            )
            await asyncio.gather(*(there.send(number, "crowd") for number in range(10)))
            await asyncio.gather(*(there.send(number, "export") for number in range(10, 15)))
            seen = {name: len(node.seen) for name, node in there.nodes.items()}
            assert seen["n0"] + seen["n1"] == 10
            assert min(seen["n0"], seen["n1"]) > 0
            assert seen["n2"] == 5

    play(story())


def test_a_plan_s_quotas_and_order_of_tiers_hold_from_then_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, max_waiting=2, account_share=1.0) as there:
            rates = {"bulk": 1e5, "critical": 0.0, "maker": 0.0, "taker": 0.0}
            quotas = tuple(
                TierSetting(name, rank, rate, rate / 1e5, "") for rank, (name, rate) in enumerate(rates.items())
            )
            await there.gateway.apply(planned(quotas=quotas))
            assert (await there.send(1, "export")).status_code == 200
            await there.gateway.apply(planned(quotas=tuple(replace(quota, rate_per_s=0.0) for quota in quotas)))
            waiting = [asyncio.create_task(there.send(number, "crowd", **PATIENT)) for number in (2, 3)]
            while (await there.gateway.report()).queued["taker"] < 2:
                await asyncio.sleep(0.01)
            urgent = asyncio.create_task(there.send(4, "export", **PATIENT))  # first in this plan's order
            lost, *_ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert lost.pop().result().json()["error"]["message"] == "lost its place to a more urgent order"
            await there.gateway.apply(planned())
            assert (await urgent).status_code == 200

    play(story())


def test_a_tier_s_line_is_as_long_as_the_plan_says_and_then_says_when_to_come_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, account_share=1.0) as there:
            made = planned()
            quotas = tuple(replace(quota, rate_per_s=0.0, most_waiting=2) for quota in made.quotas)
            await there.gateway.apply(replace(made, quotas=quotas))
            tasks = [asyncio.create_task(there.send(number, "crowd", **PATIENT)) for number in range(5)]
            refused = [await done for done in itertools.islice(asyncio.as_completed(tasks), 3)]
            assert {answer.status_code for answer in refused} == {503}
            assert {answer.json()["error"]["message"] for answer in refused} == {
                "as many orders of the tier wait as can be served in time"
            }
            assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
            assert (await there.gateway.report()).queued["taker"] == 2
            await there.gateway.apply(planned())
            assert [(await task).status_code for task in tasks].count(200) == 2

    play(story())


PATIENT = {"Shaper-Deadline-Ms": "2000"}


def test_it_tells_how_many_orders_arrive_and_wait(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            assert (await there.gateway.report()).demand_per_s is None
            await asyncio.gather(*(there.send(number) for number in range(15)))
            report = await there.gateway.report()
            assert report.demand_per_s is not None
            assert 1 <= report.demand_per_s <= 15
            assert report.queued == dict.fromkeys(("critical", "maker", "taker", "bulk"), 0.0)

    play(story())


def test_on_its_way_out_it_answers_what_it_has_and_takes_nothing_new(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as there:
            for node in there.nodes.values():
                node.pause_s = 0.2
            under_way = [asyncio.create_task(there.send(number)) for number in range(5)]
            await asyncio.sleep(0.1)
            closing = asyncio.create_task(there.gateway.close())
            await asyncio.sleep(0.01)
            assert [(await task).status_code for task in under_way] == [200] * 5
            await closing
            assert len(there.taken()) == 5

    play(story())


def test_a_taken_port_and_a_closed_gateway_are_named() -> None:
    async def story() -> None:
        with listen("127.0.0.1", 0) as taken:
            taken.listen()
            port = taken.getsockname()[1]
            made: DataPlane = EmbeddedGateway(
                settings(dict.fromkeys(NAMES, 9), port=port), venue(), CollectorRegistry()
            )
            with pytest.raises(DataPlaneError, match=r"gateway\.port"):
                await made.open()
            with pytest.raises(DataPlaneError, match="open it first"):
                await made.report()
            await made.close()

    play(story())


def test_before_any_plan_the_quotas_are_those_of_a_surge() -> None:
    rates = first_rates(venue(1000.0))
    assert sum(rates.values()) == pytest.approx(1000.0)
    assert rates["critical"] == pytest.approx(680.0)  # all but the floors of the others
