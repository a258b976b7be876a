"""From history to the matrix that models read, its windows and its labels.

Decided here: which ticks are built, what a window is, and what a label says about the ticks to come.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from data.contract import Contract, Panel
from data.errors import DataError
from data.features.registry import columns_of, programmed, specs
from data.history import Tables, require_zone
from data.ticks import extent, tick_arrays
from data.timeline import TICK, ceil_tick


@dataclass(frozen=True)
class Rows:
    """Features by tick: `ticks` (n,) epoch seconds of END labels, contiguous; `matrix` (n, features), NaN where unknown."""

    ticks: NDArray[np.int64]
    matrix: NDArray[np.float32]
    names: tuple[str, ...]

    def column(self, name: str) -> NDArray[np.float32]:
        """Values (n,) of one feature."""
        return self.matrix[:, self.names.index(name)]


@dataclass(frozen=True)
class Labels:
    """The truth for n issue ticks, H horizons and T targets.

    `value` (n, T) at the issue tick, `ahead` (n, H, T) at its horizons, both NaN where unknown. `crossed` (n, H, T) is 1 if
    any tick from 1 to the horizon is above the threshold known at issue, else 0; it counts where `known` (n, H, T): all
    of these ticks and the threshold are known. `at_risk` (n, T): the value is at or below the calm level, so that
    a spike would be an onset.
    """

    value: NDArray[np.float32]
    ahead: NDArray[np.float32]
    crossed: NDArray[np.float32]
    at_risk: NDArray[np.bool_]
    known: NDArray[np.bool_]


def build(
    history: Tables,
    panel: Panel,
    names: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
) -> Rows:
    """Features of the ticks since <= T < until; by default all that the tables reach.

    Rows before `since` serve look-back only; no row with a time >= the last tick is used. Raises DataError for bad
    tables, for names that no family has, or when no table feeds the features.
    """
    features = specs(names, panel)
    columns = columns_of(features)
    first, end = span(history, panel, columns, since, until)
    lookback = max(spec.lookback for spec in features) - 1
    start = first - timedelta(seconds=lookback * panel.tick_s) if since else first
    table = tick_arrays(history, panel, start, end, columns)
    ticks = table[TICK] // 1000
    found = programmed(features).whole(table, len(ticks), np.float32)
    own = slice(int(np.searchsorted(ticks, first.timestamp())), None)
    return Rows(ticks[own], np.ascontiguousarray(found[:, own].T), tuple(names))


def span(
    history: Tables, panel: Panel, columns: Collection[str], since: datetime | None, until: datetime | None
) -> tuple[datetime, datetime]:
    """(first tick, tick after the last one), by default those of the tables. Raises DataError where there is no tick."""
    for at in (since, until):
        if at is not None:
            require_zone(at, "panel")
    first, end = extent(history, panel, columns)
    first, end = (first if since is None else since), (end if until is None else until)
    if ceil_tick(first, panel.tick_s) >= ceil_tick(end, panel.tick_s):
        raise DataError(
            "panel", expected="at least one tick", found=f"none from {first} until {end}", remedy="choose another range"
        )
    return first, end


def windows(matrix: NDArray[np.float32], context: int) -> NDArray[np.float32]:
    """Read-only view (n - context + 1, context, features): window i ends with row i + context - 1. Copies nothing."""
    return sliding_window_view(matrix, context, axis=0).transpose(0, 2, 1)


def pad(rows: Rows, context: int) -> Rows:
    """The rows with context - 1 unknown ticks before them, so that every tick has a window."""
    count, features = context - 1, rows.matrix.shape[1]
    tick_s = int(rows.ticks[1] - rows.ticks[0]) if len(rows.ticks) > 1 else 1
    before = rows.ticks[0] - tick_s * np.arange(count, 0, -1) if len(rows.ticks) else np.empty(0, np.int64)
    blank = np.full((len(before), features), np.nan, np.float32)
    return Rows(np.concatenate([before, rows.ticks]), np.concatenate([blank, rows.matrix]), rows.names)


def label(rows: Rows, contract: Contract) -> Labels:
    """The truth for every tick of some rows; NaN, and not known, where it lies beyond them."""
    parts = [label_target(rows, contract, index) for index in range(len(contract.targets))]
    return Labels(
        value=np.stack([part.value for part in parts], -1),
        ahead=np.stack([part.ahead for part in parts], -1),
        crossed=np.stack([part.crossed for part in parts], -1),
        at_risk=np.stack([part.at_risk for part in parts], -1),
        known=np.stack([part.known for part in parts], -1),
    )


def label_target(rows: Rows, contract: Contract, index: int) -> Labels:
    """The truth about one target, without the last axis."""
    target, steps = contract.targets[index], np.array(contract.horizons)
    value = rows.column(target.value)
    path = following(value, contract.horizons[-1])
    if target.threshold is None or target.calm is None:
        none = np.zeros((len(value), len(steps)), np.bool_)
        return Labels(value, path[:, steps - 1], none.astype(np.float32), np.zeros(len(value), np.bool_), none)
    limit = rows.column(target.threshold)
    crossed = np.logical_or.accumulate(path > limit[:, None], axis=1)
    known = np.logical_and.accumulate(np.isfinite(path), axis=1) & np.isfinite(limit)[:, None]
    at_risk = value <= rows.column(target.calm)
    return Labels(value, path[:, steps - 1], crossed[:, steps - 1].astype(np.float32), at_risk, known[:, steps - 1])


def following(values: NDArray[np.float32], horizon: int) -> NDArray[np.float32]:
    """(n, horizon) values 1..horizon ticks after each, NaN beyond the end."""
    padded = np.concatenate([values, np.full(horizon, np.nan, np.float32)])
    return sliding_window_view(padded, horizon)[1:]
