"""LightGBM's trees: how they are grown, and how one of them reads as a table of nodes.

Decided here: rows are binned once for all levels, growth is deterministic, and a branch for unknown values is written out as
LightGBM takes it: where no value was unknown in training, an unknown one counts as 0 (Ke et al. 2017; `missing_type` None).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUIET = {"verbosity": -1, "deterministic": True, "force_col_wise": True, "feature_pre_filter": False}


@dataclass(frozen=True)
class Grown:
    """A fitted booster whose answers are sums of its leaves."""

    booster: Any

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Sums (n,): quantiles, or log-odds of a classifier."""
        answer: NDArray[np.float64] = self.booster.predict(matrix, raw_score=True)
        return answer

    def tables(self) -> list[list[tuple[float, int, float, int, int, int, int]]]:
        """The nodes of every tree, as `training.forest` names their parts; the root comes first."""
        return [list(nodes(tree["tree_structure"])) for tree in self.booster.dump_model()["tree_info"]]


def quantile_boosters(
    told: dict[str, Any],
    rounds: int,
    levels: tuple[float, ...],
    matrix: NDArray[np.float32],
    wanted: NDArray[np.float32],
) -> tuple[Grown, ...]:
    """Boosters that minimise the pinball loss at some levels, on rows that are binned once."""
    import lightgbm

    rows = lightgbm.Dataset(matrix, wanted, params={**QUIET, **told}, free_raw_data=False)
    return tuple(
        Grown(lightgbm.train({**QUIET, **told, "objective": "quantile", "alpha": level}, rows, rounds))
        for level in levels
    )


def spike_booster(
    told: dict[str, Any],
    rounds: int,
    matrix: NDArray[np.float32],
    crossed: NDArray[np.bool_],
    climbing: NDArray[np.int64],
) -> Grown:
    """A booster of log-odds that climb with the inputs marked 1 in `climbing`."""
    import lightgbm

    asked = {**QUIET, **told, "objective": "binary", "monotone_constraints": climbing.tolist()}
    return Grown(lightgbm.train(asked, lightgbm.Dataset(matrix, crossed.astype(np.int32), params=asked), rounds))


def nodes(root: dict[str, Any]) -> Iterator[tuple[float, int, float, int, int, int, int]]:
    """(value, feature, threshold, unknown goes left, left, right, is leaf) of every node, children after their parent."""
    waiting, told = [root], 1
    for node in waiting:  # grows while it is read
        if "leaf_value" in node:
            yield node["leaf_value"], 0, 0.0, 0, 0, 0, 1
            continue
        waiting += (node["left_child"], node["right_child"])
        yield 0.0, node["split_feature"], node["threshold"], unknown_goes_left(node), told, told + 1, 0
        told += 2


def unknown_goes_left(node: dict[str, Any]) -> bool:
    """Whether an unknown value takes the left branch."""
    return bool(node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0)
