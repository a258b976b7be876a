"""Plans: those of before, why the newest is as it is, and what another forecast or measurement would come to.

Decided here: how many plans are remembered, and that what is asked for curiosity has a thread of its own with a short queue, so
that it cannot delay a plan that is meant.
"""

from typing import Annotated

import msgspec
from litestar import MediaType, Response, get, post
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from serving.answers import (
    NO_STORE,
    NOT_YET,
    REFUSALS,
    Call,
    Problem,
    desk,
    found,
    problem_response,
    require_type,
    sidecar,
)
from serving.errors import RefusedError
from serving.state import PLANS_KEPT
from shaper.decision import Inputs, Override, check, decided
from shaper.explaining import Explanation, explained
from shaper.forecast import Forecast
from shaper.observed import Observed
from shaper.plan import Plan


class Plans(msgspec.Struct, frozen=True):
    """Plans in the order of time."""

    plans: list[Plan]


class WhatIf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a plan is to be made of; what is left out is as it was for the newest plan. `blind` leaves the forecast away."""

    forecast: Forecast | None = None
    observed: Observed | None = None
    overrides: tuple[Override, ...] | None = None
    blind: bool = False


@get("/v1/plans", responses={200: ResponseSpec(Plans, description="Plans, oldest first", generate_examples=False)})
async def read_plans(
    state: State,
    since: Annotated[float | None, QueryParameter(description="seconds since 1970; plans from after that time")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PLANS_KEPT, description="at most so many")] = 50,
) -> Response[bytes]:
    """Plans that are remembered: the first ones after a time, or the newest."""
    plans = sidecar(state).board.plans
    bodies = [body for at_s, body in plans if since is None or at_s > since]
    chosen = bodies[-limit:] if since is None else bodies[:limit]
    return Response(b'{"plans":[' + b",".join(chosen) + b"]}", media_type=MediaType.JSON, headers=NO_STORE)


@get("/v1/explain", responses=found(Explanation, "Why the newest plan is as it is"))
async def explain(state: State) -> Response[bytes]:
    """Why each setting is as it is: quantiles at the lever's horizon, prices, the law, and what would be set without a forecast."""
    made = sidecar(state).board.newest
    if made is None or made.inputs is None or made.plan is None:
        reasons = sidecar(state).board.readiness().reasons
        return problem_response(Problem(503, "there is no plan to explain", reasons), {**NO_STORE, "Retry-After": "1"})
    inputs, plan, venue = made.inputs, made.plan, sidecar(state).pipeline.venue
    told = await desk(state).muse(lambda: msgspec.json.encode(explained(venue, inputs, plan)))
    return Response(told, media_type=MediaType.JSON, headers=NO_STORE)


@post("/v1/what-if", status_code=200, responses={**{k: REFUSALS[k] for k in (415, 422, 429)}, **NOT_YET})
async def ask_what_if(request: Call, state: State, data: JSONBody[WhatIf]) -> Plan:
    """The plan that some inputs would come to. It is applied nowhere and remembered nowhere."""
    require_type(request)
    venue, inputs = sidecar(state).pipeline.venue, inputs_of(data, sidecar(state).board.newest_inputs)

    def made() -> Plan:
        try:
            check(venue, inputs.overrides)
            return decided(venue, inputs)
        except (ValueError, ArithmeticError, LookupError) as error:  # numbers at the edge of what a float can hold
            raise RefusedError(
                "body", expected="inputs of a plan", found=str(error), remedy="correct the body"
            ) from error

    return await desk(state).muse(made)


def inputs_of(asked: WhatIf, newest: Inputs | None) -> Inputs:
    """The inputs that are asked about. Raises RefusedError when something is left out that there was none of yet."""
    observed = asked.observed or (None if newest is None else newest.observed)
    if observed is None:
        raise RefusedError(
            "observed", expected="a measurement", found="none, and no plan was made yet", remedy="give one"
        )
    forecast = None if asked.blind else asked.forecast or (None if newest is None else newest.forecast)
    pins = asked.overrides if asked.overrides is not None else () if newest is None else newest.overrides
    own = asked.forecast is None and asked.observed is None and not asked.blind
    return Inputs(forecast, observed, newest.leash if own and newest is not None else None, pins)


HANDLERS: tuple[ControllerRouterHandler, ...] = (read_plans, explain, ask_what_if)
