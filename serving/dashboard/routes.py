"""The path that the page draws from."""

from litestar import Response, get
from litestar.datastructures import State
from litestar.params import FromQuery

from serving.loop import Sidecar
from serving.series import Recent


@get("/v1/series")
async def read_series(state: State, after_s: FromQuery[float] = 0.0) -> Response[Recent]:
    """Measurements, plans and promised bands after a time (seconds since 1970), and the state of the tiers now."""
    sidecar: Sidecar = state.sidecar
    recent = sidecar.series.since(after_s, sidecar.feed.now().timestamp())
    return Response(recent, headers={"Cache-Control": "no-store"})
