"""Observations as a stream of lines, each a JSON object as `POST /v1/observations` takes.

Decided here: each line is taken whole or not at all, as soon as it has come; the first that is wrong ends the stream, and the
answer says which it was, so that the sender can go on from there.
"""

from collections import Counter
from collections.abc import AsyncIterator

import msgspec
from litestar import post
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

from data.errors import DataError
from serving.answers import REFUSALS, Call, require_type, sidecar
from serving.errors import RefusedError

NDJSON = "application/x-ndjson"
LONGEST_LINE = 2**20


class Streamed(msgspec.Struct, frozen=True):
    """Lines taken, and their rows by table."""

    lines: int
    rows: dict[str, int]


@post(
    "/v1/observations/stream",
    status_code=202,
    request_max_body_size=None,
    responses={status: REFUSALS[status] for status in (409, 415, 422)},
)
async def take_stream(request: Call, state: State) -> Streamed:
    """Take lines of rows of canonical tables, one by one, until the body ends or one of them cannot be used."""
    require_type(request, NDJSON)
    lines, rows = 0, Counter[str]()
    async for line in lines_of(request.stream()):
        try:
            rows.update(await sidecar(state).observe(line))
        except DataError as error:
            status = error.status if isinstance(error, RefusedError) else 422
            raise RefusedError(
                f"line {lines + 1}", expected="a line that can be used", found=str(error), status=status,
                remedy=f"go on from there, for the {lines} before it were taken",
            ) from error  # fmt: skip
        lines += 1
    return Streamed(lines, dict(rows))


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines with something in them. Raises RefusedError for one that is too long."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in filter(bytes.strip, whole):
            yield line
        if len(rest) > LONGEST_LINE:
            raise RefusedError(
                "body", expected=f"lines of at most {LONGEST_LINE} bytes", found="a longer one", remedy="split it"
            )
    if rest.strip():
        yield rest


HANDLERS: tuple[ControllerRouterHandler, ...] = (take_stream,)
