"""A real gRPC server on a free port of this machine, and a conversation with it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from serving.desk import Desk
from serving.loop import Sidecar
from serving.oip.endpoint import InferenceEndpoint
from serving.rpc.server import answering
from serving.rpc.shaper_pb2_grpc import ShaperStub
from serving.security import Access, Keyring, Security

OPEN = Access(Security(), Keyring(), is_local=True)
Talk = Callable[[Any, Any], Awaitable[None]]


def talk(
    sidecar: Sidecar, conversation: Talk, access: Access = OPEN, credentials: grpc.ChannelCredentials | None = None
) -> None:
    """Have a conversation by a stub and its channel."""

    async def whole() -> None:
        inference = InferenceEndpoint(lambda: sidecar.pipeline.forecaster, "1.0")
        async with sidecar.running(), answering(Desk(sidecar), "127.0.0.1", 0, access, inference) as port:
            at = f"127.0.0.1:{port}"
            channel = grpc.aio.insecure_channel(at) if credentials is None else grpc.aio.secure_channel(at, credentials)
            async with channel:
                await asyncio.wait_for(conversation(ShaperStub(channel), channel), 60)  # type: ignore[no-untyped-call]

    asyncio.run(whole())


async def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """Status and words of a call that is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""
