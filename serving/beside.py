"""What works beside the HTTP server in the same process: the gRPC server and the streams of rows, where they are set.

Decided here: their packages are loaded only then, and one that is missing is said with the extra that brings it.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from data.errors import DataError
from serving.desk import Desk
from serving.loop import Sidecar
from serving.oip.endpoint import InferenceEndpoint
from serving.security import Access
from serving.settings import Settings
from serving.streams.inlet import Inlet, StreamMetrics

DISTRIBUTION = "derivatives-traffic-shaper"


@asynccontextmanager
async def beside(desk: Desk, host: str, access: Access, inference: InferenceEndpoint) -> AsyncIterator[None]:
    """Have it all work while the context is open. Raises DataError when a port is taken or a package is missing."""
    sidecar, settings = desk.sidecar, desk.settings
    async with AsyncExitStack() as stack:
        if settings is not None and settings.grpc.port is not None:
            with needing("grpc"):
                from serving.rpc.server import answering
            await stack.enter_async_context(answering(desk, host, settings.grpc.port, access, inference))
        if settings is not None and (settings.nats or settings.kafka):
            await stack.enter_async_context(streams(settings, sidecar))
        yield


@asynccontextmanager
async def streams(settings: Settings, sidecar: Sidecar) -> AsyncIterator[None]:
    """Take rows from the streams that are set while the context is open. Raises DataError when a package is missing."""
    metrics = StreamMetrics.create(sidecar.pipeline.metrics.registry)
    async with AsyncExitStack() as stack:
        if settings.nats is not None:
            with needing("nats"):
                from serving.streams import jetstream
            inlet = Inlet("nats", sidecar.observe, sidecar.board.note, metrics)
            await stack.enter_async_context(jetstream.reading(settings.nats, inlet))
        if settings.kafka is not None:
            with needing("kafka"):
                from serving.streams import kafka
            inlet = Inlet("kafka", sidecar.observe, sidecar.board.note, metrics)
            await stack.enter_async_context(kafka.reading(settings.kafka, inlet))
        yield


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Say which extra is missing, when a package is."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise DataError(
            f"[{extra}]", expected=f"the package {error.name!r}", found="it is not installed",
            remedy=f"pip install '{DISTRIBUTION}[{extra}]', or leave that section away",
        ) from error  # fmt: skip
