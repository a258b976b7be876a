"""Rows from a real NATS server, and from librdkafka's own Kafka, reach the plan; none is lost or taken twice through restarts."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import nats
import pytest
from confluent_kafka import Producer
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


def kafka_cluster() -> tuple[Producer, str]:
    """A producer that keeps librdkafka's own mock cluster in it, and where its broker listens."""
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 0})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    return producer, f"{broker.host}:{broker.port}"


def send(producer: Producer, *bodies: bytes) -> None:
    for body in bodies:
        producer.produce("shaper.observations", body)
    assert producer.flush(20) == 0


def told(sidecar: Running, metric: str) -> float:
    lines = sidecar.ask("GET", "/metrics")[1].decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric)), 0.0)


def test_rows_of_a_topic_are_taken_once_and_go_on_where_they_stopped(tmp_path: Path) -> None:
    write_artefact(tmp_path / "artefact")
    producer, brokers = kafka_cluster()
    send(producer, *(hour(number) for number in range(3)), b'{"weather": []}')
    section = f'[kafka]\nbrokers = "{brokers}"\n[model]'
    config = write_config(tmp_path, 'kind = "none"\nclock = "rows"', change=("[model]", section))
    refused = 'shaper_stream_messages_total{outcome="refused",stream="kafka"}'
    with running(config) as sidecar:
        wait_for(lambda: rows(sidecar) == 3 * 1200 and told(sidecar, refused) == 1)
        sidecar.wait_for("/v1/plan")
        wait_for(lambda: told(sidecar, 'shaper_stream_lag_messages{stream="kafka"}') == 0)
        assert "cannot be used" in (tmp_path / "serve.log").read_text("utf-8")
        assert sidecar.stop() == 0
    send(producer, hour(3))
    with running(config) as again:
        wait_for(lambda: rows(again) == 1200)
        again.process.kill()


def test_a_cluster_that_is_away_is_said_and_the_sidecar_goes_on(tmp_path: Path) -> None:
    write_artefact(tmp_path / "artefact")
    section = f'[kafka]\nbrokers = "127.0.0.1:{free_port()}"\n[model]'
    config = write_config(tmp_path, 'kind = "none"\nclock = "rows"', change=("[model]", section))
    with running(config) as sidecar:
        wait_for(lambda: "kafka: " in str(sidecar.ask("GET", "/readyz")[1]))
        assert sidecar.ask("POST", "/v1/observations", msgspec.json.decode(hour(0)))[0] == 202
        assert sidecar.stop() == 0
