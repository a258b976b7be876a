"""The panel of a running process: rows go in as they come, and the newest window comes out with the bits of training.

Decided here: what is kept (the look-back of the contract before the last window asked for), what late, repeated and
replaced rows do (the ticks from the first one they touch are computed again), and that a bad frame changes nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Contract
from data.errors import DataError
from data.features.registry import columns_of, specs
from data.features.spec import FeatureSpec
from data.history import Memory, known, require_zone
from data.schemas import TABLES, Table
from data.ticks import margin, sources_of, tick_table
from data.timeline import TICK, floor_tick, label
from data.validation import canonical, faults

# Broken in one frame, these are put right by merging it with the rows that are held.
ORDER_RULES = frozenset({"rows_in_order", "no_duplicates", "time_goes_forward"})
MOST_CHUNKS = 32  # appended pieces of a buffer before it is copied into one
SHORT = 1024  # features that look back at most so many ticks are evaluated over a short tail


class LivePanel:
    """Ring buffers of canonical rows and the tick table over them, for one contract.

    Rows may be appended in one thread while another asks for windows: a window sees a frame as a whole or not at all.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.tick = timedelta(seconds=contract.panel.tick_s)
        features = specs(contract.feature_names, contract.panel)
        self.near, self.far = split_by_reach(features, contract.context)
        self.columns = columns_of(features)
        fed = sources_of(self.columns, contract.panel, TABLES)
        self.kept = frozenset(fed) | (frozenset({"arrivals"}) if "request_counts" in fed else frozenset())
        self.buffers: dict[str, pl.DataFrame] = {}
        self.ticks: pl.DataFrame | None = None
        self.since: datetime | None = None
        self.newest: datetime | None = None
        self.lock = Lock()

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
        rows = canonical(frame.lazy(), schema, "rows").collect()
        for fault in faults(rows, schema):
            if fault.rule not in ORDER_RULES:
                raise fault.error("rows")
        with self.lock:
            self.take(self.relevant(rows, schema), schema)

    def take(self, rows: pl.DataFrame, schema: Table) -> None:
        """Put valid rows in their places."""
        if rows.is_empty():
            return
        table = schema.name
        if table not in self.buffers:
            self.ticks = None  # a first row may bring another source of a column
        merged, touched = merge(self.buffers.get(table, rows.clear()), rows, schema)
        self.buffers[table] = merged.rechunk() if merged.n_chunks() > MOST_CHUNKS else merged
        self.forget_from(touched)
        self.newest = max(filter(None, (self.newest, rows.select(schema.known_at.max()).item())))

    def relevant(self, rows: pl.DataFrame, schema: Table) -> pl.DataFrame:
        """The rows that can feed a feature, and are not older than what is kept."""
        if schema.name not in self.kept:
            return rows.clear()
        panel = self.contract.panel
        if schema.name == "blocks":
            rows = rows.filter(pl.col("chain") == panel.chain)
        elif schema.name == "bars":
            symbols = sorted({symbol for played_by in panel.roles.values() for symbol in played_by})
            rows = rows.filter(pl.col("symbol").is_in(symbols))
        return rows if self.since is None else rows.filter(pl.col("ts") >= self.since)

    def forget_from(self, touched: datetime) -> None:
        """Drop the computed ticks that a row of that time is part of, or that come after it."""
        if self.ticks is not None:
            first = pl.select(label(pl.lit(touched), self.contract.panel.tick_s)).item()
            self.ticks = self.ticks.filter(pl.col(TICK) < first)

    def window(self, at: datetime) -> NDArray[np.float32]:
        """Features (context, features) of the ticks up to the newest one that ends by `at`, NaN where unknown.

        Bit-equal to the last `context` rows that `data.panel.build` makes of the same rows. Rows that no later window can
        need are dropped. Raises DataError for a naive time or one whose look-back has been dropped already.
        """
        require_zone(at, "window")
        last, context = floor_tick(at, self.contract.panel.tick_s), self.contract.context
        with self.lock:
            ticks = self.ticks_until(last)
            self.drop_before(last)
        both = ticks.tail(SHORT).select(self.near).tail(context).hstack(ticks.select(self.far).tail(context))
        return np.ascontiguousarray(both.select(self.contract.feature_names).to_numpy())

    def ticks_until(self, last: datetime) -> pl.DataFrame:
        """The tick table of the contract's look-back that ends with a tick; computes only what is not there yet."""
        first = self.first_for(last)
        if self.since is not None and first - self.margin < self.since:
            raise DataError(
                "window",
                expected=f"a time from {self.since + self.margin + (last - first)} on",
                found=f"{last}",
                remedy="ask for windows in the order of time; older rows have been dropped",
            )
        have = self.ticks.filter(pl.col(TICK) >= first) if self.ticks is not None else pl.DataFrame()
        if have.is_empty() or have[TICK][0] > first:
            have = self.compute(first, last)
        elif have[TICK][-1] < last:
            have = pl.concat([have, self.compute(have[TICK][-1] + self.tick, last)])
        self.ticks = have
        return have.filter(pl.col(TICK) <= last)

    def compute(self, first: datetime, last: datetime) -> pl.DataFrame:
        """The tick table from a tick to another, both included."""
        return tick_table(Memory(self.buffers), self.contract.panel, first, last + self.tick, self.columns)

    def first_for(self, last: datetime) -> datetime:
        """The oldest tick that the window ending with a tick looks back to."""
        return last - (self.contract.lookback - 1) * self.tick

    @property
    def margin(self) -> timedelta:
        """Raw rows that a tick may need before its own start."""
        panel = self.contract.panel
        return max((margin(name, panel) for name in self.kept), default=timedelta()) + self.tick

    def drop_before(self, last: datetime) -> None:
        """Forget the rows that no window from this tick on can need."""
        self.since = self.first_for(last) - self.margin
        self.buffers = {name: since(frame, self.since) for name, frame in self.buffers.items()}


