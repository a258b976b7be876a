"""Spike probabilities read off quantiles: how far the threshold lies beyond what is expected over the coming ticks.

Decided here: what tells an onset is the distance of the threshold, as it stands at the time of issue, to the median in widths of
the upper half of the band, averaged over the horizons; log-odds fall with it in a straight line, with a constant for each
horizon (proportional odds, McCullagh 1980). Onsets are rare: a classifier with inputs of its own must learn from some dozens of
episodes what the quantiles have learnt from every tick. Two numbers a target and horizon have little to overfit.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.contract import Contract
from data.panel import Labels
from training.artefact import INPUT
from training.regressing import constant_of
from training.shapes import shape_of
from training.stage import QUANTILES, Stage, whole

Array = NDArray[np.float32]
FEWEST_SPIKES = 20  # of either kind, below which a line would be an anecdote
FARTHEST = np.float32(8)  # widths beyond which a threshold is no more than far
SMALLEST_WIDTH = np.float32(1e-6)


@dataclass(frozen=True)
class Onsets:
    """Log-odds are `constant` (horizon, target) − `slope` (target) × distance; `usual` (target) stands in for an unknown one.

    Where `told` (target) is false nothing could be learnt, and probabilities are those of the members.
    """

    slope: Array
    constant: Array
    usual: Array
    told: NDArray[np.bool_]

    @staticmethod
    def unknown(contract: Contract) -> "Onsets":
        """Nothing learnt of any target."""
        horizons, targets = len(contract.horizons), len(contract.targets)
        blank = np.zeros(targets, np.float32)
        return Onsets(blank, np.zeros((horizons, targets), np.float32), blank, np.zeros(targets, np.bool_))


def columns(contract: Contract) -> list[int]:
    """Threshold column of each target; that of its value, which is not read, where it has none."""
    shape = shape_of(contract)
    return [
        value if limit is None else limit for limit, value in zip(shape.thresholds, shape.value_columns, strict=True)
    ]


def distance(quantiles: Array, newest: Array, contract: Contract) -> Array:
    """(n, target): mean over horizons of (threshold − median) / upper half width, NaN where the threshold is unknown.

    `quantiles` are (n, horizon, target, level), `newest` the newest rows (n, features) of the windows.
    """
    middle, top = quantiles[..., shape_of(contract).middle], quantiles[..., -1]
    limit = newest[:, None, columns(contract)]
    found: Array = ((limit - middle) / np.maximum(top - middle, SMALLEST_WIDTH)).clip(-FARTHEST, FARTHEST).mean(axis=1)
    return found


def learnt(start: Onsets, quantiles: Array, newest: Array, labels: Labels, contract: Contract) -> Onsets:
    """The line of every target that has enough onsets, fitted where it is at risk; `labels` are of the same issue ticks."""
    far, found = distance(quantiles, newest, contract), start
    for place in range(far.shape[1]):
        counted = labels.known[:, -1, place] & labels.at_risk[:, place] & np.isfinite(far[:, place])
        crossed = labels.crossed[counted][:, :, place] > 0
        spikes = int(crossed[:, -1].sum()) if len(crossed) else 0
        if min(spikes, len(crossed) - spikes) >= FEWEST_SPIKES:
            found = with_line(found, place, far[counted, place].astype(np.float64), crossed)
    return found


def with_line(onsets: Onsets, place: int, far: NDArray[np.float64], crossed: NDArray[np.bool_]) -> Onsets:
    """The same with the line of one target, from distances (n) and spikes by each horizon (n, horizon)."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e3, max_iter=1000).fit(-far[:, None], crossed[:, -1])
    slope, constant = max(float(fitted.coef_[0, 0]), 0.0), onsets.constant.copy()
    rates = [constant_of(-slope * far, float(rate)) for rate in crossed.mean(axis=0)]
    constant[:, place] = np.maximum.accumulate(rates)
    here = np.arange(len(onsets.told)) == place
    return replace(
        onsets,
        slope=np.where(here, np.float32(slope), onsets.slope),
        constant=constant,
        usual=np.where(here, np.float32(far.mean()), onsets.usual),
        told=onsets.told | here,
    )


def add_onsets(stage: Stage, onsets: Onsets, contract: Contract, members: str, answer: str) -> None:
    """Add the operators that answer `answer` from the graph's window and quantiles, and from the `members`' probabilities."""
    middle, top = (
        stage.add("Gather", QUANTILES, whole([at]), axis=3) for at in (shape_of(contract).middle, stage.levels - 1)
    )
    newest = stage.add("Gather", INPUT, whole([contract.context - 1]), axis=1)
    limit = stage.add("Unsqueeze", stage.add("Gather", newest, whole(columns(contract)), axis=2), whole([3]))
    width = stage.add("Max", stage.add("Sub", top, middle), SMALLEST_WIDTH)
    ratio = stage.add("Div", stage.add("Sub", limit, middle), width)
    known = stage.add("Where", stage.add("IsNaN", ratio), onsets.usual[None, None, :, None], ratio)
    far = stage.add("ReduceMean", stage.clipped(known, -FARTHEST, FARTHEST), whole([1, 3]), keepdims=0)
    fall = stage.add("Mul", stage.add("Unsqueeze", far, whole([1])), onsets.slope[None, None, :])
    own = stage.add("Sigmoid", stage.add("Sub", onsets.constant[None], fall))
    stage.add("Where", onsets.told[None, None, :], own, members, name=answer)
