"""Gradient-boosted trees as a forecaster: one ensemble for each target and level, for all horizons or for each.

Decided here: trees read the newest row alone (its features already look back), the same values relative to the target's
anchor where the unit allows, and the horizon; they predict (truth − anchor) / the usual spread of that horizon. Spikes are a
classifier over the same inputs whose log-odds may only climb with the horizon. The pinball loss is minimised tree by tree as
in Friedman (2001), with histograms: scikit-learn's HistGradientBoosting, or LightGBM (Ke et al. 2017).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.contract import Contract
from data.panel import Labels
from training.artefact import load, require_replaceable, write
from training.card import card
from training.ensembles import Boosted as Boosted  # part of what this module offers
from training.ensembles import Stepped
from training.forest import to_onnx
from training.leafwise import quantile_boosters, spike_booster
from training.parity import probes, require_parity
from training.reading import Reading

Progress = Callable[[int, int], None]

ARCHITECTURE = "boosting"
FEWEST_SPIKES = 20  # of either kind, below which a classifier would learn anecdotes
SMALLEST_SPREAD = 1e-4


@dataclass(frozen=True)
class Boosting:
    """Options: trees an ensemble has, how far each steps, how large they are, and how many (tick, horizon) pairs they see.

    `by_horizon` grows quantile ensembles for each horizon (direct forecasts), each of which sees up to `pairs` ticks.
    """

    max_iter: int = 100
    learning_rate: float = 0.08
    max_leaf_nodes: int = 24
    min_samples_leaf: int = 150
    l2_regularization: float = 1.0
    spike_iter: int = 60
    max_features: float = 1.0
    pairs: int = 120_000
    library: Literal["scikit-learn", "lightgbm"] = "scikit-learn"
    by_horizon: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be fitted."""
        smallest = min(self.max_iter, self.spike_iter, self.max_leaf_nodes - 1, self.min_samples_leaf, self.pairs)
        if smallest < 1 or self.learning_rate <= 0 or self.l2_regularization < 0 or not 0 < self.max_features <= 1:
            raise ValueError(f"expected positive sizes and rates, and a share of features within (0, 1], found {self}")


def fit(
    config: Boosting,
    contract: Contract,
    windows: NDArray[np.float32],
    labels: Labels,
    rows: NDArray[np.int64],
    progress: Progress | None = None,
) -> Boosted:
    """Fit every ensemble on some rows: window i (n, context, feature) belongs to row i of the labels.

    `progress` is called with (ensembles done, ensembles in all). Raises ValueError when a target is never known.
    """
    reading = Reading.of(contract, windows[rows, -1])
    row, anchor = reading.read(windows, rows)
    residual = labels.ahead[rows] - anchor[:, None, :]
    spread = spreads(residual)
    fits = len(contract.horizons) if config.by_horizon else 1
    tell = counter(len(contract.targets) * (fits * len(contract.levels) + 1), progress)
    grow = direct if config.by_horizon else pooled
    quantile, spike = [], []
    for place in range(len(contract.targets)):
        task = Growth(config, contract.levels, reading, row, (residual / spread)[:, :, place], place)
        quantile.append(grow(task, tell))
        counted = labels.known[rows, :, place] & labels.at_risk[rows, None, place]
        pairs = sample(counted, config, place)
        crossed = labels.crossed[rows][:, :, place][pairs] > 0
        spike.append(tell(spike_trees(config, reading.pairs(row, pairs), crossed)))
    offset = np.zeros((*spread.shape, len(contract.levels)), np.float32)
    return Boosted(reading, tuple(quantile), tuple(spike), spread, offset)


def spreads(residual: NDArray[np.float32]) -> NDArray[np.float32]:
    """(horizon, target): the usual 5-95 % width of truth − anchor. Raises ValueError where no truth is known."""
    known = np.isfinite(residual).any(axis=0)
    if not known.all():
        raise ValueError("expected each target to be known at each horizon in some row, found one that never is")
    low, high = np.nanquantile(residual, (0.05, 0.95), axis=0)
    spread: NDArray[np.float32] = np.maximum(high - low, SMALLEST_SPREAD).astype(np.float32)
    return spread


