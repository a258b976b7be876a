"""The panel of a running process: rows go in as they come, and the newest window comes out with the bits of training.

Decided here: what is kept (the look-back of the contract before the last window asked for), what late, repeated and
replaced rows do (the ticks from the first one they touch are computed again), and that a bad frame changes nothing. A
window repeats the rows of the window before it: only what is new since then is evaluated, over the ticks it looks back to.
"""

import copy
from datetime import UTC, datetime, timedelta
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Contract
from data.errors import DataError
from data.features.registry import programmed, specs
from data.features.stream import Plan, Stream
from data.history import known, require_zone
from data.live_check import checked, last_known_at
from data.live_rows import Near, compact, cut, earliest, joined, of_any, until
from data.live_ticks import empty
from data.schemas import TABLES, Table
from data.ticks import feeds_of, filled, margin, sources_of
from data.timeline import floor_tick

NEVER = datetime.min.replace(tzinfo=UTC)
FEW = 8  # ticks up to which each is computed by itself


class LivePanel:
    """Ring buffers of canonical rows, the tick table over them and the last window, for one contract.

    Rows may be appended in one thread while another asks for windows: a window sees a frame as a whole or not at all.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.tick = timedelta(seconds=contract.panel.tick_s)
        self.program = programmed(specs(contract.feature_names, contract.panel))
        self.plan = Plan(self.program)
        self.columns = empty(self.program.columns, contract.panel.tick_s).names
        fed = sources_of(self.columns, contract.panel, TABLES)
        self.kept = frozenset(fed) | (frozenset({"arrivals"}) if "request_counts" in fed else frozenset())
        self.symbols = frozenset(symbol for played_by in contract.panel.roles.values() for symbol in played_by)
        self.margins = {name: margin(name, contract.panel) for name in self.kept}
        self.buffers: dict[str, pl.DataFrame] = {}
        self.near: dict[str, Near] = {}
        self.since: datetime | None = None
        self.newest: datetime | None = None
        self.lock = Lock()
        self.forget()

    @property
    def rows(self) -> dict[str, int]:
        """Rows held, by table."""
        return {name: frame.height for name, frame in sorted(self.buffers.items())}

    def append(self, table: str, frame: pl.DataFrame) -> None:
        """Take rows of a canonical table, in any order; a row with the key of an older one replaces it.

        `newest` becomes the latest time at which a row was known. Rows of other chains and symbols, and of tables that
        feed no feature, are checked and dropped. Whether a time lies in the future is for the caller, who has the clock,
        to ask. Raises DataError at the first fault; then nothing has changed.
        """
        schema = known(table, "rows")
        rows = checked(frame, schema)
        with self.lock:
            self.take(self.relevant(rows, schema), schema)

    def take(self, rows: pl.DataFrame, schema: Table) -> None:
        """Put valid rows in their places."""
        if rows.is_empty():
            return
        table = schema.name
        merged, touched, follow = joined(self.buffers.get(table, rows.clear()), rows, schema)
        is_first, self.buffers[table] = table not in self.buffers, compact(merged)
        if is_first:
            self.forget()  # a first row may bring another source of a column
        else:
            self.forget_from(floor_tick(touched, self.contract.panel.tick_s) + self.tick)
        near = self.near.pop(table, None)
        followed = near.followed(rows) if near is not None and follow else None
        if followed is not None:
            self.near[table] = followed
        self.newest = max(filter(None, (self.newest, last_known_at(rows, schema))))

    def relevant(self, rows: pl.DataFrame, schema: Table) -> pl.DataFrame:
        """The rows that can feed a feature, and are not older than what is kept."""
        if schema.name not in self.kept:
            return rows.clear()
        if schema.name == "blocks":
            rows = of_any(rows, "chain", frozenset({self.contract.panel.chain}))
        elif schema.name == "bars":
            rows = of_any(rows, "symbol", self.symbols)
        if rows.is_empty() or self.since is None or earliest(rows) >= self.since:
            return rows
        return rows.filter(pl.col("ts") >= self.since)

    def copy(self) -> "LivePanel":
        """A panel with the same rows, to which others may be appended; only one of the two may go on."""
        trial = copy.copy(self)
        trial.buffers, trial.near = dict(self.buffers), dict(self.near)
        trial.stream = self.stream and self.stream.copy()
        return trial

    def forget(self) -> None:
        """Drop all that was computed."""
        self.ticks = empty(self.program.columns, self.contract.panel.tick_s)
        self.feeds = feeds_of(self.columns, self.contract.panel, self.buffers)
        self.forget_features()

    def forget_features(self) -> None:
        """Drop the last window, and what the features of the next tick would be computed from."""
        self.stream: Stream | None = None
        self.stream_end = NEVER
        self.matrix, self.matrix_end = np.empty((0, len(self.contract.features)), np.float32), NEVER

    def forget_from(self, first: datetime) -> None:
        """Drop what was computed of a tick and those after it."""
        self.ticks = self.ticks.without(max(0, self.steps(first, self.ticks_end) + 1))
        if first <= self.matrix_end:
            stale = self.steps(first, self.matrix_end) + 1
            self.matrix, self.matrix_end = self.matrix[: max(0, len(self.matrix) - stale)], first - self.tick

    def window(self, at: datetime) -> NDArray[np.float32]:
        """Features (context, features) of the ticks up to the newest one that ends by `at`, NaN where unknown.

        Bit-equal to the last `context` rows that `data.panel.build` makes of the same rows. Rows that no later window can
        need are dropped. Raises DataError for a naive time or one whose look-back has been dropped already.
        """
        require_zone(at, "window")
        last, context = floor_tick(at, self.contract.panel.tick_s), self.contract.context
        with self.lock:
            self.ticks_until(last)
            missing = self.steps(self.matrix_end, last)
            if not 0 <= missing <= context or len(self.matrix) + missing < context:
                missing = context
                self.forget_features()
            if missing:
                found = np.concatenate([self.matrix, self.evaluated(last, missing)])
                self.matrix, self.matrix_end = found[-context:], last
            self.drop_before(last)
            return self.matrix.copy()

    def evaluated(self, last: datetime, count: int) -> NDArray[np.float32]:
        """Features (count, features) of the ticks up to one; those before them are in `matrix` already, or were dropped."""
        ticks = self.ticks.length - self.steps(last, self.ticks_end)
        found = np.empty((count, len(self.contract.features)), np.float32)
        if count <= FEW and self.stream is not None and self.stream.back(self.steps(last, self.stream_end) + count):
            for row, place in zip(found, range(ticks - count, ticks), strict=True):
                row[:] = self.stream.advance(self.ticks.row(place, self.program.columns))
        else:
            table = self.ticks.table(ticks)
            for column, values in zip(found.T, self.program.newest(table, count), strict=True):
                column[:] = values
            self.stream = self.plan.start(table, ticks)
        self.stream_end = last
        return found

    def ticks_until(self, last: datetime) -> None:
        """Bring the tick table to a tick, with the contract's look-back before it; computes only what is not there yet."""
        first = self.first_for(last)
        if self.since is not None and first - self.margin < self.since:
            raise DataError(
                "window",
                expected=f"a time from {self.since + self.margin + (last - first)} on",
                found=f"{last}",
                remedy="ask for windows in the order of time; older rows have been dropped",
            )
        if not self.ticks.length or self.ticks_end - (self.ticks.length - 1) * self.tick > first:
            self.ticks = empty(self.program.columns, self.contract.panel.tick_s)
            self.compute(first, last)
        elif self.ticks_end < last:
            self.compute(self.ticks_end + self.tick, last)

    def compute(self, first: datetime, last: datetime) -> None:
        """Append the ticks from one to another, both included, to the tick table."""
        first_s, last_s, tick_s = int(first.timestamp()), int(last.timestamp()), self.contract.panel.tick_s
        end = 1000 * np.arange(first_s, last_s + tick_s, tick_s, dtype=np.int64)
        rows = {
            name: until(self.newest_rows(name, first - self.margins[name], for_tick=first == last), last)
            for name in dict.fromkeys(feed.table for feed in self.feeds)
        }
        found = filled(end, rows, self.contract.panel, self.feeds)
        self.ticks = self.ticks.followed(found, end, self.contract.lookback)

    def newest_rows(self, name: str, since: datetime, *, for_tick: bool) -> pl.DataFrame:
        """The newest rows of a table, all of them from a time on, in one piece, which is kept if it is for one tick."""
        near = self.near.get(name)
        if near is None or near.since > since:
            near = Near.of(self.buffers[name], since)
            if for_tick:
                self.near[name] = near
        return near.rows

    @property
    def ticks_end(self) -> datetime:
        """The newest tick of the tick table."""
        return datetime.fromtimestamp(self.ticks.end_ms // 1000, UTC)

    def steps(self, first: datetime, last: datetime) -> int:
        """Ticks from one to another."""
        return (last - first) // self.tick

    def first_for(self, last: datetime) -> datetime:
        """The oldest tick that the window ending with a tick looks back to."""
        return last - (self.contract.lookback - 1) * self.tick

    @property
    def margin(self) -> timedelta:
        """Raw rows that a tick may need before its own start."""
        return max(self.margins.values(), default=timedelta()) + self.tick

    def drop_before(self, last: datetime) -> None:
        """Forget the rows that no window from this tick on can need."""
        self.since = self.first_for(last) - self.margin
        self.buffers = {name: cut(frame, self.since) for name, frame in self.buffers.items()}
