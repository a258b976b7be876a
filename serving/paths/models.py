"""The models that are loaded, and the hot swap.

Decided here: a request may have the model looked at that the settings name, or the predecessor back; no path comes from outside.
"""

from typing import Literal

import msgspec
from litestar import get, post
from litestar.datastructures import State
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from serving.answers import REFUSALS, Call, desk, require_type, sidecar
from serving.desk import Desk
from serving.swapping import Described


class Models(msgspec.Struct, frozen=True):
    """The models that are loaded, the one that leads first."""

    models: list[Described]


class Swap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which model is to be looked at: the `configured` one, as it is named now, or the one that led `before`."""

    to: Literal["configured", "before"] = "configured"


@get("/v1/models")
async def read_models(state: State) -> Models:
    """Which model leads, and how the one in its shadow compares."""
    return Models(sidecar(state).pipeline.swapper.models())


@post("/v1/models/swap", status_code=202, responses={status: REFUSALS[status] for status in (409, 415, 422)})
async def swap(request: Call, state: State, data: JSONBody[Swap]) -> Models:
    """Put the configured model in the shadow of the one that leads, or let the predecessor lead again at once."""
    require_type(request)
    await change_model(desk(state), data)
    return Models(sidecar(state).pipeline.swapper.models())


async def change_model(desk: Desk, wanted: Swap) -> None:
    """Do what a swap asks for. Raises DataError when it cannot be done."""
    await (desk.swap_back() if wanted.to == "before" else desk.look_for_model(again=True))


HANDLERS: tuple[ControllerRouterHandler, ...] = (read_models, swap)