def sample(known: NDArray[np.bool_], config: Boosting, place: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Up to `config.pairs` of the known (row, horizon) pairs, drawn without replacement, in order."""
    found = np.flatnonzero(known)
    if len(found) > config.pairs:
        generator = np.random.default_rng((config.seed, place))
        found = np.sort(generator.choice(found, config.pairs, replace=False, shuffle=False))
    row, horizon = np.unravel_index(found, known.shape)
    return row.astype(np.int64), horizon.astype(np.int64)


@dataclass(frozen=True)
class Growth:
    """What the quantile ensembles of one target grow on: `wanted` (n, horizon) for inputs `row` (n, inputs), NaN where unknown."""

    config: Boosting
    levels: tuple[float, ...]
    reading: Reading
    row: NDArray[np.float32]
    wanted: NDArray[np.float32]
    place: int


def pooled(task: Growth, tell: Callable[[Any], Any]) -> tuple[Any, ...]:
    """An ensemble for each level that all horizons share."""
    pairs = sample(np.isfinite(task.wanted), task.config, task.place)
    grown = quantile_trees(task.config, task.levels, task.reading.pairs(task.row, pairs), task.wanted[pairs])
    return tuple(tell(model) for model in grown)


def direct(task: Growth, tell: Callable[[Any], Any]) -> tuple[Any, ...]:
    """For each level, an ensemble for each horizon."""
    grown = []
    for step in range(task.wanted.shape[1]):
        rows, _ = sample(np.isfinite(task.wanted[:, step, None]), task.config, task.place)
        found = quantile_trees(task.config, task.levels, task.row[rows], task.wanted[rows, step])
        grown.append([tell(model) for model in found])
    return tuple(Stepped(task.reading.horizons, members) for members in zip(*grown, strict=True))


def quantile_trees(
    config: Boosting, levels: tuple[float, ...], matrix: NDArray[np.float32], wanted: NDArray[np.float32]
) -> Iterable[Any]:
    """Trees that minimise the pinball loss at each of some levels."""
    if config.library == "lightgbm":
        return quantile_boosters(leafwise(config), config.max_iter, levels, matrix, wanted)
    from sklearn.ensemble import HistGradientBoostingRegressor

    return (
        HistGradientBoostingRegressor(loss="quantile", quantile=level, max_iter=config.max_iter, **shared(config)).fit(
            matrix, wanted
        )
        for level in levels
    )


def spike_trees(config: Boosting, matrix: NDArray[np.float32], crossed: NDArray[np.bool_]) -> Any:
    """Trees of log-odds that climb with the horizon; constant log-odds of the rate where there is too little to learn."""
    spikes = int(crossed.sum())
    if min(spikes, len(crossed) - spikes) < FEWEST_SPIKES:
        return float(np.log((spikes + 0.5) / (len(crossed) - spikes + 0.5)))
    climbing = np.zeros(matrix.shape[1], np.int64)
    climbing[-1] = 1
    if config.library == "lightgbm":
        return spike_booster(leafwise(config), config.spike_iter, matrix, crossed, climbing)
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(max_iter=config.spike_iter, monotonic_cst=climbing, **shared(config))
    return trees.fit(matrix, crossed)


def shared(config: Boosting) -> dict[str, Any]:
    """What scikit-learn's trees are told."""
    return {
        "learning_rate": config.learning_rate,
        "max_leaf_nodes": config.max_leaf_nodes,
        "min_samples_leaf": config.min_samples_leaf,
        "l2_regularization": config.l2_regularization,
        "max_features": config.max_features,
        "early_stopping": False,
        "random_state": config.seed,
    }


def leafwise(config: Boosting) -> dict[str, Any]:
    """The same in LightGBM's words."""
    return {
        "learning_rate": config.learning_rate,
        "num_leaves": config.max_leaf_nodes,
        "min_data_in_leaf": config.min_samples_leaf,
        "lambda_l2": config.l2_regularization,
        "feature_fraction": config.max_features,
        "seed": config.seed,
    }


def counter(total: int, progress: Progress | None) -> Callable[[Any], Any]:
    """Pass ensembles through, counting them."""
    done = 0

    def tell(model: Any) -> Any:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)
        return model

    return tell


def export(boosted: Boosted, contract: Contract, folder: Path, sample_windows: NDArray[np.float32]) -> float:
    """Write the artefact of fitted trees and return the parity measured (see `training.parity`).

    Raises DataError, and writes nothing, when the graph disagrees with scikit-learn or `folder` holds something else.
    """
    require_replaceable(folder)
    model = to_onnx(boosted, contract)
    parity = require_parity(load(model, folder), boosted.predict, probes(sample_windows))
    write(folder, model, contract, card(contract, parity))
    return parity
