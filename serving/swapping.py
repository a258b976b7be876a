"""Hot swap: a new model shadows the one that leads, takes over if nothing speaks against it, and goes back if it disappoints.

Decided here: the order of these steps. Shadows are asked after the plan of a tick has been made, so that they cannot delay it; a
fault of theirs concerns nobody else. After a swap the predecessor shadows its successor for as many ticks.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec
import polars as pl

from data.errors import DataError
from serving.inference import Forecaster
from serving.seer import Seer
from serving.trial import Comparison, Trial, objection, regret
from shaper.venue import Venue

LOG = logging.getLogger(__name__)
Change = Literal["challenged", "promoted", "rejected", "rolled-back", "confirmed", "reloaded"]
CHANGES: tuple[Change, ...] = ("challenged", "promoted", "rejected", "rolled-back", "confirmed", "reloaded")


class ModelChange(msgspec.Struct, frozen=True):
    """What became of a model, why, and how it compared."""

    change: Change
    model: str
    contract: str
    why: str
    comparison: Comparison | None = None


class Described(msgspec.Struct, frozen=True):
    """A model that is loaded, and what it is: `champion`, `challenger` or `former`."""

    role: str
    name: str
    task: str
    architecture: str
    contract: str
    targets: tuple[str, ...]
    shadows_for_ticks: int | None = None
    comparison: Comparison | None = None


@dataclass
class Swapper:
    """The model that leads, the one in its shadow if any, and what has changed since anybody asked."""

    seer: Seer
    ticks: int
    trial: Trial | None = None
    faults: int = 0
    changes: list[ModelChange] = field(default_factory=list)

    def challenge(self, seer: Seer) -> None:
        """Put a model in the shadow of the one that leads, in place of any other there, with the rows that there are."""
        for name, frame in self.seer.panel.buffers.items():
            seer.panel.append(name, frame)
        self.trial = Trial(seer, "challenger", self.ticks)
        self.tell("challenged", seer, f"it shadows {self.seer.forecaster.contract.name} for {self.ticks} ticks")

    def take(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Let the shadow have rows too; rows that do not fit it end its trial."""
        trial = self.trial
        if trial is None:
            return
        try:
            trial.seer.panel = trial.seer.taken(frames)
        except DataError as error:
            self.end("rejected", f"rows do not fit it: {error}")

    def shadow(self, tick: datetime, leads_s: float) -> None:
        """Ask the shadow at a tick that the leader has answered, in `leads_s` seconds, and decide what follows."""
        trial = self.trial
        if trial is None or trial.last_tick == tick or self.seer.newest is None or self.seer.newest.window is None:
            return
        led, window = self.seer.newest, self.seer.newest.window
        started = time.perf_counter()
        own = trial.seer.ask(tick)
        trial.take(tick, self.seer.current(window), (led, leads_s), (own, time.perf_counter() - started))
        self.faults += led.outcome in ("late", "failed", "discarded")
        self.decide(trial)

    def decide(self, trial: Trial) -> None:
        """End the trial when it is over, or when it has gone wrong before."""
        found = trial.comparison()
        over = found.ticks >= trial.ticks
        if trial.role == "former":
            why = regret(found, self.faults)
            if why is not None:
                self.exchange(trial, "rolled-back", why)
            elif over:
                self.end("confirmed", "nothing spoke for its predecessor")
        elif over:
            contract = self.seer.forecaster.contract
            why = objection(found, contract.levels, self.seer.deadline.limit_s)
            if why is None:
                self.exchange(trial, "promoted", f"it takes over from {contract.name}")
            else:
                self.end("rejected", why)

    def back(self) -> bool:
        """Let the predecessor lead again; False when there is none any more."""
        if self.trial is None or self.trial.role != "former":
            return False
        self.exchange(self.trial, "rolled-back", "the operator asked for it")
        return True

    def exchange(self, trial: Trial, change: Change, why: str) -> None:
        """Let the shadow lead; after a promotion the one that led shadows it."""
        left = self.seer
        self.tell(change, trial.seer if change == "promoted" else left, why)
        self.seer, self.faults = trial.seer, 0
        self.trial = Trial(left, "former", self.ticks) if change == "promoted" else None

    def end(self, change: Change, why: str) -> None:
        """End the trial with the leader as it is."""
        if self.trial is not None:
            self.tell(change, self.seer if change == "confirmed" else self.trial.seer, why)
        self.trial, self.faults = None, 0

    def tell(self, change: Change, about: Seer, why: str) -> None:
        """Remember a change until somebody asks."""
        contract = about.forecaster.contract
        found = None if self.trial is None else self.trial.comparison()
        self.changes.append(ModelChange(change, contract.name, contract.digest, why, found))

    def changed(self) -> list[ModelChange]:
        """What has changed since this was asked last."""
        changes, self.changes = self.changes, []
        return changes

    def models(self) -> list[Described]:
        """The models that are loaded."""
        models = [described(self.seer.forecaster, "champion")]
        if self.trial is not None:
            other = described(self.trial.seer.forecaster, self.trial.role)
            found = self.trial.comparison()
            models.append(msgspec.structs.replace(other, shadows_for_ticks=self.trial.ticks, comparison=found))
        return models


def described(forecaster: Forecaster, role: str) -> Described:
    """What a model is."""
    contract = forecaster.contract
    targets = tuple(target.name for target in contract.targets)
    return Described(role, contract.name, contract.task, contract.architecture, contract.digest, targets)


def misfit(forecaster: Forecaster, present: Forecaster, venue: Venue) -> str | None:
    """Why a model cannot take over without a restart; None when it can."""
    contract, other = forecaster.contract, present.contract
    missing = {name for name, _ in venue.demand.coefficients} - {target.name for target in contract.targets}
    if missing:
        return f"the venue's demand needs its targets {sorted(missing)}"
    if contract.panel.tick_s != other.panel.tick_s:
        return f"its tick is {contract.panel.tick_s} s, and the one in use has {other.panel.tick_s} s"
    return None
