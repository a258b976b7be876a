"""One model at work on its own rows: buffers, memory and graph; asked once a tick, within a deadline.

Decided here: what each way to fail is called, and that an answer that comes too late leaves no trace: what the model would have
remembered of it is thrown away with it, and the tick counts as missed.
"""

import copy
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.live import LivePanel
from data.schemas import TABLES
from serving.deadline import Deadline, LateError
from serving.inference import Answer, Forecaster
from serving.ladder import Outcome
from serving.memory import CLOCK, Memory
from shaper.forecast import Forecast, ForecastError
from shaper.persistence import Axes, Past, persisted

LOG = logging.getLogger(__name__)
Window = NDArray[np.float32]


@dataclass(frozen=True)
class Asked:
    """What became of one tick: its forecast if there is one, else what is wrong, and the window (context, features)."""

    outcome: Outcome
    forecast: Forecast | None
    note: str | None
    window: Window | None


class Seer:
    """A model with the state it needs between ticks; `began_anew` is told each reason to forget its calibration."""

    def __init__(
        self, forecaster: Forecaster, began_anew: Callable[[str], None], max_blind_ticks: int, deadline_s: float
    ) -> None:
        self.forecaster = forecaster
        self.began_anew = began_anew
        self.max_blind_ticks = max_blind_ticks
        self.deadline = Deadline(deadline_s)
        self.panel = LivePanel(forecaster.contract)
        self.memory = Memory(forecaster.contract, began_anew)
        self.unasked: dict[datetime, Window] = {}
        self.newest: Asked | None = None

    def taken(self, frames: Mapping[str, pl.DataFrame]) -> LivePanel:
        """The panel with more rows, this one unchanged. Raises DataError for rows that do not fit those taken before."""
        trial = self.panel.copy()
        for name, frame in frames.items():
            trial.append(name, frame)
        return trial

    def ask(self, tick: datetime) -> Asked:
        """The forecast of a tick, or what is wrong; `newest` is the last answer."""
        self.newest = self.answer(tick)
        return self.newest

    def answer(self, tick: datetime) -> Asked:
        """The forecast of a tick, or what is wrong."""
        window: Window | None = None
        try:
            before = self.missed(tick)
            window = self.panel.window(tick)
            return self.asked([*before, (window, tick)])
        except ForecastError as error:
            return Asked("discarded", None, f"discarded at {tick.isoformat()}: {error}", window)
        except LateError as error:
            return Asked("late", None, f"late at {tick.isoformat()}: {error}", window)
        except Exception as error:
            LOG.exception("forecast of %s failed", tick.isoformat())
            return Asked("failed", None, f"failed at {tick.isoformat()}: {type(error).__name__}: {error}", window)

    def missed(self, tick: datetime) -> list[tuple[Window, datetime]]:
        """The windows of ticks that the model's memory has yet to go through; those seen once are kept, for their rows are not."""
        if self.memory.contract is not self.forecaster.contract:
            self.memory = Memory(self.forecaster.contract, self.began_anew)
        ticks = self.memory.missed(tick)
        found = [(self.unasked[t] if t in self.unasked else self.panel.window(t), t) for t in ticks]
        self.unasked = {missed: window for window, missed in found}
        return found

    def asked(self, windows: list[tuple[Window, datetime]]) -> Asked:
        """The forecast of the last tick. Raises ForecastError when the model's answer is no forecast, LateError when it is late."""
        window, tick = windows[-1]
        blind = self.forecaster.blind_targets(window, self.max_blind_ticks)
        if not blind:
            return Asked("issued", self.forecaster.told(self.run(windows), tick.timestamp()), None, window)
        if self.memory.state is not None:
            self.run(windows)  # what is issued now may not be used, but what was issued before comes true
        newest = self.panel.newest
        seen = f"newest row known at {newest.isoformat()}" if newest else "no row yet"
        what = f"{', '.join(blind)} unknown for {self.max_blind_ticks} ticks, {seen}"
        return Asked("blind", None, f"none for {tick.isoformat()}: {what}", window)

    def run(self, windows: list[tuple[Window, datetime]]) -> Answer:
        """Ask the model at some ticks, one after the other, so that its memory goes on. Raises LateError."""
        trial = copy.copy(self.memory)
        if trial.state is not None:
            self.unasked[windows[-1][1]] = windows[-1][0]
        answer = self.deadline.call(lambda: self.gone_through(trial, windows))
        self.memory, self.unasked = trial, {}
        return answer

    def gone_through(self, memory: Memory, asks: list[tuple[Window, datetime]]) -> Answer:
        """The answer to the last of some windows, with each one's state kept for the next."""
        for window, tick in asks:
            answer = self.forecaster.run(window, memory.state)
            memory.keep(answer.state, tick)
        return answer

    def current(self, window: Window) -> dict[str, float]:
        """The targets' own values at the end of a window."""
        names = self.forecaster.contract.feature_names
        return {t.name: float(window[-1, names.index(t.value)]) for t in self.forecaster.contract.targets}

    def baseline(self, window: Window, tick: datetime) -> Forecast | None:
        """What arithmetic says of the same targets; None when their newest values are unknown."""
        contract = self.forecaster.contract
        if self.forecaster.blind_targets(window, self.max_blind_ticks):
            return None
        columns = {name: window[:, place].tolist() for place, name in enumerate(contract.feature_names)}
        pasts = tuple(
            Past(t.name, tuple(columns[t.value]), None if t.threshold is None else columns[t.threshold][-1])
            for t in contract.targets
        )
        return persisted(
            pasts, Axes(tick.timestamp(), float(contract.panel.tick_s), contract.horizons, contract.levels)
        )

    def turn_back(self, at: datetime) -> None:
        """The clock went back: rows and calibration of times that have not come are forgotten, and windows are made anew."""
        if self.memory.state is not None:
            self.memory.forget(CLOCK, f"the clock went back to {at.isoformat()}")
        self.unasked = {}
        panel = LivePanel(self.forecaster.contract)
        for name, frame in self.panel.buffers.items():
            panel.append(name, frame.filter(TABLES[name].known_at <= at))
        self.panel = panel
