"""The gateway among real processes: far too many orders, while its nodes die, hang, lie and flap one after another."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest

from tests.serving.embedded.load import Result, Stream, paced, send_transaction, transaction
from tests.serving.embedded.processes import Chain, chain, require_once, write_gateway
from tests.serving.process import running

PAUSE_S = 0.1  # that an order takes a node
DEADLINE_S = 2.0
ACT_S = 0.8
Act = Callable[[], None]


def havoc(nodes: Chain) -> Iterator[Act]:
    """One trouble after another, at one node at a time, so that the others can do what is most urgent."""
    for name in cycle(nodes.ports):
        for trouble in ("hang", "lie", "garble", "fail", "stall", "busy", "genesis"):
            yield lambda name=name, trouble=trouble: nodes.trouble(name, trouble, PAUSE_S)  # type: ignore[misc]
            yield lambda name=name: nodes.trouble(name, "well", PAUSE_S)  # type: ignore[misc]
        yield lambda name=name: nodes.kill(name)  # type: ignore[misc]
        yield lambda name=name: back(nodes, name)  # type: ignore[misc]


def back(nodes: Chain, name: str) -> None:
    """A node that was killed, as it was."""
    nodes.start(name)
    nodes.trouble(name, "well", PAUSE_S)


def on_time(found: Result) -> float:
    """The share of orders that were accepted within their deadline."""
    sound = zip(found.statuses, found.took_s, strict=True)
    return sum(status == 200 and took <= DEADLINE_S for status, took in sound) / len(found.statuses)


@pytest.mark.parametrize(
    ("times", "capacity_per_s", "seconds"),
    [
        pytest.param(10, 40.0, 10.0, marks=pytest.mark.integration),
        pytest.param(10, 10.0, 300.0, marks=pytest.mark.long),
        pytest.param(50, 10.0, 30.0, marks=pytest.mark.long),
    ],
)
@pytest.mark.timeout(600)
def test_under_many_times_the_load_the_critical_tier_is_on_time_and_every_order_is_taken_once(
    tmp_path: Path, times: int, capacity_per_s: float, seconds: float
) -> None:
    (tmp_path / "ledger").mkdir()
    flood = times * capacity_per_s - capacity_per_s / 4
    with chain(tmp_path / "ledger") as nodes:
        config = write_gateway(tmp_path, nodes, capacity_per_s, max_in_flight=2, timeout_s=0.4)
        for name in nodes.ports:
            nodes.trouble(name, "well", PAUSE_S)
        with running(config) as sidecar:

            async def meanwhile() -> None:
                loop = asyncio.get_running_loop()
                acts, end_s = havoc(nodes), loop.time() + seconds - ACT_S
                while loop.time() < end_s:
                    await asyncio.to_thread(next(acts))
                    await asyncio.sleep(ACT_S)

            results = paced(
                sidecar.orders_port,
                100,
                seconds,
                [
                    Stream("critical", capacity_per_s / 4, send_transaction("liquidator", 1)),
                    Stream("taker", flood / 2, send_transaction("crowd", 2)),
                    # the same crowd under a borrowed label, and a flood of exports
                    Stream("labelled", flood / 4, send_transaction("crowd", 3, "Shaper-Tier: critical\r\n")),
                    Stream("bulk", flood / 4, send_transaction("export", 4)),
                ],
                meanwhile,
            )
            counted = re.findall(
                rb'shaper_gateway_orders_total{.*tier="critical"} ([0-9.]+)', sidecar.ask("GET", "/metrics")[1]
            )
            assert sidecar.stop() == 0
        shares = {name: on_time(found) for name, found in results.items()}
        sent = sum(len(found.statuses) for found in results.values())
        print(f"\ncritical orders by status {Counter(results['critical'].statuses)}")
        print(f"{sent} orders, on time {shares}, critical p99 {results['critical'].quantile(0.99):.3f} s")
        assert shares["critical"] >= 0.999
        assert max(shares["taker"], shares["labelled"], shares["bulk"]) < 0.5
        assert sum(map(float, counted)) == len(results["critical"].statuses)  # no label made an order critical
        assert {status for found in results.values() for status in found.statuses} <= {200, 429, 503, 504}
        require_once(
            nodes,
            [
                transaction(number, account)
                for account, found in enumerate(results.values(), start=1)
                for number, status in zip(found.numbers, found.statuses, strict=True)
                if status == 200
            ],
        )
