"""What an artefact would have said over a period that it has not seen, beside what came: a frozen test of the thing itself.

Decided here: the forecasts are those of `shaper forecast`, to the bit; the reference learns from the rows before the period.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data import panel
from data.contract import Contract
from data.errors import DataError
from data.history import History
from training import evaluation
from training.artefact import Artefact
from training.evaluation import Hindsight
from training.forecasting import issue
from training.normals import residuals
from training.settings import instant


@dataclass(frozen=True)
class Past:
    """A history as an artefact's contract sees it (`training.evaluation.Known`)."""

    contract: Contract
    rows: panel.Rows
    labels: panel.Labels
    reference: NDArray[np.float64]


def judge(artefact: Artefact, history: History, since: dt.datetime, until: dt.datetime) -> dict[str, Hindsight]:
    """Forecasts at every tick in [since, until) beside the truth, by target.

    Raises DataError when the artefact was fitted or calibrated on issue times of the period, or the history does not cover it.
    """
    contract = artefact.contract
    require_unseen(contract, since, until, str(artefact.folder))
    issued = issue(artefact, history, since, until)
    past = known(contract, history, since, until)
    places = np.searchsorted(past.rows.ticks, issued.ticks)
    quantiles = np.where(issued.answered[:, None, :, None], issued.quantiles, np.nan).astype(np.float32)
    return evaluation.hindsight(past, places, (quantiles, issued.spike))


def known(contract: Contract, history: History, since: dt.datetime, until: dt.datetime) -> Past:
    """Rows up to the last truth of the period, and the reference of the rows before it."""
    reach = dt.timedelta(seconds=(contract.horizons[-1] + 1) * contract.panel.tick_s)
    rows = panel.build(history, contract.panel, contract.feature_names, None, until + reach)
    labels = panel.label(rows, contract)
    before = int(np.searchsorted(rows.ticks, since.timestamp())) - contract.horizons[-1]
    return Past(contract, rows, labels, residuals(labels.ahead, labels.value, contract.levels, range(max(before, 0))))


def require_unseen(contract: Contract, since: dt.datetime, until: dt.datetime, where: str) -> None:
    """Raise DataError when the period overlaps what the model was fitted or calibrated on."""
    for window in filter(None, (contract.training, contract.calibration.window)):
        if instant(window.since) < until and instant(window.until) > since:
            raise DataError(
                where,
                expected=f"a model that has not seen {since:%Y-%m-%d %H:%M} .. {until:%Y-%m-%d %H:%M}",
                found=f"one fitted or calibrated on {window.since} .. {window.until}",
                remedy="judge it on a later period, or train with an earlier --data.split.until",
            )
