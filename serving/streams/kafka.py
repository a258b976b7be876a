"""Rows from a Kafka topic, by librdkafka.

Decided here: offsets are committed once the rows before them are taken, so that none is lost with the process; what is read again
after a crash counts once, for rows have keys. Whatever else fails, the consumer is made anew and goes on from what was committed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException

from data.errors import DataError
from serving.streams.inlet import Inlet
from serving.streams_settings import Kafka

AT_ONCE, WAIT_S, PAUSE_S, META_S = 64, 0.5, 2.0, 5.0
LOST = (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._FATAL)
T = TypeVar("T")


@asynccontextmanager
async def reading(settings: Kafka, inlet: Inlet) -> AsyncIterator[None]:
    """Take rows in the background while the context is open. Raises DataError for properties that librdkafka does not know."""
    wanted = configuration(settings)
    try:
        Consumer(wanted).close()
    except KafkaException as error:
        raise DataError(
            "[kafka]", expected="settings that librdkafka takes", found=str(error), remedy="correct kafka.properties"
        ) from error
    task = asyncio.create_task(read(wanted, settings.topic, inlet))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def configuration(settings: Kafka) -> dict[str, Any]:
    """What the consumer is told. Raises DataError for a file of properties that cannot be read."""
    return {
        "session.timeout.ms": 10_000,
        **properties(settings.properties),
        "bootstrap.servers": settings.brokers,
        "group.id": settings.group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }


def properties(name: str | None) -> dict[str, str]:
    """Properties of a file, one `name=value` a line; # begins a line that says nothing. Raises DataError for another file."""
    if name is None:
        return {}
    try:
        lines = [line.strip() for line in Path(name).read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(name, expected="a file of properties", found=str(error), remedy="correct the path") from error
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    wrong = next((number for number, (_, sign, _) in enumerate(pairs, 1) if not sign), None)
    if wrong is not None:  # a value may be a secret, so that it is not said
        raise DataError(
            name, expected="name=value in each line", found=f"another as number {wrong}", remedy="correct it"
        )
    return {key.strip(): value.strip() for key, _, value in pairs}


async def read(wanted: dict[str, Any], topic: str, inlet: Inlet) -> None:
    """Take rows for ever, by a consumer that is made again whenever it fails."""
    while True:
        with ThreadPoolExecutor(1, thread_name_prefix="kafka") as thread:
            try:
                await read_once(wanted, topic, inlet, thread)
            except (KafkaException, OSError) as error:
                inlet.tell(f"{wanted['bootstrap.servers']}, topic {topic}: {words(error)}")
        await asyncio.sleep(PAUSE_S)


async def read_once(wanted: dict[str, Any], topic: str, inlet: Inlet, thread: ThreadPoolExecutor) -> None:
    """Take rows until something fails. Raises KafkaException then, or whatever taking them raised."""
    lost: list[KafkaError] = []

    def faulty(error: KafkaError) -> None:
        if error.code() in LOST:
            lost.append(error)

    async def on_thread(job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, job)

    consumer = Consumer({**wanted, "error_cb": faulty, "logger": None})
    try:
        await on_thread(lambda: subscribe(consumer, topic))
        inlet.tell(None)
        while True:
            messages = await on_thread(lambda: consumer.consume(AT_ONCE, WAIT_S))
            if lost:
                raise KafkaException(lost[-1])
            for message in messages:
                await take(message, inlet)
            if messages:
                await on_thread(lambda: consumer.commit(asynchronous=False))
            inlet.waits(await on_thread(lambda: lag(consumer)))
    finally:
        await asyncio.shield(on_thread(consumer.close))


def words(error: Exception) -> str:
    """An error in words."""
    fault = error.args[0] if error.args else error
    return str(fault.str()) if isinstance(fault, KafkaError) else str(error)


def subscribe(consumer: Any, topic: str) -> None:
    """Join the group. Raises KafkaException when no broker answers or none has the topic."""
    fault = consumer.list_topics(topic, META_S).topics[topic].error
    if fault is not None:
        raise KafkaException(fault)
    consumer.subscribe([topic])


async def take(message: Any, inlet: Inlet) -> None:
    """Take the rows of one message. Raises KafkaException for one that is an error."""
    if message.error() is not None:
        raise KafkaException(message.error())
    place = f"{message.topic()}/{message.partition()}/{message.offset()}"
    await inlet.take(message.value() or b"", place)


def lag(consumer: Any) -> int:
    """Messages after the position, in all partitions that are assigned, as far as the last answers of the brokers tell."""
    waiting = 0
    for place in consumer.position(consumer.assignment()):
        low, high = consumer.get_watermark_offsets(place, cached=True)
        waiting += max(high - max(place.offset, low), 0)
    return waiting
