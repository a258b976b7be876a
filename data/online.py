"""What an online-calibrated graph remembers between ticks: the layout of its `state`.

Decided here: a state is one float32 vector, in this order, each part in C order:

    shift      (horizon, target, level)               how far quantiles are moved now, in widths of the band
    traces     (horizon, target, 5)                   rolling sums over truths, by `TRACES`
    pending    (sum of horizons, target, level + 1)   quantiles still to come true, horizon by horizon, newest first, each
                                                      with the width that its band had before online calibration

The quantiles for horizon h wait in a line of h places; the last of the line was issued h ticks ago and is about now. A line
moves by one place a tick, so a state tells the time by counting ticks and holds no clock. Zeros are a state that has issued
nothing: a quantile whose band has no width teaches nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.contract import Contract

STATE, NEXT_STATE = "state", "next_state"  # input and output of the graph
# Share of truths inside the outermost band, recent and usual size of errors in widths: each x its weight; then the weights.
TRACES = ("inside", "recent", "usual", "recent_weight", "usual_weight")


@dataclass(frozen=True)
class Layout:
    """Sizes of a state: `horizons` in ticks, and counts of targets and levels."""

    horizons: tuple[int, ...]
    targets: int
    levels: int

    @staticmethod
    def of(contract: Contract) -> "Layout":
        """The layout for a contract."""
        return Layout(contract.horizons, len(contract.targets), len(contract.levels))

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Shapes of the parts: shift, traces, pending."""
        cells = len(self.horizons), self.targets
        return (*cells, self.levels), (*cells, len(TRACES)), (sum(self.horizons), self.targets, self.levels + 1)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Lengths of the parts."""
        shift, traces, pending = (int(np.prod(shape)) for shape in self.shapes)
        return shift, traces, pending

    @property
    def size(self) -> int:
        """Length of a state."""
        return sum(self.sizes)

    @property
    def due(self) -> NDArray[np.int64]:
        """(horizon,) places in `pending` of the quantiles that are about the present tick: the ends of the lines."""
        return np.cumsum(self.horizons, dtype=np.int64) - 1

    @property
    def moves(self) -> NDArray[np.int64]:
        """(sum of horizons,) where the next `pending` is taken from in [the quantiles just issued, `pending`]."""
        moved = np.arange(sum(self.horizons), dtype=np.int64) + len(self.horizons) - 1
        moved[self.due - np.array(self.horizons) + 1] = np.arange(len(self.horizons))
        return moved

    def blank(self, batch: int = 1) -> NDArray[np.float32]:
        """(batch, size) states that remember nothing."""
        return np.zeros((batch, self.size), np.float32)

    def parts(self, state: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Shift, traces and pending, each with the batch axis in front, as views of `state` (batch, size)."""
        pieces = np.split(state, np.cumsum(self.sizes)[:-1], axis=1)
        shift, traces, pending = (p.reshape(-1, *shape) for p, shape in zip(pieces, self.shapes, strict=True))
        return shift, traces, pending

    def coverage(self, state: NDArray[np.float32]) -> NDArray[np.float64]:
        """(batch, target) rolling coverage of the outermost band over all horizons; NaN before anything has come true."""
        traces = self.parts(state)[1].sum(axis=1, dtype=np.float64)
        inside, weight = traces[..., TRACES.index("inside")], traces[..., TRACES.index("recent_weight")]
        share: NDArray[np.float64] = np.divide(inside, weight, out=np.full_like(inside, np.nan), where=weight > 0)
        return share
