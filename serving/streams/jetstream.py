"""Rows from NATS JetStream.

Decided here: a message is acknowledged once its rows are taken, so that none is lost with the process, and taken back for good when
they cannot be used, which no repetition would mend; a server that is away is asked again for ever, for data planes live without it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import nats
from nats.errors import Error, NoServersError, TimeoutError  # noqa: A004  (its own)

from serving.streams.inlet import Inlet
from serving.streams_settings import Nats

AT_ONCE, WAIT_S, PAUSE_S = 64, 1.0, 2.0


@asynccontextmanager
async def reading(settings: Nats, inlet: Inlet) -> AsyncIterator[None]:
    """Take rows in the background while the context is open."""
    task = asyncio.create_task(read(settings, inlet))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def read(settings: Nats, inlet: Inlet) -> None:
    """Take rows for ever, from a connection that is made again whenever it is lost."""
    while True:
        try:
            await read_once(settings, inlet)
        except (Error, NoServersError, OSError) as error:
            inlet.tell(f"{settings.url}, stream {settings.stream}: {type(error).__name__}: {error}")
        await asyncio.sleep(PAUSE_S)


async def read_once(settings: Nats, inlet: Inlet) -> None:
    """Take rows until the connection fails. Raises nats.errors.Error or OSError then."""
    connection = await nats.connect(
        settings.url,
        user_credentials=settings.credentials,
        allow_reconnect=False,
        error_cb=passed_over,
        connect_timeout=2,
        max_reconnect_attempts=1,
        reconnect_time_wait=0.5,
    )
    try:
        consumer = await connection.jetstream().pull_subscribe(
            settings.subject, durable=settings.durable, stream=settings.stream
        )
        inlet.tell(None)
        while not connection.is_closed:
            with suppress(TimeoutError):
                for message in await consumer.fetch(AT_ONCE, timeout=WAIT_S):
                    await take(message, inlet)
    finally:
        await connection.close()


async def take(message: Any, inlet: Inlet) -> None:
    """Take the rows of one message."""
    told = message.metadata
    if await inlet.take(message.data, f"{told.stream}/{told.sequence.stream}"):
        await message.ack()
    else:
        await message.term()
    inlet.waits(told.num_pending)


async def passed_over(_: Exception) -> None:
    """What the client says of a connection that it has lost is raised where it is used."""
