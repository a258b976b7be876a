"""What an operator pins over the plans, for a while and for a reason.

Decided here: a pin always ends by itself, within a week; it works at once, not at the next review; and there is one per lever.
"""

from typing import Annotated

import msgspec
from litestar import delete, get, put
from litestar.datastructures import State
from litestar.params import JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from serving.answers import REFUSALS, Call, desk, require_type
from shaper.decision import Lever, Override

LONGEST_S = 7 * 86400


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pin for the next `for_s` seconds: see `Override` for what `lever`, `name` and `value` mean."""

    lever: Lever
    name: Annotated[str, msgspec.Meta(max_length=100)]
    for_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    value: float = 0.0


class Pins(msgspec.Struct, frozen=True):
    """The pins in force."""

    overrides: tuple[Override, ...]


@get("/v1/overrides")
async def read_overrides(state: State) -> Pins:
    """What is pinned now."""
    return Pins(desk(state).pinned())


@put("/v1/overrides", status_code=200, responses={415: REFUSALS[415], 422: REFUSALS[422]})
async def pin(request: Call, state: State, data: JSONBody[Pin]) -> Pins:
    """Pin one lever, in place of what was pinned there before; a plan with it is made at once."""
    require_type(request)
    until_s = desk(state).sidecar.feed.now().timestamp() + data.for_s
    return Pins(await desk(state).pin(Override(data.lever, data.name, until_s, data.reason, data.value)))


@delete("/v1/overrides", status_code=200)
async def unpin(
    state: State,
    lever: Annotated[Lever | None, QueryParameter(description="of this lever only")] = None,
    name: Annotated[str | None, QueryParameter(description="of this name only")] = None,
) -> Pins:
    """Let go of what is pinned, all of it or that of one lever; a plan without it is made at once."""
    return Pins(await desk(state).unpin(lever, name))


HANDLERS: tuple[ControllerRouterHandler, ...] = (read_overrides, pin, unpin)