def split_by_reach(features: Sequence[FeatureSpec], context: int) -> tuple[list[pl.Expr], list[pl.Expr]]:
    """Float32 columns (NaN where unknown) that a short tail of ticks suffices for, and those that need the whole look-back."""
    near: list[pl.Expr] = []
    far: list[pl.Expr] = []
    for spec in features:
        column = spec.expr.cast(pl.Float32).fill_null(float("nan")).alias(spec.name)
        (near if spec.lookback + context - 1 <= SHORT else far).append(column)
    return near, far


def since(frame: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """The rows of a frame in ascending order of `ts` from a time on."""
    return frame.slice(int((frame["ts"] < at).sum()))


def merge(held: pl.DataFrame, rows: pl.DataFrame, table: Table) -> tuple[pl.DataFrame, datetime]:
    """Held rows (ascending in `ts`) with new ones in their places, and the earliest time at which anything changed.

    Raises DataError when together they break an order that each keeps alone, e.g. block times that go back.
    """
    touched = earliest(rows)
    head = held.filter(pl.col("ts") < touched)
    if table.name == "blocks" and head.select((pl.col("number") >= rows["number"].min()).any()).item():
        head = head.clear()  # a reorganisation: a number that is held already, at another time
    tail = held.slice(head.height)
    together = pl.concat([tail, rows])
    if table.key:
        replaced = tail.join(rows, on=table.key, how="semi", nulls_equal=True)
        touched = min(touched, earliest(replaced)) if replaced.height else touched
        together = together.unique(table.key, keep="last", maintain_order=True)
    together = together.sort("ts", *table.order)
    seam = pl.concat([head.tail(1), together])
    for fault in faults(seam.sort(table.order), table)[:1]:
        raise fault.error("rows")
    return pl.concat([head, together], rechunk=False), touched


def earliest(rows: pl.DataFrame) -> datetime:
    """The earliest event time of some rows."""
    first = rows["ts"].min()
    if not isinstance(first, datetime):
        raise TypeError("expected at least one row with a time")
    return first
