"""Rows from a real NATS server reach the plan, and none is lost or taken twice when the sidecar or the server goes away."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import nats
import pytest
from nats.js.api import StreamConfig

from tests.integration.parts import free_port, part
from tests.serving.made import START, counts, posted, write_artefact, write_config
from tests.serving.process import Running, running
from tests.serving.test_api import wait_for

pytestmark = pytest.mark.integration


@contextmanager
def server(port: int, folder: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [part("nats-server"), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait(30)


def publish(port: int, *bodies: bytes) -> None:
    async def all_of_them() -> None:
        connection = await nats.connect(f"nats://127.0.0.1:{port}", connect_timeout=20)
        stream = connection.jetstream()
        await stream.add_stream(StreamConfig(name="ORDERS", subjects=["shaper.observations"]))
        for body in bodies:
            await stream.publish("shaper.observations", body)
        await connection.close()

    asyncio.run(all_of_them())


def hour(number: int) -> bytes:
    return msgspec.json.encode({"request_counts": posted(counts(START + timedelta(minutes=10 * number), 600))})


def rows(sidecar: Running) -> float:
    lines = sidecar.ask("GET", "/metrics")[1].decode().splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith("shaper_observed_rows_total{")), 0.0)


def test_rows_of_a_stream_are_taken_once_through_restarts_of_either_side(tmp_path: Path) -> None:
    write_artefact(tmp_path / "artefact")
    port = free_port()
    section = f'[nats]\nurl = "nats://127.0.0.1:{port}"\nstream = "ORDERS"\n[model]'
    config = write_config(tmp_path, 'kind = "none"\nclock = "rows"', change=("[model]", section))
    with running(config) as sidecar:
        wait_for(lambda: "nats: " in str(sidecar.ask("GET", "/readyz")[1]))
        with server(port, tmp_path / "store"):
            publish(port, *(hour(number) for number in range(3)), b'{"weather": []}')
            wait_for(lambda: rows(sidecar) == 3 * 1200)
        with server(port, tmp_path / "store"):
            publish(port, hour(3))
            wait_for(lambda: rows(sidecar) == 4 * 1200)
            sidecar.wait_for("/v1/plan")
            assert sidecar.stop() == 0
            assert "cannot be used" in (tmp_path / "serve.log").read_text("utf-8")
            publish(port, hour(4))
            with running(config) as again:
                wait_for(lambda: rows(again) == 1200)
