"""The HTTP surface: observations in, forecasts and plans out, health, readiness and metrics.

Decided here: paths, statuses and bodies. Answers come from the board's cache; nothing is computed for a request.
"""

import logging

import msgspec
from litestar import Litestar, MediaType, Response, get, post, put
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from prometheus_client import generate_latest

from data.errors import DataError
from serving.answers import (
    NO_STORE,
    REFUSALS,
    Call,
    Problem,
    Taken,
    answer,
    found,
    problem_response,
    require_type,
    sidecar,
)
from serving.dashboard.routes import read_series
from serving.desk import Desk
from serving.errors import RefusedError
from serving.gateway import Report
from serving.loop import Sidecar
from serving.openapi import ObservationsOperation
from serving.paths import events, models, overrides, plans, stream
from serving.state import Readiness
from shaper.forecast import Forecast
from shaper.plan import Plan

LOG = logging.getLogger(__name__)
MAX_BODY_BYTES = 16 * 2**20
EXPOSITION = "text/plain; version=0.0.4"  # the framework adds the character set


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


@post("/v1/observations", status_code=202, operation_class=ObservationsOperation, responses=REFUSALS)
async def take_observations(request: Call, state: State) -> Taken:
    """Take rows of canonical tables: all of a request, or none."""
    require_type(request)
    return Taken(await sidecar(state).observe(await request.body()))


@put("/v1/gateway", status_code=202, responses={415: REFUSALS[415], 422: REFUSALS[422]})
async def take_report(request: Call, state: State, data: JSONBody[Report]) -> Report:
    """Take what the gateway measures of itself: demand, queues, units. It counts for three reviews."""
    require_type(request)
    await sidecar(state).report(data)
    return data


@get("/v1/forecast", responses=found(Forecast, "The newest forecast"))
async def read_forecast(state: State) -> Response[bytes]:
    """The newest forecast: quantiles and spike probabilities by target and horizon."""
    return answer(sidecar(state), sidecar(state).board.forecast, "forecast")


@get("/v1/plan", responses=found(Plan, "The newest plan"))
async def read_plan(state: State) -> Response[bytes]:
    """The newest plan: a setting for every lever, each with its reason."""
    return answer(sidecar(state), sidecar(state).board.plan, "plan")


@get("/healthz", responses={503: ResponseSpec(Problem, description="The loop has died", generate_examples=False)})
async def is_live(state: State) -> Live:
    """Whether the process works; if not, restart it."""
    if sidecar(state).has_failed:
        raise HTTPException(status_code=503, detail="; ".join(sidecar(state).board.readiness().reasons))
    return Live("ok")


@get("/readyz", responses={503: ResponseSpec(Readiness, description="Not ready", generate_examples=False)})
async def is_ready(state: State) -> Response[Readiness]:
    """Whether plans may be relied on; while they may, the reasons say what is degraded."""
    readiness = sidecar(state).board.readiness()
    return Response(readiness, status_code=200 if readiness.ready else 503, headers=NO_STORE)


@get("/metrics", media_type=MediaType.TEXT)
async def read_metrics(state: State) -> Response[bytes]:
    """Metrics in the text format of Prometheus."""
    return Response(generate_latest(sidecar(state).pipeline.metrics.registry), media_type=EXPOSITION)


HANDLERS: tuple[ControllerRouterHandler, ...] = (
    take_observations, take_report, read_forecast, read_plan, read_series, is_live, is_ready, read_metrics,
    *plans.HANDLERS, *overrides.HANDLERS, *events.HANDLERS, *stream.HANDLERS, *models.HANDLERS,
)  # fmt: skip


def create_app(sidecar: Sidecar, version: str, desk: Desk | None = None) -> Litestar:
    """The application around a sidecar, which steps for as long as the application lives."""
    desk = desk or Desk(sidecar)
    metrics = sidecar.pipeline.metrics
    metrics.watch_ready(lambda: sidecar.board.readiness().ready)
    return Litestar(
        HANDLERS,
        state=State({"sidecar": sidecar, "desk": desk}),
        lifespan=[lambda _: sidecar.running(), lambda _: desk.open()],
        openapi_config=OpenAPIConfig(
            title="Derivatives traffic shaper",
            version=version,
            description="Forecasts of demand, volatility and congestion, and the plan that follows from them.",
            path="/schema",
            render_plugins=[JsonRenderPlugin()],
        ),
        exception_handlers={
            DataError: refused,
            HTTPException: failed,
            RecursionError: unreadable,
            UnicodeDecodeError: unreadable,
            Exception: broken,
        },
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )


def refused(_: Call, error: DataError) -> Response[bytes]:
    """The answer to input that cannot be used."""
    return problem_response(Problem(error.status if isinstance(error, RefusedError) else 422, str(error)), NO_STORE)


def failed(_: Call, error: HTTPException) -> Response[bytes]:
    """The answer to what the framework refuses: unknown paths, methods, bodies of another shape."""
    faults = [fault for fault in error.extra if isinstance(fault, dict)] if isinstance(error.extra, list) else []
    named = (": ".join(str(fault[part]) for part in ("key", "message") if part in fault) for fault in faults)
    detail = "; ".join([error.detail, *named])
    return problem_response(Problem(error.status_code, detail), dict(error.headers or {}))


def unreadable(_: Call, error: Exception) -> Response[bytes]:
    """The answer to a body that no decoder of JSON gets to the end of: nested too deeply, or not UTF-8."""
    return problem_response(Problem(422, f"body: expected JSON in UTF-8, a few levels deep; found {error}"), NO_STORE)


def broken(_: Call, error: Exception) -> Response[bytes]:
    """The answer when a request met a fault of ours; the log has the rest."""
    LOG.error("a request failed", exc_info=error)
    return problem_response(Problem(500, f"{type(error).__name__}: see the log"), NO_STORE)
