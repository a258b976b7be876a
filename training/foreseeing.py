"""How well the onset of a spike can be foreseen in a history or a simulated world: a bar that both have to share.

Decided here: gradient boosting fitted on some days and judged on others, fold after fold, with a day left out between them;
average precision over all folds. Its own settings never change, so that two histories differ only by what they hold.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data import panel as panels
from data.contract import Calibration, Contract, Panel, Window
from data.errors import DataError
from data.features.registry import describe
from data.history import Tables
from data.targets import describe_targets
from training.alarms import average_precision
from training.metrics import INTERVAL

MARKET = Panel(300, "ethereum", {"eth": ("ETH-PERP", "ETH-SPOT"), "btc": ("BTC-PERP", "BTC-SPOT")})
ORDERS = Panel(15, "ethereum", {})
HOUR_TICKS = 12
FEWEST_ONSETS = 20  # below which nothing is learnt of what comes before them
DAYS_A_FOLD = 3
DRAWS = 60  # of days, for intervals
DAY_S = 86_400
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


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
    """Average precision for one target with its 90 % interval over days; the share of onsets (what chance would get)."""

    target: str
    pr_auc: float
    interval: tuple[float, float]
    base_rate: float
    issues: int


@dataclass(frozen=True)
class Judged:
    """One target's issue times at risk, judged out of fold: `matrix` (n, features), the others (n,); days since 1970.

    `folds` holds each fitted model and the rows that it judged.
    """

    target: str
    names: tuple[str, ...]
    matrix: NDArray[np.float32]
    positive: Mask
    days: NDArray[np.int64]
    probability: Floats
    folds: tuple[tuple[Any, Mask], ...]

    @property
    def foreseen(self) -> Foreseen:
        """The score of it."""
        score = average_precision(self.positive, self.probability)
        low, high = np.quantile(precisions(self.positive, self.probability, self.draws), INTERVAL)
        return Foreseen(self.target, score, (float(low), float(high)), float(self.positive.mean()), len(self.positive))

    @property
    def draws(self) -> Floats:
        """(draws, n): how often each row counts when days are drawn with replacement."""
        _, day = np.unique(self.days, return_inverse=True)
        count = int(day.max()) + 1
        return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS)[:, day].astype(np.float64)


@dataclass(frozen=True)
class Laid:
    """A history laid out for a question: rows of features, the truth about each, and the contract that labels it."""

    rows: panels.Rows
    truth: panels.Labels
    contract: Contract


def foresee(history: Tables, question: Question) -> tuple[Foreseen, ...]:
    """How well each target's onsets are foreseen, out of sample."""
    laid = lay(history, question)
    return tuple(judge(laid, place, question.folds).foreseen for place in range(len(question.targets)))


def lay(history: Tables, question: Question) -> Laid:
    """The ticks during which every table of the targets has rows, and the truth about them."""
    contract = asked(question)
    since, until = common(history) if question.panel.roles else (None, None)
    rows = panels.build(history, question.panel, contract.feature_names, since, until)
    return Laid(rows, panels.label(rows, contract), contract)


def common(history: Tables) -> tuple[dt.datetime, dt.datetime]:
    """First and last time that bars and blocks have in common."""
    ends = [
        history.scan(name).select(first=pl.col("ts").min(), last=pl.col("ts").max()).collect().row(0)
        for name in ("bars", "blocks")
    ]
    return max(first for first, _ in ends), min(last for _, last in ends)


def judge(laid: Laid, place: int, folds: int) -> Judged:
    """Fit and judge the classifier of one target. Raises DataError when there are too few onsets to learn from."""
    counts = laid.truth.known[:, -1, place] & laid.truth.at_risk[:, place]
    positive = laid.truth.crossed[counts, -1, place] > 0
    target, days = laid.contract.targets[place].name, laid.rows.ticks[counts] // DAY_S
    require_enough(target, positive, len(np.unique(days)), DAYS_A_FOLD * folds)
    filled = np.asarray(np.isfinite(laid.rows.matrix).any(0))  # a table that is missing leaves columns without a value
    names = tuple(name for name, known in zip(laid.rows.names, filled, strict=True) if known)
    matrix = laid.rows.matrix[counts][:, filled]
    fitted = tuple(fits(matrix, positive, days, folds))
    return Judged(target, names, matrix, positive, days, probabilities(matrix, fitted), fitted)


def require_enough(target: str, positive: Mask, days: int, least_days: int) -> None:
    """Raise DataError where there is too little to fit on some days and to judge on others."""
    if positive.sum() < FEWEST_ONSETS or days < least_days:
        raise DataError(
            f"onsets of {target}",
            expected=f"at least {FEWEST_ONSETS} issue times before one, and {least_days} days",
            found=f"{positive.sum()}, and {days} days",
            remedy="name a longer history, or a later --until",
        )


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


def fits(
    matrix: NDArray[np.float32], positive: Mask, days: NDArray[np.int64], folds: int
) -> Iterator[tuple[Any, Mask]]:
    """A classifier for each stretch of days, fitted on the others, none of them next to its own; and the rows it judges."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    for others, judged in stretches(days, folds):
        model = HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=150, max_leaf_nodes=15, min_samples_leaf=200, l2_regularization=5.0,
            max_features=0.5, random_state=0,
        )  # fmt: skip
        yield model.fit(matrix[others], positive[others]), judged


def probabilities(matrix: NDArray[np.float32], fitted: tuple[tuple[Any, Mask], ...]) -> Floats:
    """(n,): each row's probability by the model that did not see it."""
    told = np.zeros(len(matrix))
    for model, judged in fitted:
        told[judged] = model.predict_proba(matrix[judged])[:, 1]
    return told


def stretches(days: NDArray[np.int64], folds: int) -> Iterator[tuple[Mask, Mask]]:
    """(fitted on, judged on) for each of some stretches of days of equal length; a day on either side belongs to neither."""
    edges = np.linspace(days.min(), days.max() + 1, folds + 1).astype(np.int64)
    for first, end in pairwise(edges):
        yield (days < first - 1) | (days > end), (days >= first) & (days < end)


def precisions(positive: Mask, probability: Floats, draws: Floats) -> Floats:
    """(draws,): average precision of each draw of `draws` (draws, n); equal probabilities are one threshold."""
    order = np.argsort(-probability, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(probability[order]) != 0, True))
    found = np.cumsum(draws[:, order] * positive[order], axis=1)[:, ends]
    alarms = np.cumsum(draws[:, order], axis=1)[:, ends]
    hits = np.diff(found, axis=1, prepend=0.0)
    return np.asarray((hits * found / np.maximum(alarms, 1e-12)).sum(1) / np.maximum(found[:, -1], 1e-12))
