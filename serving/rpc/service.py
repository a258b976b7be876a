"""The methods of the gRPC API.

Decided here: what each error of the sidecar is as a status: INVALID_ARGUMENT for what cannot be used, FAILED_PRECONDITION for what
does not fit the feed, UNAVAILABLE while there is nothing to answer with, INTERNAL for a fault of ours.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

import grpc
import msgspec

from data.errors import DataError
from serving.desk import Desk
from serving.errors import RefusedError
from serving.paths.events import MOST_WATCHERS
from serving.paths.models import Swap, change_model
from serving.paths.overrides import Pin
from serving.questions import PLANS_BY_DEFAULT, explanation, plans_of, what_if
from serving.rpc import messages, shaper_pb2_grpc
from serving.rpc import shaper_pb2 as pb
from shaper.decision import Override

LOG = logging.getLogger(__name__)
T = TypeVar("T")
STATUSES = {409: grpc.StatusCode.FAILED_PRECONDITION, 429: grpc.StatusCode.RESOURCE_EXHAUSTED}


Method = Callable[[Any, Any, Any], Coroutine[Any, Any, T]]


def answered(method: Method[T]) -> Method[T]:
    """A method whose errors end the call with a status; a fault of ours is in the log."""

    @wraps(method)
    async def answer(self: Any, asked: Any, context: Any) -> T:
        try:
            return await method(self, asked, context)
        except grpc.aio.BaseError:  # the call has ended, by us or by whoever made it
            raise
        except (DataError, msgspec.ValidationError) as error:
            status = error.status if isinstance(error, RefusedError) else 422
            await context.abort(STATUSES.get(status, grpc.StatusCode.INVALID_ARGUMENT), str(error))
            raise  # which aborting has done already
        except Exception as error:
            LOG.exception("a call failed")
            await context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: see the log")
            raise

    return answer


class Service(shaper_pb2_grpc.ShaperServicer):
    """The methods, over the same desk as the REST paths."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.sidecar = desk.sidecar

    @answered
    async def GetForecast(self, _: pb.Nothing, context: Any) -> pb.Forecast:  # noqa: N802  (names of the protocol)
        """The newest forecast."""
        return messages.forecast_of(await self.there(self.sidecar.board.forecast, "forecast", context))

    @answered
    async def GetPlan(self, _: pb.Nothing, context: Any) -> pb.Plan:  # noqa: N802
        """The newest plan."""
        return messages.plan_of(await self.there(self.sidecar.board.plan, "plan", context))

    @answered
    async def GetPlans(self, asked: pb.PlansRequest, __: Any) -> pb.Plans:  # noqa: N802
        """Plans of before."""
        since_s = asked.since if asked.HasField("since") else None
        limit = asked.limit if asked.HasField("limit") else PLANS_BY_DEFAULT
        return pb.Plans(plans=map(messages.plan_of, plans_of(self.sidecar.board, since_s, limit)))

    @answered
    async def Explain(self, _: pb.Nothing, context: Any) -> pb.Explanation:  # noqa: N802
        """Why the newest plan is as it is."""
        return messages.explanation_of(await self.there(await explanation(self.desk), "plan to explain", context))

    @answered
    async def AskWhatIf(self, asked: pb.WhatIf, __: Any) -> pb.Plan:  # noqa: N802
        """The plan that some inputs would come to."""
        return messages.plan_of(msgspec.json.encode(await what_if(self.desk, messages.what_if_of(asked))))

    @answered
    async def GetModels(self, _: pb.Nothing, __: Any) -> pb.Models:  # noqa: N802
        """The models that are loaded."""
        return messages.models_of(self.sidecar.pipeline.swapper.models())

    @answered
    async def SwapModel(self, asked: pb.Swap, __: Any) -> pb.Models:  # noqa: N802
        """Put another model in the shadow, or its predecessor in front."""
        await change_model(self.desk, msgspec.convert({"to": asked.to or "configured"}, Swap))
        return messages.models_of(self.sidecar.pipeline.swapper.models())

    async def Watch(self, asked: pb.WatchRequest, context: Any) -> AsyncIterator[pb.Message]:  # noqa: N802
        """Plans and events as they come."""
        events = self.sidecar.board.events
        if events.watchers >= MOST_WATCHERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MOST_WATCHERS} watch already; ask again later")
        events.watchers += 1
        try:
            async for message in events.follow(asked.after_id if asked.HasField("after_id") else None):
                yield messages.message_of(message)
        finally:
            events.watchers -= 1

    @answered
    async def GetReadiness(self, _: pb.Nothing, __: Any) -> pb.Readiness:  # noqa: N802
        """Whether plans may be relied on."""
        readiness = self.sidecar.board.readiness()
        return pb.Readiness(ready=readiness.ready, reasons=readiness.reasons)

    @answered
    async def Observe(self, asked: pb.Observations, __: Any) -> pb.Taken:  # noqa: N802
        """Rows of canonical tables, all or none."""
        return pb.Taken(rows=await self.sidecar.observe(asked.json))

    @answered
    async def ObserveStream(self, asked: AsyncIterator[pb.Observations], __: Any) -> pb.Taken:  # noqa: N802
        """Rows, request after request."""
        taken = Counter[str]()
        async for part in asked:
            taken.update(await self.sidecar.observe(part.json))
        return pb.Taken(rows=taken)

    @answered
    async def Report(self, asked: pb.GatewayReport, __: Any) -> pb.Nothing:  # noqa: N802
        """What the gateway measures of itself."""
        await self.sidecar.report(messages.report_of(asked))
        return pb.Nothing()

    @answered
    async def GetPins(self, _: pb.Nothing, __: Any) -> pb.Pins:  # noqa: N802
        """What is pinned."""
        return messages.pins_of(self.desk.pinned())

    @answered
    async def PutPin(self, asked: pb.PinRequest, __: Any) -> pb.Pins:  # noqa: N802
        """Pin one lever."""
        told = {name: getattr(asked, name) for name in ("lever", "name", "for_s", "reason", "value")}
        pin = msgspec.convert(told, Pin)
        until_s = self.sidecar.feed.now().timestamp() + pin.for_s
        return messages.pins_of(await self.desk.pin(Override(pin.lever, pin.name, until_s, pin.reason, pin.value)))

    @answered
    async def DeletePins(self, asked: pb.Unpin, __: Any) -> pb.Pins:  # noqa: N802
        """Let go of pins."""
        lever = asked.lever if asked.HasField("lever") else None
        return messages.pins_of(await self.desk.unpin(lever, asked.name if asked.HasField("name") else None))

    async def there(self, body: bytes | None, what: str, context: Any) -> bytes:
        """A cached body; the call ends when there is none."""
        if body is None:
            reasons = "; ".join(self.sidecar.board.readiness().reasons)
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"there is no {what} now: {reasons}")
        return body or b""
