"""Which features move before a spike breaks out, and how long before: an event study against matched quiet times.

Decided here: an onset is the first tick over its threshold after a quiet hour; its controls are quiet times at the same time
of day within two weeks of it, so that neither the clock nor the season of the market looks like a warning. A feature differs
at an offset when it is beyond its controls in more than 60 % of comparisons (the area under the ROC curve, stratified by onset);
its lead is the unbroken run of such offsets up to the last tick before the onset.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from data.contract import Target
from data.panel import Rows
from training.foreseeing import DAY_S, Floats, Mask
from training.metrics import INTERVAL

BEFORE, AFTER = 12, 6  # ticks looked at around an onset: an hour and half an hour of the 5-minute panel
CONTROLS = 8  # of an onset
NEAR_DAYS = 14
DIFFERS = 0.6
DRAWS = 400
FEWEST = 10  # onsets with a value, below which a feature is left out
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """Rows of onsets (e,) and of their controls (e, CONTROLS), and the day of each onset."""

    onset: Places
    controls: Places
    days: Places


@dataclass(frozen=True)
class Lead:
    """How one feature went around onsets; arrays are by offset, from BEFORE ticks before to AFTER ticks after.

    `path` (3, offsets) are quartiles over onsets and `usual` over controls, both standardised by the controls' median and
    interquartile range / 1.349; `auc` (3, offsets) is the share of comparisons in which an onset lies above its controls, with
    its 90 % interval. `ticks` is the lead, 0 for none, with its 90 % interval.
    """

    feature: str
    path: Floats
    usual: Floats
    auc: Floats
    ticks: int
    interval: tuple[int, int]

    @property
    def last(self) -> float:
        """The share at the last tick before the onset."""
        return float(self.auc[1, BEFORE - 1])


def leads(rows: Rows, found: Events) -> tuple[Lead, ...]:
    """The leads of every feature over some onsets, the longest and clearest first."""
    if not len(found.onset):
        return ()
    kept = [lead(rows, name, found) for name in rows.names]
    return tuple(sorted(filter(None, kept), key=lambda one: (-one.ticks, -abs(one.last - 0.5))))


def events(rows: Rows, target: Target, tick_s: int) -> Events:
    """Onsets of one target that have controls, and the controls."""
    if target.threshold is None:
        return Events(np.empty(0, np.int64), np.empty((0, CONTROLS), np.int64), np.empty(0, np.int64))
    value, limit = rows.column(target.value), rows.column(target.threshold)
    known, over = np.isfinite(value) & np.isfinite(limit), value > limit
    quiet = known & ~over
    onset = np.flatnonzero(over & all_of(quiet, BEFORE, -1) & inside(len(over)))
    calm = all_of(quiet, BEFORE, AFTER) & inside(len(over))
    controls = [matched(row, calm, DAY_S // tick_s) for row in onset.tolist()]
    has = np.array([bool(len(one)) for one in controls], np.bool_)
    chosen = [one for one in controls if len(one)]
    return Events(onset[has], np.reshape(chosen, (-1, CONTROLS)).astype(np.int64), rows.ticks[onset[has]] // DAY_S)


def all_of(holds: Mask, before: int, after: int) -> Mask:
    """Where something holds at every offset from `before` ticks before to `after` ticks after (negative: before)."""
    padded = np.concatenate([np.zeros(before, np.bool_), holds, np.zeros(max(after, 0), np.bool_)])
    return np.asarray(sliding_window_view(padded, before + after + 1).all(1))[: len(holds)]


def inside(count: int) -> Mask:
    """Rows with every offset of the study inside the table."""
    place = np.arange(count)
    return (place >= BEFORE) & (place < count - AFTER)


def matched(row: int, calm: Mask, day: int) -> Places:
    """Calm rows at the same time of day, drawn from the days around an onset; with repetition where they are few."""
    near = row + day * np.array([step for step in range(-NEAR_DAYS, NEAR_DAYS + 1) if step])
    near = near[(near >= 0) & (near < len(calm))]
    near = np.asarray(near[calm[near]], np.int64)
    if not len(near):
        return near
    chosen = np.random.default_rng((0, row)).choice(near, CONTROLS, replace=len(near) < CONTROLS)
    return np.asarray(chosen, np.int64)


def lead(rows: Rows, name: str, found: Events) -> Lead | None:
    """One feature around the onsets; None when it is known too rarely or never differs among controls."""
    values = rows.column(name).astype(np.float64)
    offsets = np.arange(-BEFORE, AFTER + 1)
    onset, control = values[found.onset[:, None] + offsets], values[found.controls[..., None] + offsets]
    low, middle, high = np.nanquantile(control, (0.25, 0.5, 0.75)) if np.isfinite(control).any() else (0.0, 0.0, 0.0)
    above = beyond(onset, control)
    if np.isfinite(above).sum(0).min() < FEWEST or high <= low:
        return None
    scale = (high - low) / 1.349
    drawn = resampled(above, found.days)
    point = np.nanmean(above, 0)
    falls = point[BEFORE - 1] < 0.5
    runs = [run(1 - one if falls else one) for one in (point, *drawn)]
    ends = np.quantile(runs[1:], INTERVAL, method="nearest")
    bands = np.quantile(drawn, INTERVAL, axis=0)
    return Lead(
        name,
        (np.nanquantile(onset, (0.25, 0.5, 0.75), axis=0) - middle) / scale,
        (np.nanquantile(control, (0.25, 0.5, 0.75), axis=(0, 1)) - middle) / scale,
        np.stack([bands[0], point, bands[1]]),
        runs[0],
        (int(ends[0]), int(ends[1])),
    )


def beyond(onset: Floats, control: Floats) -> Floats:
    """(e, offsets): share of an onset's controls that it lies above, ties counting half; NaN where unknown."""
    here = onset[:, None, :]
    wins = np.where(here > control, 1.0, np.where(here == control, 0.5, 0.0))
    known = np.isfinite(here) & np.isfinite(control)
    count = known.sum(1)
    return np.asarray(np.where(count > 0, np.where(known, wins, 0.0).sum(1) / np.maximum(count, 1), np.nan))


def resampled(above: Floats, days: Places) -> Floats:
    """(draws, offsets): the mean share when days of onsets are drawn with replacement."""
    _, day = np.unique(days, return_inverse=True)
    count = int(day.max()) + 1
    weight = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS)[:, day].astype(np.float64)
    known = np.isfinite(above)
    total = weight @ np.where(known, above, 0.0)
    return np.asarray(total / np.maximum(weight @ known, 1e-12))


def run(share: Floats) -> int:
    """How many offsets up to the last one before the onset are beyond DIFFERS without a break."""
    differs = share[:BEFORE][::-1] > DIFFERS
    return BEFORE if differs.all() else int(np.argmin(differs))
