"""A market's scenario with recorded orders in the market's place, and a trained model's forecasts in the stated one's.

Decided here: which stretches are played (the last ones of the history, those that baselines are tuned on before those that are
reported), and that orders are scaled to the venue by the stretches it is tuned on.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from data.errors import DataError
from data.history import History
from shaper.replay.contest import LEARNED, Setting
from shaper.replay.recorded import Recorded
from shaper.replay.surges import STEP_S
from training.artefact import Artefact
from training.contests import ContestFile
from training.replaying import series, traces
from training.scenario import Stretch

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class RecordedFile(ContestFile):
    """A scenario file whose orders were recorded; `model` names what forecasts them (None: nothing does)."""

    recorded: Recorded | None = None
    model: str | None = None

    def setting(self, delay_s: float) -> Setting:
        """The setting at one actuation delay."""
        return replace(ContestFile.setting(self, delay_s), recorded=self.recorded)


def with_history(file: ContestFile, history: History, artefact: Artefact | None) -> RecordedFile:
    """The scenario on recorded orders. Raises DataError where these are too few, or the model has seen them."""
    if artefact is None and LEARNED in file.policies:
        remedy = "add --model ART, or name other policies with --policy"
        raise DataError(file.name, expected=f"a model for the policy {LEARNED}", found="none", remedy=remedy)
    length_s = round(file.market.length_s / STEP_S) * STEP_S
    stretch = Stretch(length_s * len(file.reported) / DAY_S, length_s * len(file.tuned) / DAY_S, slot_s=STEP_S)
    trace, tuning = traces(history, stretch, file.venue)
    mean = float(tuning.total.mean()) / STEP_S
    if mean <= 0:
        raise DataError(history.where, expected="orders to tune on", found="none", remedy="name another history")
    scale = file.market.calm_per_s / mean
    forecasts = None if artefact is None else series(artefact, history, tuning.start_s, trace.end_s, scale)
    work = np.concatenate([tuning.work, trace.work]) * scale
    recorded = Recorded(work, tuning.start_s, length_s, (*file.tuned, *file.reported), forecasts)
    own = {field.name: getattr(file, field.name) for field in fields(ContestFile)}
    return RecordedFile(**own, recorded=recorded, model=None if artefact is None else artefact.contract.name)
