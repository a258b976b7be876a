"""Plans and events as they come, as server-sent events (WHATWG HTML, section 9.2).

Decided here: how many may watch at once, and that a line without meaning goes out when nothing else has for a while, so that either
end notices when the other is gone.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from litestar import get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.params import HeaderParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from litestar.types import ControllerRouterHandler

from serving.answers import NOT_YET, sidecar
from serving.events import Events, Message

MOST_WATCHERS = 64
QUIET_S = 15.0


@get("/v1/events", responses=NOT_YET)
async def watch(
    state: State,
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID", max_length=20)] = None,
) -> ServerSentEvent:
    """Messages `plan` and `event`, each with its number; with `Last-Event-ID` those after it that are still remembered first."""
    events = sidecar(state).board.events
    if events.watchers >= MOST_WATCHERS:
        raise HTTPException(status_code=503, detail=f"{MOST_WATCHERS} watch already; ask again later")
    number = int(last_event_id) if last_event_id is not None and last_event_id.isdecimal() else None
    return ServerSentEvent(told(events, number))


async def told(events: Events, number: int | None) -> AsyncIterator[ServerSentEventMessage]:
    """The messages after a number, and a comment in every pause."""
    events.watchers += 1
    messages = events.follow(number)
    waiting: asyncio.Task[Message] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(messages))
            ended, _ = await asyncio.wait({waiting}, timeout=QUIET_S)
            if not ended:
                yield ServerSentEventMessage(comment="nothing new")
                continue
            try:
                message = waiting.result()
            except StopAsyncIteration:
                return
            waiting = None
            yield ServerSentEventMessage(data=message.body.decode(), event=message.kind, id=message.id)
    finally:
        events.watchers -= 1
        if waiting is not None:
            waiting.cancel()


HANDLERS: tuple[ControllerRouterHandler, ...] = (watch,)
