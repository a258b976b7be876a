"""A recorded history, cut to what is played: the look-back of the model, then everything to the end.

Decided here: which tables are read, where playing starts when nobody says, and that a row appears when it became known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from data.errors import DataError, UsageError
from data.history import History
from data.live import LivePanel
from data.schemas import TABLES
from data.ticks import sources_of
from serving.demand import ORDER_TABLES

KNOWN = "known_at"


@dataclass(frozen=True)
class Recording:
    """Rows of the tables to play, each with when it became known, in that order; `start` and `end` bound the played time."""

    tables: Mapping[str, pl.DataFrame]
    start: datetime
    end: datetime

    @classmethod
    def open(cls, folder: Path, panel: LivePanel, start: datetime | None, until: datetime | None) -> "Recording":
        """Read what a panel needs of a folder.

        Raises DataError for a bad or missing table, UsageError when the bounds leave nothing to play.
        """
        history = History.open(folder)
        panel_tables = require_tables(history, panel, folder)
        first, last = common_span(history, panel_tables, folder)
        lookback = timedelta(seconds=panel.contract.lookback * panel.contract.panel.tick_s) + panel.margin
        start = start or first + min(lookback, (last - first) / 2)
        end = min(until or last, last)
        if not first <= start < end:
            raise UsageError(
                "feed.start",
                expected=f"a start within what is recorded in {folder} ({first.isoformat()} to {end.isoformat()})",
                found=start.isoformat(),
                remedy="correct feed.start or feed.until",
            )
        wanted = {*panel_tables, *([] if set(panel_tables) & set(ORDER_TABLES) else ORDER_TABLES)} & history.tables
        return cls({name: cut(history, name, start - lookback, end) for name in sorted(wanted)}, start, end)

    def rows(self, after: datetime | None, until: datetime) -> dict[str, pl.DataFrame]:
        """Rows by table that became known after a time (None: from the first) and by another; tables without any are left out."""
        found = {name: between(frame, after, until) for name, frame in self.tables.items()}
        return {name: frame for name, frame in found.items() if frame.height}


def require_tables(history: History, panel: LivePanel, folder: Path) -> tuple[str, ...]:
    """The tables that a model reads. Raises DataError when one of them is not recorded."""
    orders = set(ORDER_TABLES)
    missing = sorted(panel.kept - orders - history.tables)
    if panel.kept & orders and not orders & history.tables:
        missing.append(" or ".join(ORDER_TABLES))
    if missing:
        raise DataError(
            str(folder),
            expected=f"the tables that model {panel.contract.name} reads",
            found=f"no {', '.join(missing)}",
            remedy="add them, or choose a model of another task",
        )
    return sources_of(panel.columns, panel.contract.panel, history.tables)


def common_span(history: History, names: tuple[str, ...], folder: Path) -> tuple[datetime, datetime]:
    """From when to when all of some tables have rows. Raises DataError when they have no time in common."""
    spans = [
        history.scan(name).select(pl.col("ts").min(), TABLES[name].known_at.max().alias(KNOWN)).collect().row(0)
        for name in names
    ]
    starts, ends = [start for start, _ in spans if start], [end for _, end in spans if end]
    if len(starts) < len(names) or max(starts) >= min(ends):
        raise DataError(
            str(folder),
            expected=f"rows of {', '.join(names)} at the same time",
            found=f"{len(names) - len(starts)} empty"
            if len(starts) < len(names)
            else f"from {max(starts)}, until {min(ends)}",
            remedy="record them over the same period (see `shaper data check DIR`)",
        )
    return max(starts), min(ends)


def cut(history: History, name: str, since: datetime, until: datetime) -> pl.DataFrame:
    """Rows of one table from a time on and known by another, in the order in which they became known."""
    spare = TABLES[name].optional - {"tier"}  # no feature reads the others, and blocks have many
    rows = history.scan(name).drop(spare).with_columns(TABLES[name].known_at.alias(KNOWN))
    chosen = rows.filter((pl.col("ts") >= since) & (pl.col(KNOWN) <= until)).sort(KNOWN, maintain_order=True).collect()
    history.loaded.pop(name, None)  # the whole table is not needed again, and may be large
    return chosen


def between(frame: pl.DataFrame, after: datetime | None, until: datetime) -> pl.DataFrame:
    """Rows known after a time and by another, without the column that says so."""
    first = 0 if after is None else frame[KNOWN].search_sorted(after, "right")
    return frame.slice(first, frame[KNOWN].search_sorted(until, "right") - first).drop(KNOWN)
