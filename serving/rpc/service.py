"""The methods of the gRPC API.

Decided here: what each error of the sidecar is as a status: INVALID_ARGUMENT for what cannot be used, FAILED_PRECONDITION for what
does not fit the feed, UNAVAILABLE while there is nothing to answer with.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import grpc
import msgspec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from data.errors import DataError
from serving.desk import Desk
from serving.errors import RefusedError
from serving.paths.events import MOST_WATCHERS
from serving.paths.overrides import Pin
from serving.rpc import messages, shaper_pb2_grpc
from serving.rpc import shaper_pb2 as pb
from shaper.decision import Override

SERVICE = "shaper.v1.Shaper"
STATUSES = {409: grpc.StatusCode.FAILED_PRECONDITION, 429: grpc.StatusCode.RESOURCE_EXHAUSTED}
LOOK_S = 1.0  # how often a watcher of the health is told of a change


class Service(shaper_pb2_grpc.ShaperServicer):
    """The methods, over the same desk as the REST paths."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.sidecar = desk.sidecar

    async def GetForecast(self, _: pb.Nothing, context: Any) -> pb.Forecast:  # noqa: N802  (names of the protocol)
        """The newest forecast."""
        return messages.forecast_of(await self.there(self.sidecar.board.forecast, "forecast", context))

    async def GetPlan(self, _: pb.Nothing, context: Any) -> pb.Plan:  # noqa: N802
        """The newest plan."""
        return messages.plan_of(await self.there(self.sidecar.board.plan, "plan", context))

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

    async def GetReadiness(self, _: pb.Nothing, __: Any) -> pb.Readiness:  # noqa: N802
        """Whether plans may be relied on."""
        readiness = self.sidecar.board.readiness()
        return pb.Readiness(ready=readiness.ready, reasons=readiness.reasons)

    async def Observe(self, asked: pb.Observations, context: Any) -> pb.Taken:  # noqa: N802
        """Rows of canonical tables, all or none."""
        try:
            return pb.Taken(rows=await self.sidecar.observe(asked.json))
        except DataError as error:
            await refuse(context, error)

    async def ObserveStream(self, asked: AsyncIterator[pb.Observations], context: Any) -> pb.Taken:  # noqa: N802
        """Rows, request after request."""
        taken = Counter[str]()
        try:
            async for part in asked:
                taken.update(await self.sidecar.observe(part.json))
        except DataError as error:
            await refuse(context, error)
        return pb.Taken(rows=taken)

    async def Report(self, asked: pb.GatewayReport, context: Any) -> pb.Nothing:  # noqa: N802
        """What the gateway measures of itself."""
        try:
            await self.sidecar.report(messages.report_of(asked))
        except DataError as error:
            await refuse(context, error)
        return pb.Nothing()

    async def GetPins(self, _: pb.Nothing, __: Any) -> pb.Pins:  # noqa: N802
        """What is pinned."""
        return messages.pins_of(self.desk.pinned())

    async def PutPin(self, asked: pb.PinRequest, context: Any) -> pb.Pins:  # noqa: N802
        """Pin one lever."""
        told = {name: getattr(asked, name) for name in ("lever", "name", "for_s", "reason", "value")}
        try:
            pin = msgspec.convert(told, Pin)
            until_s = self.sidecar.feed.now().timestamp() + pin.for_s
            made = Override(pin.lever, pin.name, until_s, pin.reason, pin.value)
            return messages.pins_of(await self.desk.pin(made))
        except (DataError, msgspec.ValidationError) as error:
            await refuse(context, error)

    async def DeletePins(self, asked: pb.Unpin, _: Any) -> pb.Pins:  # noqa: N802
        """Let go of pins."""
        lever = asked.lever if asked.HasField("lever") else None
        return messages.pins_of(await self.desk.unpin(lever, asked.name if asked.HasField("name") else None))

    async def there(self, body: bytes | None, what: str, context: Any) -> bytes:
        """A cached body; the call ends when there is none."""
        if body is None:
            reasons = "; ".join(self.sidecar.board.readiness().reasons)
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"there is no {what} now: {reasons}")
        return body or b""


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """The standard health service: the process as a whole is live, `shaper.v1.Shaper` is ready."""

    def __init__(self, desk: Desk) -> None:
        self.sidecar = desk.sidecar

    def state(self, service: str) -> Any:
        """The state of a service."""
        if service not in ("", SERVICE):
            return health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        good = self.sidecar.board.readiness().ready if service else not self.sidecar.has_failed
        return health_pb2.HealthCheckResponse.SERVING if good else health_pb2.HealthCheckResponse.NOT_SERVING

    async def Check(self, asked: Any, context: Any) -> Any:  # noqa: N802
        """The state now."""
        state = self.state(asked.service)
        if state == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"expected {SERVICE} or nothing; found another")
        return health_pb2.HealthCheckResponse(status=state)

    async def Watch(self, asked: Any, _: Any) -> AsyncIterator[Any]:  # noqa: N802
        """The state, and again whenever it has changed."""
        last = None
        while True:
            state = self.state(asked.service)
            if state != last:
                last = state
                yield health_pb2.HealthCheckResponse(status=state)
            await asyncio.sleep(LOOK_S)


async def refuse(context: Any, error: Exception) -> NoReturn:
    """End a call for what was wrong with it."""
    status = error.status if isinstance(error, RefusedError) else 422
    await context.abort(STATUSES.get(status, grpc.StatusCode.INVALID_ARGUMENT), str(error))
    raise error  # which aborting has done already
