"""Rows from librdkafka's own mock cluster, in this process."""

import asyncio
from pathlib import Path

import pytest
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry

from data.errors import DataError
from serving.errors import RefusedError
from serving.streams import kafka
from serving.streams.inlet import Inlet, StreamMetrics
from serving.streams_settings import Kafka


def test_a_message_that_was_not_taken_comes_again_and_one_that_cannot_be_used_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka, "PAUSE_S", 0.01)
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 0})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    for body in (b"first", b"wrong", b"second"):
        producer.produce("rows", body, partition=0)
    assert producer.flush(20) == 0
    registry = CollectorRegistry()
    seen: list[bytes] = []
    said: list[str | None] = []

    async def observe(body: bytes) -> None:
        seen.append(body)
        if body == b"wrong":
            raise RefusedError("body", expected="rows", found="none", remedy="send some")
        if body == b"second" and seen.count(body) == 1:
            raise OSError("the disk is full")

    async def whole() -> None:
        inlet = Inlet("kafka", observe, lambda _, text: said.append(text), StreamMetrics.create(registry))
        settings = Kafka(f"{broker.host}:{broker.port}", "rows")
        async with kafka.reading(settings, inlet), asyncio.timeout(40):
            while seen.count(b"second") < 2 or registry.get_sample_value("shaper_stream_lag_messages", labels) != 0:
                await asyncio.sleep(0.02)

    labels = {"stream": "kafka"}
    asyncio.run(whole())
    assert seen[:3] == [b"first", b"wrong", b"second"]
    assert seen[3:] == [b"first", b"wrong", b"second"]  # nothing was committed of a batch that was not taken whole
    assert said[0] is None
    assert str(said[1]).endswith("topic rows: the disk is full")
    assert said[2] is None
    name = "shaper_stream_messages_total"
    assert registry.get_sample_value(name, {**labels, "outcome": "refused"}) == 2


def test_properties_come_from_a_file_and_the_section_goes_before_them(tmp_path: Path) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("# secret\n\nsasl.password = a=b\ngroup.id=other\n", "utf-8")
    found = kafka.configuration(Kafka("one:9092", properties=str(path)))
    assert (found["sasl.password"], found["group.id"], found["bootstrap.servers"]) == ("a=b", "shaper", "one:9092")
    path.write_text("sasl.password=x\nhunter2hunter2\n", "utf-8")
    with pytest.raises(DataError, match="name=value in each line; found another as number 2") as caught:
        kafka.properties(str(path))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(DataError, match="a file of properties"):
        kafka.properties(str(tmp_path / "none"))


def test_properties_that_librdkafka_does_not_know_end_the_start(tmp_path: Path) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("no.such.property=1\n", "utf-8")

    async def whole() -> None:
        inlet = Inlet("kafka", lambda _: asyncio.sleep(0), print, StreamMetrics.create(CollectorRegistry()))
        async with kafka.reading(Kafka("127.0.0.1:1", properties=str(path)), inlet):
            pass

    with pytest.raises(DataError, match="settings that librdkafka takes"):
        asyncio.run(whole())
