"""How well the onset of a spike can be foreseen in a history or a simulated world: a bar that both have to share.

Decided here: gradient boosting on the features that the panel models read, fitted on some days and judged on others, fold after
fold, with a day left out between them; average precision over all folds. Its own settings never change, so that two histories
differ only by what they hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from data import panel as panels
from data.contract import Calibration, Contract, Panel, Window
from data.features.registry import describe
from data.history import Tables
from data.targets import describe_targets
from training.alarms import average_precision

MARKET = Panel(300, "ethereum", {"eth": ("ETH-PERP", "ETH-SPOT"), "btc": ("BTC-PERP", "BTC-SPOT")})
ORDERS = Panel(15, "ethereum", {})
HOUR_TICKS = 12


@dataclass(frozen=True)
class Question:
    """What is asked: the panel and its families, the targets, and the ticks within which a spike counts."""

    panel: Panel
    families: tuple[str, ...]
    targets: tuple[str, ...]
    reach: int
    folds: int = 5


PANEL = Question(MARKET, ("volatility", "congestion", "calendar"), ("volatility", "congestion"), HOUR_TICKS)
DEMAND = Question(ORDERS, ("demand", "calendar"), ("demand",), 20)


@dataclass(frozen=True)
class Foreseen:
    """Average precision for one target, the share of onsets (what chance would get), and the number of issue times."""

    target: str
    pr_auc: float
    base_rate: float
    issues: int


def foresee(history: Tables, question: Question) -> tuple[Foreseen, ...]:
    """How well each target's onsets are foreseen, out of sample."""
    contract = asked(question)
    rows = panels.build(history, question.panel, contract.feature_names)
    truth = panels.label(rows, contract)
    days = rows.ticks // 86400
    found = []
    for place, target in enumerate(question.targets):
        counts = truth.known[:, -1, place] & truth.at_risk[:, place]
        positive = truth.crossed[counts, -1, place] > 0
        probability = out_of_fold(rows.matrix[counts], positive, days[counts], question.folds)
        found.append(Foreseen(target, average_precision(positive, probability), float(positive.mean()), len(positive)))
    return tuple(found)


def asked(question: Question) -> Contract:
    """The question as a contract, by which truth is labelled; nothing is trained or shipped under it."""
    return Contract(
        name="onsets",
        task="onsets",
        architecture="boosting",
        panel=question.panel,
        context=1,
        features=describe(question.families, question.panel),
        targets=describe_targets(question.targets, question.panel),
        horizons=(question.reach,),
        levels=(0.5,),
        training=Window("", ""),
        calibration=Calibration("none"),
        data_digest="",
        code_version="",
        seed=0,
    )


def out_of_fold(
    matrix: NDArray[np.float32], positive: NDArray[np.bool_], days: NDArray[np.int64], folds: int
) -> NDArray[np.float64]:
    """Probability for each row by a model fitted on other stretches of days, none of them next to its own."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    matrix = matrix[:, np.isfinite(matrix).any(0)]  # a table that is missing leaves columns without a value
    probability = np.zeros(len(positive))
    for others, judged in stretches(days, folds):
        model = HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=150, max_leaf_nodes=15, min_samples_leaf=200, l2_regularization=5.0,
            max_features=0.5, random_state=0,
        )  # fmt: skip
        model.fit(matrix[others], positive[others])
        probability[judged] = model.predict_proba(matrix[judged])[:, 1]
    return probability


def stretches(days: NDArray[np.int64], folds: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """(fitted on, judged on) for each of some stretches of days of equal length; a day on either side belongs to neither."""
    edges = np.linspace(days.min(), days.max() + 1, folds + 1).astype(np.int64)
    for first, end in pairwise(edges):
        yield (days < first - 1) | (days > end), (days >= first) & (days < end)
