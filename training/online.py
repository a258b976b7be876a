"""Calibration that goes on in use, tick by tick: the arithmetic of the graph's last stage, in numpy.

Decided here: how a quantile learns from its misses. Each level of each horizon and target is tracked on its own: a truth at or
below the quantile moves it down by rate x (1 - level), one above it moves it up by rate x level, in widths of the forecast's
outermost band, so that in the long run it holds as often as it says whatever happens (quantile tracking: the P of conformal
PID control, Angelopoulos, Candès & Tibshirani 2023, eq. 4; the same step as Gibbs & Candès 2021, taken on the quantile and not
on its level). `training.stage` repeats it in ONNX, operation by operation in float32, so that both give the same bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.contract import Contract, Online
from data.online import Layout

Array = NDArray[np.float32]
INSIDE_AND_ALL = np.array([0, 1], np.float32)  # with `inside` by maximum: 1 if inside, and always 1
LARGEST = np.float32(3e38)  # a truth beyond it, or NaN, is unknown


@dataclass(frozen=True)
class Tracking:
    """The constants of a contract's online stage: `level` (level,), `rate` (target, 1), and single numbers."""

    layout: Layout
    level: Array
    rate: Array
    bound: np.float32
    pace: np.float32  # of the rolling coverage, a tick

    @staticmethod
    def of(contract: Contract) -> "Tracking":
        """The constants of a contract. Raises ValueError for one whose calibration ends with training."""
        if contract.online is None:
            raise ValueError("expected a contract with online calibration, found one without")
        return Tracking.made(Layout.of(contract), contract.levels, contract.online)

    @staticmethod
    def made(layout: Layout, levels: Sequence[float], online: Online) -> "Tracking":
        """The constants of a layout and its options."""
        return Tracking(
            layout=layout,
            level=np.array(levels, np.float32),
            rate=np.array(online.rates, np.float32)[:, None],
            bound=np.float32(online.bound),
            pace=np.float32(1 - 0.5 ** (1 / online.coverage_ticks)),
        )

    def follow(self, state: Array, calibrated: Array, truth: Array) -> tuple[Array, Array]:
        """Go through n ticks of a batch of independent series, each with its own state.

        `state` (batch, size), `calibrated` (n, batch, horizon, target, level) as the offline calibration leaves them, `truth`
        (n, batch, target) at the tick of issue, NaN where unknown. Returns what is issued, in the shape of `calibrated`, and
        the state after the last tick.
        """
        issued = np.empty_like(calibrated)
        for tick in range(len(calibrated)):
            issued[tick], state = self.step(state, calibrated[tick], truth[tick])
        return issued, state

    def step(self, state: Array, calibrated: Array, truth: Array) -> tuple[Array, Array]:
        """One tick: what is issued (batch, horizon, target, level), and the next state (batch, size)."""
        shift, seen, pending = self.layout.parts(state)
        due = pending[:, self.layout.due]
        known = np.abs(truth) < LARGEST
        came = np.where(known, truth, np.float32(0))[:, None, :, None]
        counted = (known[:, None, :, None] & (due[..., -1:] > due[..., :1])).astype(np.float32)
        missed = self.level - (came <= due).astype(np.float32)
        shift = np.clip(shift + self.rate * missed * counted, -self.bound, self.bound)
        width = calibrated[..., -1:] - calibrated[..., :1]
        issued = np.sort(calibrated + shift * width, axis=-1)
        waiting = np.concatenate([issued, pending], axis=1)[:, self.layout.moves]
        inside = ((came >= due[..., :1]) & (came <= due[..., -1:])).astype(np.float32)
        fresh: Array = np.maximum(inside, INSIDE_AND_ALL) - seen
        seen = seen + counted * self.pace * fresh
        parts = [part.reshape(len(state), -1) for part in (shift, seen, waiting)]
        return issued, np.concatenate(parts, axis=1)
