"""What may be asked about plans: those of before, why the newest is as it is, and what another forecast would come to.

Decided here: how a question is answered, for every interface alike. What is asked for curiosity has a thread of its own with a
short queue, so that it cannot delay a plan that is meant.
"""

import msgspec

from serving.desk import Desk
from serving.errors import RefusedError
from serving.state import PLANS_KEPT, Board
from shaper.decision import Inputs, Override, check, decided
from shaper.explaining import explained
from shaper.forecast import Forecast
from shaper.observed import Observed
from shaper.plan import Plan

PLANS_BY_DEFAULT = 50


class WhatIf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a plan is to be made of; what is left out is as it was for the newest plan. `blind` leaves the forecast away."""

    forecast: Forecast | None = None
    observed: Observed | None = None
    overrides: tuple[Override, ...] | None = None
    blind: bool = False


def plans_of(board: Board, since_s: float | None, limit: int) -> list[bytes]:
    """Plans that are remembered, as JSON: the first ones after a time (seconds since 1970), or the newest.

    Raises RefusedError for a limit that is not 1 to `PLANS_KEPT`.
    """
    if not 1 <= limit <= PLANS_KEPT:
        raise RefusedError("limit", expected=f"1 to {PLANS_KEPT}", found=str(limit), remedy="ask for fewer")
    bodies = [body for at_s, body in board.plans if since_s is None or at_s > since_s]
    return bodies[-limit:] if since_s is None else bodies[:limit]


async def explanation(desk: Desk) -> bytes | None:
    """Why the newest plan is as it is, as JSON; None before the first plan."""
    made, venue = desk.sidecar.board.newest, desk.sidecar.pipeline.venue
    if made is None or made.inputs is None or made.plan is None:
        return None
    inputs, plan = made.inputs, made.plan
    return await desk.muse(lambda: msgspec.json.encode(explained(venue, inputs, plan)))


async def what_if(desk: Desk, asked: WhatIf) -> Plan:
    """The plan that some inputs would come to. Raises RefusedError for inputs of which none can be made."""
    venue, inputs = desk.sidecar.pipeline.venue, inputs_of(asked, desk.sidecar.board.newest_inputs)

    def made() -> Plan:
        try:
            check(venue, inputs.overrides)
            return decided(venue, inputs)
        except (ValueError, ArithmeticError, LookupError) as error:  # numbers at the edge of what a float can hold
            raise RefusedError(
                "body", expected="inputs of a plan", found=str(error), remedy="correct the body"
            ) from error

    return await desk.muse(made)


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
