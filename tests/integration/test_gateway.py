"""The gateway among real processes, at its own end."""

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.serving.embedded.load import transaction
from tests.serving.embedded.processes import chain, hash_of, write_gateway
from tests.serving.process import running

pytestmark = pytest.mark.integration


async def send(http: httpx.AsyncClient, number: int, key: str = "crowd") -> int:
    """The status of a transaction's answer, 0 for none."""
    call = {"jsonrpc": "2.0", "id": number, "method": "eth_sendRawTransaction", "params": [transaction(number)]}
    try:
        return (await http.post("/", content=json.dumps(call), headers={"X-Api-Key": key})).status_code
    except httpx.HTTPError:
        return 0


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
