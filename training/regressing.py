"""Fit linear quantile regressions of every horizon and level at once, and log-odds of spikes beside them.

Decided here: the pinball loss is smoothed with a normal kernel whose bandwidth shrinks with the rows (Fernandes, Guerre and Horta
2021; He et al. 2023), so that a quasi-Newton method finds its minimum in seconds where the exact linear programme takes hours;
inputs are turned onto uncorrelated directions first, since means over nested windows go together; a ridge holds for the weights
of the inputs as they are, so that a direction in which inputs hardly move, and of which the rows tell little, counts little; the
constant is then moved to where the level holds exactly on the rows that were fitted.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.head import SMALLEST_RATE
from models.regression import Regression
from training.preparation import Prepared
from training.settings import require

Array = NDArray[np.float64]
BATCH = 4096
FEWEST_SPIKES = 20  # of either kind, below which a slope would be an anecdote


@dataclass(frozen=True)
class Regressing:
    """Options: without `inputs` there is only a constant for each horizon and level; `half_life` as in `models.regression`.

    `ridge` pulls the weights of standardised inputs to zero, in mean losses for a weight of one spread.
    """

    inputs: bool = True
    half_life: float = 0.0
    ridge: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse contradictions."""
        require(
            "regression",
            [
                (self.half_life >= 0, "a half_life of 0 ticks or more", str(self.half_life)),
                (self.ridge >= 0, "a ridge of 0 or more", str(self.ridge)),
            ],
        )


def fit(config: Regressing, network: Regression, prepared: Prepared, rows: NDArray[np.int64]) -> None:
    """Set a network's weights from some rows, whose windows and labels are `prepared`'s."""
    design, start = read(network, prepared.windows, rows)
    wanted = prepared.labels.ahead[rows].astype(np.float64) - start[:, None, :]
    white = Whitened.of(design if config.inputs else design[:, :0], config.ridge)
    for horizon, target in np.ndindex(wanted.shape[1:]):
        known = np.isfinite(wanted[:, horizon, target])
        weight, constant = quantile_lines(
            white.rows[known], wanted[known, horizon, target], prepared.contract.levels, white.pull
        )
        put(network.residual[horizon, target], constant - white.mean @ white.back @ weight)
        if config.inputs:
            put(network.weight[:, horizon, target], white.back @ weight)
    if config.inputs:
        fit_spikes(network, prepared, rows, design)


def read(network: Regression, windows: NDArray[np.float32], rows: NDArray[np.int64]) -> tuple[Array, Array]:
    """What the network reads of some windows (n, features), and what its quantiles start from (n, target)."""
    parts = []
    with torch.inference_mode():
        for begin in range(0, len(rows), BATCH):
            window = torch.from_numpy(windows[rows[begin : begin + BATCH]])
            parts.append((network.inputs(window)[:, -1].numpy(), network.start(window).numpy()))
    design, start = (np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True))
    return design, start


def put(place: torch.Tensor, values: Array) -> None:
    """Write values into a part of a tensor."""
    with torch.no_grad():
        place.copy_(torch.from_numpy(values))


@dataclass(frozen=True)
class Whitened:
    """Inputs (n, k) without correlation, as `(design - mean) @ back`, and the ridge `pull` (k) of the weight of each."""

    rows: Array
    mean: Array
    back: Array
    pull: Array

    @staticmethod
    def of(design: Array, ridge: float) -> "Whitened":
        """`pull` is what `ridge` is for weights of `design`; scaled so that the fit is round whatever moves how far."""
        mean = design.mean(axis=0)
        if not design.shape[1]:
            return Whitened(design, mean, np.empty((0, 0)), np.empty(0))
        size, way = np.linalg.eigh(np.cov(design, rowvar=False).reshape(len(mean), -1))
        kept = size > 1e-6 * max(size[-1], 1e-12)
        reach = size[kept] + ridge
        back = way[:, kept] / np.sqrt(reach)
        return Whitened((design - mean) @ back, mean, back, ridge / reach)


def quantile_lines(white: Array, wanted: Array, levels: tuple[float, ...], pull: Array) -> tuple[Array, Array]:
    """Weights (k, level) and constants (level) of quantiles of `wanted` (n) given whitened inputs (n, k) with ridges (k)."""
    from scipy.optimize import minimize
    from scipy.special import ndtr

    level, (count, width), ridge = np.array(levels), white.shape, pull[:, None]
    constant = np.quantile(wanted, level)
    if not width:
        return np.empty((0, len(level))), constant
    scale = max(float(np.subtract(*np.quantile(wanted, (0.9, 0.1)))), 1e-9)
    band = max(((width + np.log(count)) / count) ** 0.4, 0.02)
    target = wanted[:, None] / scale

    def loss(flat: Array) -> tuple[float, Array]:
        weight, base = np.split(flat.reshape(width + 1, -1), [width])
        error = target - base - white @ weight
        below = ndtr(-error / band)
        density = np.exp(-0.5 * (error / band) ** 2) * band / np.sqrt(2 * np.pi)
        slope = (below - level) / count
        value = float((error * (level - below) + density).sum()) / count + 0.5 * float((ridge * weight**2).sum())
        return value, np.concatenate([white.T @ slope + ridge * weight, slope.sum(0, keepdims=True)]).ravel()

    first = np.concatenate([np.zeros((width, len(level))), constant[None] / scale]).ravel()
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": 300, "ftol": 1e-9, "gtol": 1e-5})
    weight = found.x.reshape(width + 1, -1)[:-1] * scale
    rest = wanted[:, None] - white @ weight
    return weight, np.array([np.quantile(column, one) for column, one in zip(rest.T, level, strict=True)])


def fit_spikes(network: Regression, prepared: Prepared, rows: NDArray[np.int64], design: Array) -> None:
    """Proportional odds: slopes that tell a spike within the longest horizon, then the constant of each horizon."""
    from sklearn.linear_model import LogisticRegression

    labels = prepared.labels
    odds = network.odds.clone().double().numpy()
    for place in range(odds.shape[1]):
        counted = labels.known[rows, -1, place] & labels.at_risk[rows, place]
        crossed = labels.crossed[rows][counted][:, :, place] > 0
        spikes = int(crossed[:, -1].sum()) if len(crossed) else 0
        if min(spikes, len(crossed) - spikes) < FEWEST_SPIKES:
            continue
        model = LogisticRegression(C=0.002, max_iter=1000).fit(design[counted], crossed[:, -1])
        slope = model.coef_[0]
        put(network.spike[:, place], slope)
        score = design[counted] @ slope
        odds[:, place] = [constant_of(score, float(rate)) for rate in crossed.mean(axis=0)]
    put(network.odds, np.maximum.accumulate(odds, axis=0))


def constant_of(score: Array, rate: float) -> float:
    """What is added to log-odds (n) so that their probabilities average `rate`."""
    from scipy.optimize import brentq
    from scipy.special import expit

    wanted = min(max(rate, SMALLEST_RATE), 1 - SMALLEST_RATE)
    return float(brentq(lambda at: float(expit(score + at).mean()) - wanted, -60, 60))
