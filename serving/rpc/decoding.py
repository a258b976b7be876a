"""Requests that are no messages: INVALID_ARGUMENT, where gRPC's server for asyncio would answer UNKNOWN and log a trace.

Decided here: the bytes are decoded as always; what cannot be decoded reaches no method.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

Decode = Callable[[bytes], Any]


def decoding(handler: Any) -> Any:
    """A method's handler that refuses requests which are no messages."""
    if handler is None:  # there is no such method
        return None
    changes = {"request_deserializer": lenient(handler.request_deserializer)}
    if handler.unary_unary is not None:
        changes["unary_unary"] = answering(handler.unary_unary)
    elif handler.unary_stream is not None:
        changes["unary_stream"] = streaming(handler.unary_stream)
    elif handler.stream_unary is not None:
        changes["stream_unary"] = gathering(handler.stream_unary)
    return handler._replace(**changes)


def lenient(decode: Decode) -> Decode:
    """The same decoder, with None for what is no message."""

    def read(content: bytes) -> Any:
        try:
            return decode(content)
        except DecodeError:
            return None

    return read


def answering(method: Any) -> Any:
    """A method of one request and one answer."""

    async def checked(request: Any, context: Any) -> Any:
        return await method(await sound(request, context), context)

    return checked


def streaming(method: Any) -> Any:
    """A method of one request and many answers."""

    async def checked(request: Any, context: Any) -> AsyncIterator[Any]:
        async for answer in method(await sound(request, context), context):
            yield answer

    return checked


def gathering(method: Any) -> Any:
    """A method of many requests and one answer."""

    async def checked(requests: AsyncIterator[Any], context: Any) -> Any:
        return await method((await sound(request, context) async for request in requests), context)

    return checked


async def sound(request: Any, context: Any) -> Any:
    """A request that is a message; the call ends with one that is none."""
    return await refuse(context) if request is None else request


async def refuse(context: Any) -> NoReturn:
    """End a call."""
    reason = "expected a message of this method; found bytes that are none; use shaper.proto"
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, reason)
    raise ValueError(reason)  # which aborting has done already
