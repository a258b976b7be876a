"""The panel of a running process: rows go in as they come, and the newest window comes out with the bits of training.

Decided here: what is kept (the look-back of the contract before the last window asked for), what late, repeated and
replaced rows do (the ticks from the first one they touch are computed again), and that a bad frame changes nothing. A
window repeats the rows of the window before it: only what is new since then is evaluated, over the ticks it looks back to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Contract
from data.errors import DataError
from data.features.plan import Plan, plan
from data.features.registry import columns_of, specs
from data.features.spec import FeatureSpec
from data.history import known, require_zone
from data.live_rows import MOST_CHUNKS, checked, compact, cut, earliest, joined, of_any, recent, until
from data.schemas import TABLES, Table
from data.spans import tick_frame
from data.ticks import filled, margin, sources_of
from data.timeline import floor_tick

NEVER = datetime.min.replace(tzinfo=UTC)
SPARE = 16  # ticks that are kept beyond a look-back, so that rows of the last few may come late
SHORT = 1024  # features that look back at most so many ticks are evaluated together, over a short tail


@dataclass(frozen=True, eq=False)
class Reach:
    """Features that are evaluated together: over so many ticks for one row, from some columns; `places` in the window."""

    plan: Plan
    lookback: int
    columns: tuple[str, ...]
    places: tuple[int, ...]


class LivePanel:
    """Ring buffers of canonical rows, the tick table over them and the last window, for one contract.

    Rows may be appended in one thread while another asks for windows: a window sees a frame as a whole or not at all.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.tick = timedelta(seconds=contract.panel.tick_s)
        features = specs(contract.feature_names, contract.panel)
        self.reaches = reaches_of(features)
        self.columns = sorted(columns_of(features))
        fed = sources_of(self.columns, contract.panel, TABLES)
        self.kept = frozenset(fed) | (frozenset({"arrivals"}) if "request_counts" in fed else frozenset())
        self.symbols = frozenset(symbol for played_by in contract.panel.roles.values() for symbol in played_by)
        self.margins = {name: margin(name, contract.panel) for name in self.kept}
        self.buffers: dict[str, pl.DataFrame] = {}
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
        merged, touched = joined(self.buffers.get(table, rows.clear()), rows, schema)
        if table in self.buffers:
            self.forget_from(floor_tick(touched, self.contract.panel.tick_s) + self.tick)
        else:
            self.forget()  # a first row may bring another source of a column
        self.buffers[table] = compact(merged)
        self.newest = max(filter(None, (self.newest, rows.select(schema.known_at.max()).item())))

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

    def forget(self) -> None:
        """Drop all that was computed."""
        self.ticks, self.ticks_end = pl.DataFrame(), NEVER
        self.forget_features()

    def forget_features(self) -> None:
        """Drop the last window, and the ticks that are kept for the next one."""
        self.matrix, self.matrix_end = np.empty((0, len(self.contract.features)), np.float32), NEVER
        self.tails: dict[Reach, pl.DataFrame] = {}

    def forget_from(self, first: datetime) -> None:
        """Drop what was computed of a tick and those after it."""
        if first <= self.ticks_end:
            self.ticks = self.ticks.head(-self.steps(first, self.ticks_end) - 1)
            self.ticks_end = first - self.tick
        if first <= self.matrix_end:
            stale = self.steps(first, self.matrix_end) + 1
            self.matrix, self.matrix_end = self.matrix[: max(0, len(self.matrix) - stale)], first - self.tick
            self.tails = {reach: tail.head(-stale) for reach, tail in self.tails.items()}

    def window(self, at: datetime) -> NDArray[np.float32]:
        """Features (context, features) of the ticks up to the newest one that ends by `at`, NaN where unknown.

        Bit-equal to the last `context` rows that `data.panel.build` makes of the same rows. Rows that no later window can
        need are dropped. Raises DataError for a naive time or one whose look-back has been dropped already.
        """
        require_zone(at, "window")
        last, context = floor_tick(at, self.contract.panel.tick_s), self.contract.context
        with self.lock:
            ticks = self.ticks_until(last)
            missing = self.steps(self.matrix_end, last)
            if not 0 <= missing <= context or len(self.matrix) + missing < context:
                missing = context
                self.forget_features()
            if missing:
                found = np.concatenate([self.matrix, self.evaluated(ticks, missing)])
                self.matrix, self.matrix_end = found[-context:], last
            self.drop_before(last)
            return self.matrix.copy()

    def evaluated(self, ticks: pl.DataFrame, count: int) -> NDArray[np.float32]:
        """Features (count, features) of the last ticks of a table; those before them are in `matrix` already, or were dropped."""
        found = np.empty((count, len(self.contract.features)), np.float32)
        for reach in self.reaches:
            tail = self.tail(reach, ticks, count)
            found[:, reach.places] = reach.plan.evaluate(tail.tail(reach.lookback + count - 1)).tail(count).to_numpy()
        return found

    def tail(self, reach: Reach, ticks: pl.DataFrame, count: int) -> pl.DataFrame:
        """The columns of a reach for the last ticks, `count` of them new, in one piece; the old ones are kept for later."""
        old = self.tails.get(reach)
        if old is None or old.height < reach.lookback - 1:
            tail = ticks.select(reach.columns).tail(reach.lookback + count + SPARE)
        else:
            tail = old.tail(reach.lookback + SPARE).vstack(ticks.tail(count).select(reach.columns))
        self.tails[reach] = tail.rechunk()
        return self.tails[reach]

    def ticks_until(self, last: datetime) -> pl.DataFrame:
        """A tick table of the contract's look-back or more that ends with a tick; computes only what is not there yet."""
        first = self.first_for(last)
        if self.since is not None and first - self.margin < self.since:
            raise DataError(
                "window",
                expected=f"a time from {self.since + self.margin + (last - first)} on",
                found=f"{last}",
                remedy="ask for windows in the order of time; older rows have been dropped",
            )
        have = self.ticks
        if have.is_empty() or self.ticks_end - (have.height - 1) * self.tick > first:
            self.ticks, self.ticks_end = self.compute(first, last), last
        elif self.ticks_end < last:
            self.ticks, self.ticks_end = have.vstack(self.compute(self.ticks_end + self.tick, last)), last
        if self.ticks.n_chunks() > MOST_CHUNKS:
            self.ticks = self.ticks.tail(self.steps(first, self.ticks_end) + 1).rechunk()
        return self.ticks.head(self.ticks.height - self.steps(last, self.ticks_end))

    def compute(self, first: datetime, last: datetime) -> pl.DataFrame:
        """The tick table from a tick to another, both included."""
        first_s, last_s, tick_s = int(first.timestamp()), int(last.timestamp()), self.contract.panel.tick_s
        end = 1000 * np.arange(first_s, last_s + tick_s, tick_s, dtype=np.int64)
        rows = {name: until(recent(frame, first - self.margins[name]), last) for name, frame in self.buffers.items()}
        rows = {name: rows[name] for name in sources_of(self.columns, self.contract.panel, rows)}
        found = filled(end, rows, self.contract.panel, self.columns)
        unknown = np.full(len(end), np.nan)
        return tick_frame(end, {name: found.get(name, unknown) for name in self.columns})

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


def reaches_of(features: Sequence[FeatureSpec]) -> tuple[Reach, ...]:
    """Features of a short look-back, then the others."""
    places: dict[bool, list[int]] = {}
    for place, spec in enumerate(features):
        places.setdefault(spec.lookback > SHORT, []).append(place)
    return tuple(reach_of(features, of_one) for of_one in places.values())


def reach_of(features: Sequence[FeatureSpec], places: Sequence[int]) -> Reach:
    """The features at some places, to be evaluated together."""
    own = [features[place] for place in places]
    exprs = {spec.name: spec.expr.cast(pl.Float64) for spec in own}
    columns = tuple(sorted({name for spec in own for name in spec.expr.meta.root_names()}))
    return Reach(plan(exprs), max(spec.lookback for spec in own), columns, tuple(places))
