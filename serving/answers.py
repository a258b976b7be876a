"""What answers have in common: their bodies when something is wrong, their headers, and the sidecar behind them."""

import msgspec
from litestar import MediaType, Request, Response
from litestar.datastructures import State
from litestar.openapi import ResponseSpec

from serving.desk import Desk
from serving.errors import RefusedError
from serving.loop import Sidecar

NO_STORE = {"Cache-Control": "no-store"}
Call = Request[object, object, State]


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not answered as asked."""

    status: int
    detail: str
    reasons: tuple[str, ...] = ()


class Taken(msgspec.Struct, frozen=True):
    """Rows taken in, by table."""

    rows: dict[str, int]


REFUSALS = {
    409: ResponseSpec(Problem, description="The feed plays recorded history", generate_examples=False),
    415: ResponseSpec(Problem, description="The body is not of the type that is taken here", generate_examples=False),
    422: ResponseSpec(
        Problem, description="What was sent cannot be used; nothing was changed", generate_examples=False
    ),
    429: ResponseSpec(Problem, description="Too many at once; ask again later", generate_examples=False),
}
NOT_YET = {503: ResponseSpec(Problem, description="There is none yet; reasons say why", generate_examples=False)}


def found(kind: type, description: str) -> dict[int, ResponseSpec]:
    """What a cached answer looks like, for the documentation."""
    return {200: ResponseSpec(kind, description=description, generate_examples=False), **NOT_YET}


def desk(state: State) -> Desk:
    """The operator's desk behind the application."""
    found: Desk = state.desk
    return found


def sidecar(state: State) -> Sidecar:
    """The sidecar behind the application."""
    found: Sidecar = state.sidecar
    return found


def answer(sidecar: Sidecar, body: bytes | None, what: str) -> Response[bytes]:
    """A cached body, or 503 with what is missing."""
    if body is not None:
        return Response(body, media_type=MediaType.JSON, headers=NO_STORE)
    problem = Problem(503, f"there is no {what} now", sidecar.board.readiness().reasons)
    return problem_response(problem, {**NO_STORE, "Retry-After": "1"})


def require_type(request: Call, expected: str = MediaType.JSON.value) -> None:
    """Raise RefusedError unless the body is said to be of a type, which keeps out forms that any web page could post."""
    kind = request.content_type[0]
    if kind != expected:
        raise RefusedError(
            "Content-Type", expected=expected, found=kind or "none", remedy="send that header", status=415
        )


def problem_response(problem: Problem, headers: dict[str, str]) -> Response[bytes]:
    """A problem as a response."""
    return Response(
        msgspec.json.encode(problem), status_code=problem.status, media_type=MediaType.JSON, headers=headers
    )
