"""The gateway among real processes: nodes that die, hang, lie and flap, ten times too many orders, and its own end."""

import asyncio
import json
import re
import signal
from collections import Counter
from pathlib import Path

import httpx
import pytest
from Crypto.Hash import keccak

from tests.serving.embedded.load import Stream, paced, send_transaction, transaction
from tests.serving.embedded.processes import Chain, chain, write_gateway
from tests.serving.process import running

pytestmark = pytest.mark.integration


def hash_of(signed: str) -> str:
    return keccak.new(digest_bits=256, data=bytes.fromhex(signed[2:])).hexdigest()


async def send(http: httpx.AsyncClient, number: int, key: str = "crowd") -> int:
    """The status of a transaction's answer, 0 for none."""
    call = {"jsonrpc": "2.0", "id": number, "method": "eth_sendRawTransaction", "params": [transaction(number)]}
    try:
        return (await http.post("/", content=json.dumps(call), headers={"X-Api-Key": key})).status_code
    except httpx.HTTPError:
        return 0


def require_once(nodes: Chain, accepted: list[str]) -> None:
    """Every accepted order was taken, none twice."""
    taken = nodes.taken()
    assert len(taken) == len(set(taken))
    assert set(accepted) <= set(taken)


def test_orders_are_taken_once_while_nodes_die_hang_lie_and_flap(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    with chain(tmp_path / "ledger") as nodes, running(write_gateway(tmp_path, nodes)) as sidecar:

        async def havoc() -> None:
            for act in (
                lambda: nodes.kill("n0"),
                lambda: nodes.trouble("n1", "hang"),
                lambda: nodes.trouble("n1", "well"),
                lambda: nodes.start("n0"),
                lambda: nodes.trouble("n2", "lie"),
                lambda: nodes.trouble("n2", "well"),
                lambda: nodes.trouble("n1", "garble"),
                lambda: nodes.trouble("n1", "fail"),
                lambda: nodes.trouble("n1", "well"),
            ):
                await asyncio.sleep(0.6)
                await asyncio.to_thread(act)

        result = paced(sidecar.orders_port, 100, 7.0, [Stream("all", 150.0, send_transaction("crowd"))], havoc)["all"]
        accepted = [
            hash_of(transaction(number))
            for number, status in zip(result.numbers, result.statuses, strict=True)
            if status == 200
        ]
        print(f"\n{len(accepted)} of {len(result.statuses)} accepted, p99 {result.quantile(0.99):.3f} s")
        require_once(nodes, accepted)
        assert len(accepted) >= 0.97 * len(result.statuses)
        assert set(result.statuses) <= {200, 503, 504}
        assert sidecar.stop() == 0


def test_the_critical_tier_is_on_time_under_ten_times_the_load(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    with (
        chain(tmp_path / "ledger") as nodes,
        running(write_gateway(tmp_path, nodes, capacity_per_s=40.0, max_in_flight=2, timeout_s=1.0)) as sidecar,
    ):
        for name in nodes.ports:
            nodes.trouble(name, "well", pause_s=0.1)
        results = paced(
            sidecar.orders_port,
            100,
            8.0,
            [
                Stream("critical", 20.0, send_transaction("liquidator", 1)),
                Stream("taker", 180.0, send_transaction("crowd", 2)),
                # the same crowd under a borrowed label, and a flood of exports
                Stream("labelled", 90.0, send_transaction("crowd", 3, "Shaper-Tier: critical\r\n")),
                Stream("bulk", 110.0, send_transaction("export", 4)),
            ],
        )
        on_time = {
            name: sum(status == 200 and took <= 2.0 for status, took in zip(found.statuses, found.took_s, strict=True))
            / len(found.statuses)
            for name, found in results.items()
        }
        print(f"\non time {on_time}, critical p99 {results['critical'].quantile(0.99):.3f} s")
        assert on_time["critical"] >= 0.999
        assert max(on_time["taker"], on_time["labelled"], on_time["bulk"]) < 0.5
        counted = re.findall(
            rb'shaper_gateway_orders_total{.*tier="critical"} ([0-9.]+)', sidecar.ask("GET", "/metrics")[1]
        )
        assert sum(map(float, counted)) == len(results["critical"].statuses)  # no label made an order critical
        assert set(results["taker"].statuses) <= {200, 429, 503, 504}
        accepted = [
            hash_of(transaction(number, account))
            for account, name in enumerate(results, start=1)
            for number, status in zip(results[name].numbers, results[name].statuses, strict=True)
            if status == 200
        ]
        require_once(nodes, accepted)


def test_a_signal_ends_it_without_losing_what_it_has_sent(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    with (
        chain(tmp_path / "ledger") as nodes,
        running(write_gateway(tmp_path, nodes, max_in_flight=10, timeout_s=1.0)) as sidecar,
    ):
        for name in nodes.ports:
            nodes.trouble(name, "well", pause_s=0.3)

        async def story() -> list[int]:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{sidecar.orders_port}", timeout=20) as http:
                sending = [asyncio.create_task(send(http, number)) for number in range(90)]
                while len(nodes.taken()) < 10:
                    await asyncio.sleep(0.02)
                sidecar.process.send_signal(signal.SIGTERM)
                return await asyncio.gather(*sending)

        statuses = asyncio.run(story())
        assert sidecar.process.wait(30) == 0
        accepted = [hash_of(transaction(number)) for number, status in enumerate(statuses) if status == 200]
        print(f"\nanswers by status {Counter(statuses)}")
        assert len(accepted) >= 30
        assert sorted(accepted) == sorted(nodes.taken())


def test_orders_under_way_when_it_is_killed_are_taken_once_when_their_clients_send_them_again(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    with chain(tmp_path / "ledger") as nodes:
        config = write_gateway(tmp_path, nodes, timeout_s=1.0)
        for name in nodes.ports:
            nodes.trouble(name, "well", pause_s=0.2)
        left = list(range(60))
        for _ in range(2):
            with running(config) as sidecar:

                async def story(port: int, numbers: list[int], process_kill: object) -> list[int]:
                    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
                        sending = [asyncio.create_task(send(http, number)) for number in numbers]
                        await asyncio.sleep(0.3)
                        if callable(process_kill):
                            process_kill()
                        return await asyncio.gather(*sending)

                kill = None if left == [] else sidecar.process.kill
                statuses = asyncio.run(story(sidecar.orders_port, left, kill))
                left = [number for number, status in zip(left, statuses, strict=True) if status != 200]
        with running(config) as sidecar:
            assert set(asyncio.run(story(sidecar.orders_port, left, None))) <= {200}
        assert sorted(nodes.taken()) == sorted(hash_of(transaction(number)) for number in range(60))
