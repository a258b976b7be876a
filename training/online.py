"""Calibration that goes on in use, tick by tick: the arithmetic of the graph's last stage, in numpy.

Decided here: how bands learn from what came true. The sides of each band move apart when the truth was outside and together
when not, in widths of the forecast's outermost band, so that in the long run the band holds as often as it says whatever
happens (the P of conformal PID control, Angelopoulos, Candès & Tibshirani 2023, eq. 4; the step of Gibbs & Candès 2021, taken
on the quantile and not on its level). Where a band lies is left to the model: errors of forecasts that overlap go together
for hours, and each level tracked on its own takes that for a bias. Misses of a 5-95 % band are rare, so this takes days after
a shift of regime. How large errors are shows within hours: where they have lately been far beyond what is usual, bands
stretch at once. `training.stage` repeats it in ONNX, operation by operation in float32, so that both give the same bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.contract import Contract, Online
from data.online import Layout

Array = NDArray[np.float32]
LARGEST = np.float32(3e38)  # a truth beyond it, or NaN, is unknown
LARGEST_ERROR = np.float32(3)  # widths; one wild tick must not stretch the bands of a day
STRETCH_TICKS, WARM_UP = 2016, 2  # forecasts of a stretch share a memory that begins so many stretches before it
# How a truth enters each of `data.online.TRACES`: whether it was inside, its error, and a constant.
INSIDE, ERROR, ONE = (np.array(row, np.float32) for row in ([1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1]))


@dataclass(frozen=True)
class Tracking:
    """The constants of a contract's online stage: `level` (level,), `rate` (target, 1), `pace` (5,) of the traces."""

    layout: Layout
    middle: int
    level: Array
    rate: Array
    pace: Array
    bound: np.float32
    foot: np.float32  # of the climb beyond the tolerance
    most: np.float32
    least: np.float32
    mirrored: bool

    @staticmethod
    def of(contract: Contract) -> "Tracking":
        """The constants of a contract. Raises ValueError for one whose calibration ends with training."""
        if contract.online is None:
            raise ValueError("expected a contract with online calibration, found one without")
        return Tracking.made(Layout.of(contract), contract.levels, contract.online)

    @staticmethod
    def made(layout: Layout, levels: Sequence[float], online: Online) -> "Tracking":
        """The constants of a layout and its options."""
        recent, usual = (1 - 0.5 ** (1 / ticks) for ticks in (online.recent_ticks, online.usual_ticks))
        return Tracking(
            layout=layout,
            middle=int(np.argmin(np.abs(np.array(levels) - 0.5))),
            level=np.array(levels, np.float32),
            rate=np.array(online.rates, np.float32)[:, None],
            pace=np.array([recent, recent, usual, recent, usual], np.float32),
            bound=np.float32(online.bound),
            foot=np.float32(2 * online.tolerance - 1),
            most=np.float32(online.stretch),
            least=np.float32(1 / online.stretch),
            mirrored=bool(np.allclose(np.add(levels, levels[::-1]), 1)),
        )

    def follow(
        self, state: Array, calibrated: Array, truth: Array, seen: NDArray[np.bool_] | None = None
    ) -> tuple[Array, Array]:
        """Go through n ticks of a batch of independent series, each with its own state.

        `state` (batch, size), `calibrated` (n, batch, horizon, target, level) as the offline calibration leaves them, `truth`
        (n, batch, target) at the tick of issue, NaN where unknown, `seen` (n, batch, target) whether the window held any value
        of the target (absent: always); a forecast from nothing teaches nothing. Returns what is issued, in the shape of
        `calibrated`, and the state after the last tick.
        """
        issued = np.empty_like(calibrated)
        held = np.ones(truth.shape, np.bool_) if seen is None else seen
        for tick in range(len(calibrated)):
            issued[tick], state = self.step(state, calibrated[tick], truth[tick], held[tick])
        return issued, state

    def step(self, state: Array, calibrated: Array, truth: Array, seen: NDArray[np.bool_]) -> tuple[Array, Array]:
        """One tick: what is issued (batch, horizon, target, level), and the next state (batch, size)."""
        shift, traces, pending = self.layout.parts(state)
        waited = pending[:, self.layout.due]
        due, unit = waited[..., :-1], waited[..., -1:]
        known = np.abs(truth) < LARGEST
        came = np.where(known, truth, np.float32(0))[:, None, :, None]
        counted = (known[:, None, :, None] & (unit > 0)).astype(np.float32)
        shift = self.shifted(shift, came, due, counted)
        traces = self.traced(traces, came, (due, unit), counted)
        width = calibrated[..., -1:] - calibrated[..., :1]
        stretch, middle = self.stretch(traces), calibrated[..., self.middle : self.middle + 1]
        stretched = calibrated + (calibrated - middle) * (
            stretch - np.float32(1)
        )  # exact where nothing is to be stretched
        issued = np.sort(stretched + shift * (width * stretch), axis=-1)
        counting = width * seen.astype(np.float32)[:, None, :, None]
        waiting = np.concatenate([np.concatenate([issued, counting], axis=-1), pending], axis=1)[:, self.layout.moves]
        return issued, np.concatenate([part.reshape(len(state), -1) for part in (shift, traces, waiting)], axis=1)

    def shifted(self, shift: Array, came: Array, due: Array, counted: Array) -> Array:
        """Shifts that have learnt from the quantiles `due` (batch, horizon, target, level) and what `came` instead."""
        missed = self.level - (came <= due).astype(np.float32)
        if self.mirrored:
            missed = missed - missed[..., ::-1]
        moved: Array = np.clip(shift + self.rate * missed * counted, -self.bound, self.bound)
        return moved

    def traced(self, traces: Array, came: Array, waited: tuple[Array, Array], counted: Array) -> Array:
        """Traces with the truths of a tick in them; `waited` are the quantiles due and the widths of their bands."""
        due, unit = waited
        inside = ((came >= due[..., :1]) & (came <= due[..., -1:])).astype(np.float32)
        away = np.abs(came - due[..., self.middle : self.middle + 1])
        error = np.minimum(away / np.where(unit > 0, unit, np.float32(1)), LARGEST_ERROR)
        fresh: Array = inside * INSIDE + error * ERROR + ONE - traces
        return traces + counted * self.pace * fresh

    def stretch(self, traces: Array) -> Array:
        """(batch, horizon, target, 1) factor of the bands: recent over usual size of errors, 1 within the tolerance.

        Beyond it the factor climbs twice as fast as the ratio until it has caught up with it.
        """
        recent, usual = traces[..., 1:2] * traces[..., 4:5], traces[..., 2:3] * traces[..., 3:4]
        seen = (recent > 0) & (usual > 0)
        recent, usual = np.where(seen, recent, np.float32(1)), np.where(seen, usual, np.float32(1))
        factor = self.beyond(recent / usual) / self.beyond(usual / recent)
        bounded: Array = np.clip(factor, self.least, self.most)
        return bounded

    def beyond(self, ratio: Array) -> Array:
        """A ratio above the tolerance, 1 below it, and a climb between."""
        climb = np.maximum(np.float32(2) * ratio - self.foot, np.float32(1))
        factor: Array = np.minimum(np.maximum(ratio, np.float32(1)), climb)
        return factor


