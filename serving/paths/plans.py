"""Plans: those of before, why the newest is as it is, and what another forecast or measurement would come to."""

from typing import Annotated

import msgspec
from litestar import MediaType, Response, get, post
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from serving.answers import NO_STORE, NOT_YET, REFUSALS, Call, answer, desk, found, require_type, sidecar
from serving.questions import PLANS_BY_DEFAULT, WhatIf, explanation, plans_of, what_if
from serving.state import PLANS_KEPT
from shaper.explaining import Explanation
from shaper.plan import Plan


class Plans(msgspec.Struct, frozen=True):
    """Plans in the order of time."""

    plans: list[Plan]


@get("/v1/plans", responses={200: ResponseSpec(Plans, description="Plans, oldest first", generate_examples=False)})
async def read_plans(
    state: State,
    since: Annotated[float | None, QueryParameter(description="seconds since 1970; plans from after that time")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PLANS_KEPT, description="at most so many")] = PLANS_BY_DEFAULT,
) -> Response[bytes]:
    """Plans that are remembered: the first ones after a time, or the newest."""
    chosen = plans_of(sidecar(state).board, since, limit)
    return Response(b'{"plans":[' + b",".join(chosen) + b"]}", media_type=MediaType.JSON, headers=NO_STORE)


@get("/v1/explain", responses=found(Explanation, "Why the newest plan is as it is"))
async def explain(state: State) -> Response[bytes]:
    """Why each setting is as it is: quantiles at the lever's horizon, prices, the law, and what would be set without a forecast."""
    return answer(sidecar(state), await explanation(desk(state)), "plan to explain")


@post("/v1/what-if", status_code=200, responses={**{k: REFUSALS[k] for k in (415, 422, 429)}, **NOT_YET})
async def ask_what_if(request: Call, state: State, data: JSONBody[WhatIf]) -> Plan:
    """The plan that some inputs would come to. It is applied nowhere and remembered nowhere."""
    require_type(request)
    return await what_if(desk(state), data)


HANDLERS: tuple[ControllerRouterHandler, ...] = (read_plans, explain, ask_what_if)
