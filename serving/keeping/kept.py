"""The state of a pipeline as one value, and back.

Decided here: what is worth keeping (rows, calibration, trust, the lever, pins), and what of it still holds when the process that
comes back has another model or venue: rows and measurements always, calibration only for the same contract, trust and shadows only
for the same venue, a pin only where the venue has a place for it.
"""

from datetime import UTC, datetime
from io import BytesIO

import msgspec
import numpy as np
import polars as pl

from serving.audit.records import described
from serving.demand import Rate, RecentOrders
from serving.gateway import Lever, Report
from serving.ladder import Ladder
from serving.pipeline import Pipeline
from shaper.decision import Override, fitting
from shaper.steering import Steering

FORM = 1
AHEAD_S = 2.0  # a snapshot from further in the future was made while the clock was wrong


class Order(msgspec.Struct, frozen=True, array_like=True):
    """Orders counted at a time in a tier, and when that was known."""

    ts_s: float
    tier: str | None
    known_s: float
    orders: float


class Pool(msgspec.Struct, frozen=True):
    """The pool as plans left it, and what the gateway reported last."""

    ready: int
    pending: tuple[tuple[float, int], ...]
    last_order_s: float | None
    report: Report
    reported_s: float


class Kept(msgspec.Struct, frozen=True):
    """The state of a pipeline at `at_s`. Tables are Arrow IPC files; `generation` is the first journal that is not in it."""

    form: int
    at_s: float
    generation: int
    contract: str
    venue: str
    tables: dict[str, bytes]
    memory: bytes | None
    memory_tick_s: float | None
    ladder: Ladder
    orders: dict[str, list[Order]]
    pool: Pool
    steering: Steering | None
    demand: Rate | None
    overrides: tuple[Override, ...]
    plan: bytes | None


class Capture(msgspec.Struct, frozen=True):
    """A state whose tables are yet to be written out, which may be done in another thread."""

    kept: Kept
    frames: dict[str, pl.DataFrame]

    def bytes(self) -> bytes:
        """The state as it is kept."""
        tables = {name: packed(frame) for name, frame in self.frames.items()}
        return msgspec.msgpack.encode(msgspec.structs.replace(self.kept, tables=tables))


def captured(pipeline: Pipeline, at_s: float, generation: int, plan: bytes | None) -> Capture:
    """The state now; frames are shared, for nobody changes one in place."""
    lever, memory = pipeline.gateway.lever, pipeline.memory
    kept = Kept(
        form=FORM,
        at_s=at_s,
        generation=generation,
        contract=pipeline.forecaster.contract.digest,
        venue=described(pipeline.venue)[0],
        tables={},
        memory=None if memory.state is None else memory.state.tobytes(),
        memory_tick_s=None if memory.tick is None else memory.tick.timestamp(),
        ladder=pipeline.ladder,
        orders={
            name: [Order(*key, *row) for key, row in held.items()] for name, held in pipeline.orders.counts.items()
        },
        pool=Pool(
            lever.ready,
            tuple(lever.pending),
            lever.last_order_s,
            pipeline.gateway.report,
            pipeline.gateway.reported_s,
        ),
        steering=pipeline.steering,
        demand=pipeline.demand,
        overrides=pipeline.overrides,
        plan=plan,
    )
    return Capture(kept, dict(pipeline.panel.buffers))


def restore(pipeline: Pipeline, kept: Kept, at: datetime) -> None:
    """Go on from a state, as far as it still holds; `at` is the time now. Raises DataError for rows that do not fit."""
    for name, table in kept.tables.items():
        pipeline.panel.append(name, unpacked(table))
    restore_orders(pipeline.orders, kept)
    pool = kept.pool
    pipeline.gateway.lever = Lever(pipeline.venue.pool, pool.ready, list(pool.pending), pool.last_order_s)
    pipeline.gateway.report, pipeline.gateway.reported_s = pool.report, pool.reported_s
    pipeline.demand = kept.demand
    if kept.contract == pipeline.forecaster.contract.digest:
        pipeline.ladder = kept.ladder
        restore_memory(pipeline, kept)
    if kept.venue == described(pipeline.venue)[0]:
        pipeline.steering = kept.steering
    pipeline.overrides = fitting(pipeline.venue, kept.overrides)
    if kept.at_s > at.timestamp() + AHEAD_S:
        pipeline.turn_back(at)


def restore_orders(orders: RecentOrders, kept: Kept) -> None:
    """Count again what was counted."""
    orders.counts = {
        name: {(row.ts_s, row.tier): (row.known_s, row.orders) for row in held} for name, held in kept.orders.items()
    }


def restore_memory(pipeline: Pipeline, kept: Kept) -> None:
    """Remember what the model remembered."""
    memory = pipeline.memory
    if kept.memory is None or kept.memory_tick_s is None or memory.state is None:
        return
    state = np.frombuffer(kept.memory, np.float32).reshape(memory.state.shape).copy()
    memory.keep(state, datetime.fromtimestamp(kept.memory_tick_s, UTC))


def packed(frame: pl.DataFrame) -> bytes:
    """A frame as an Arrow IPC file."""
    stream = BytesIO()
    frame.write_ipc(stream, compression="zstd")
    return stream.getvalue()


def unpacked(content: bytes) -> pl.DataFrame:
    """The frame of an Arrow IPC file."""
    return pl.read_ipc(BytesIO(content))