def memory_begins(at_s: float, tick_s: int) -> float:
    """When the memory behind a forecast begins; both times in epoch seconds."""
    stretch_s = STRETCH_TICKS * tick_s
    return (at_s // stretch_s - WARM_UP) * stretch_s


def followed(contract: Contract, ticks: NDArray[np.int64], quantiles: Array, windows: Array) -> Array:
    """Quantiles (n, horizon, target, level) calibrated online, from their offline selves and the windows they came from.

    `ticks` (n,) are epoch seconds without a gap. All stretches are gone through side by side, as a batch of series.
    """
    tracking, values, seen = (
        Tracking.of(contract),
        windows[:, -1, value_columns(contract)],
        seen_within(windows, contract),
    )
    number = ticks // contract.panel.tick_s
    first, last = int(number[0]) // STRETCH_TICKS, int(number[-1]) // STRETCH_TICKS
    length = (WARM_UP + 1) * STRETCH_TICKS
    places = (np.arange(first, last + 1)[:, None] - WARM_UP) * STRETCH_TICKS + np.arange(length) - number[0]
    there = (places >= 0) & (places < len(ticks))
    places = np.where(there, places, 0)
    state, issued = tracking.layout.blank(len(places)), quantiles.copy()
    for step in range(length):
        at, known = places[:, step], there[:, step]
        said, moved = tracking.step(state, quantiles[at], values[at], seen[at])
        state = np.where(known[:, None], moved, state)
        if step >= WARM_UP * STRETCH_TICKS:
            issued[at[known]] = said[known]
    return issued


def seen_within(windows: Array, contract: Contract) -> NDArray[np.bool_]:
    """(n, target): whether the target's own value was known at least once in the window."""
    return np.stack([np.isfinite(windows[:, :, column]).any(axis=1) for column in value_columns(contract)], axis=1)


def value_columns(contract: Contract) -> list[int]:
    """Places of the targets' own values among the features."""
    return [contract.feature_names.index(target.value) for target in contract.targets]
