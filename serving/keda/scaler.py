"""What KEDA is answered: the units that the newest plan orders.

Decided here: the metric is the number of units itself, with a target of the units that one replica is, so that the autoscaler's
arithmetic ends at the plan's own number. Before the first plan there is no metric (KEDA then goes by the fallback of its object),
and the object counts as active: nothing is scaled to zero out of ignorance. A plan holds until the next one.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn

import grpc

from serving.keda.externalscaler_pb2 import (
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    MetricSpec,
    MetricValue,
    ScaledObjectRef,
)

POOL_KEY, UNITS_KEY = "pool", "unitsPerReplica"
Context = Any  # grpc.aio.ServicerContext of whatever request and response


class Scaler:
    """The service `externalscaler.ExternalScaler`; its methods are called on one event loop."""

    def __init__(self, pools: tuple[str, ...]) -> None:
        self.pools = pools
        self.units: dict[str, int] = {}
        self.changed = asyncio.Condition()

    async def set(self, units: Mapping[str, int]) -> None:
        """Answer with these units by pool from now on."""
        async with self.changed:
            self.units = dict(units)
            self.changed.notify_all()

    async def IsActive(self, request: ScaledObjectRef, context: Context) -> IsActiveResponse:
        """Whether there is to be any capacity."""
        return IsActiveResponse(result=self.active(await pool_of(self.pools, request, context)))

    async def StreamIsActive(self, request: ScaledObjectRef, context: Context) -> AsyncIterator[IsActiveResponse]:
        """The same, now and whenever it changes."""
        pool, last = await pool_of(self.pools, request, context), None
        while True:
            async with self.changed:
                await self.changed.wait_for(lambda last=last: self.active(pool) != last)  # type: ignore[misc]
                last = self.active(pool)
            yield IsActiveResponse(result=last)

    async def GetMetricSpec(self, request: ScaledObjectRef, context: Context) -> GetMetricSpecResponse:
        """The metric's name, and how many units a replica is."""
        pool, target = await pool_of(self.pools, request, context), await target_of(request, context)
        whole = max(round(target), 1)
        return GetMetricSpecResponse(
            metricSpecs=[MetricSpec(metricName=metric(pool), targetSize=whole, targetSizeFloat=target)]
        )

    async def StreamMetricSpec(
        self, request: ScaledObjectRef, context: Context
    ) -> AsyncIterator[GetMetricSpecResponse]:
        """The same at once; it never changes while the object is the same, so nothing follows until KEDA hangs up."""
        yield await self.GetMetricSpec(request, context)
        await asyncio.Event().wait()

    async def GetMetrics(self, request: GetMetricsRequest, context: Context) -> GetMetricsResponse:
        """The units that the newest plan orders."""
        pool = await pool_of(self.pools, request.scaledObjectRef, context)
        if request.metricName.removeprefix("s0-") not in ("", metric(pool)):
            await refuse(context, "metricName", metric(pool), request.metricName)
        if pool not in self.units:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"{pool}: expected a plan; found none yet; ask again")
        units = self.units[pool]
        return GetMetricsResponse(
            metricValues=[MetricValue(metricName=metric(pool), metricValue=units, metricValueFloat=float(units))]
        )

    def active(self, pool: str) -> bool:
        """Whether a pool is to have any unit; true before anything is known."""
        return self.units.get(pool, 1) > 0


def metric(pool: str) -> str:
    """Name of the metric of a pool."""
    return f"shaper-capacity-{pool}"


async def pool_of(pools: tuple[str, ...], request: ScaledObjectRef, context: Context) -> str:
    """The pool that an object names, the only one when it names none. Aborts the call for an unknown one."""
    name = request.scalerMetadata.get(POOL_KEY, pools[0])
    if name not in pools:
        await refuse(context, POOL_KEY, " or ".join(pools), name)
    return name


async def target_of(request: ScaledObjectRef, context: Context) -> float:
    """How many units one replica is, 1 unless the object says. Aborts the call for what is no positive number."""
    told = request.scalerMetadata.get(UNITS_KEY, "1")
    try:
        target = float(told)
    except ValueError:
        target = 0.0
    if not 0 < target < 1e9:
        await refuse(context, UNITS_KEY, "a number above 0", told)
    return target


async def refuse(context: Context, key: str, expected: str, found: str) -> NoReturn:
    """End a call that cannot be answered with one message."""
    text = f"{key}: expected {expected}; found {found!r}; correct the trigger's metadata"
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
    raise AssertionError(text)  # abort does not return
