"""What the API answers with: the newest forecast and plan, encoded once, and what keeps the sidecar from being ready.

Decided here: what ready means, and which changes are worth an event and a line in the log. The board is written and read on
the event loop alone, so it needs no lock.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from serving.events import Event, Events
from serving.logs import plan_id
from shaper.decision import Inputs
from shaper.forecast import Forecast
from shaper.plan import Plan

LOG = logging.getLogger(__name__)
PLANS_KEPT = 500


@dataclass(frozen=True)
class Update:
    """What a step came to: the forecast to use, the new plan, and what is wrong with either (None: none, nothing).

    `inputs` is what the plan was made of.
    """

    at: datetime
    forecast: Forecast | None
    plan: Plan | None
    forecast_note: str | None
    plan_note: str | None
    inputs: Inputs | None = None


class Readiness(msgspec.Struct, frozen=True):
    """Whether plans may be relied on, and what is missing or degraded."""

    ready: bool
    reasons: tuple[str, ...]


@dataclass
class Board:
    """The latest good answers. `notes` says by part what is wrong with it now; `now_s` is the feed's clock.

    `plans` are the newest ones with the time from which each holds, `newest` is the last step that made one.
    """

    now_s: Callable[[], float]
    forecast: bytes | None = None
    plan: bytes | None = None
    stage: str | None = None
    plan_id: str | None = None
    plan_until_s: float = 0.0
    had_forecast: bool = False
    notes: dict[str, str] = field(default_factory=dict)
    events: Events = field(default_factory=Events)
    plans: deque[tuple[float, bytes]] = field(default_factory=lambda: deque(maxlen=PLANS_KEPT))
    newest: Update | None = None

    @property
    def newest_inputs(self) -> Inputs | None:
        """What the newest plan was made of."""
        return None if self.newest is None else self.newest.inputs

    def post(self, update: Update) -> None:
        """Answer with the outcome of a step from now on, and tell what changed."""
        self.note("step", None)
        self.note("forecast", update.forecast_note)
        self.note("plan", update.plan_note)
        self.forecast = None if update.forecast is None else msgspec.json.encode(update.forecast)
        self.had_forecast = self.had_forecast or update.forecast is not None
        if update.plan is not None:
            self.plan, self.plan_until_s = msgspec.json.encode(update.plan), update.plan.valid_until_s
            self.plan_id = plan_id(self.plan)
            LOG.debug("plan %s is made", self.plan_id, extra={"plan": self.plan_id, "stage": update.plan.stage})
            if update.plan.stage != self.stage:
                self.say("plan", f"is {update.plan.stage}, {update.plan.reason}")
            self.stage, self.newest = update.plan.stage, update
            self.plans.append((update.plan.valid_from_s, self.plan))
            self.events.publish("plan", self.plan)

    def resume(self, body: bytes) -> None:
        """Answer with the plan of an earlier process, as long as it holds."""
        plan = msgspec.json.decode(body, type=Plan)
        if plan.valid_until_s <= self.now_s():
            return
        self.plan, self.plan_until_s, self.stage = body, plan.valid_until_s, plan.stage
        self.plan_id = plan_id(body)
        self.had_forecast = plan.forecast is not None

    def note(self, part: str, text: str | None) -> None:
        """Say what is wrong with a part, or that nothing is; a part that begins or ceases to work is an event."""
        if (text is None) == (part in self.notes):
            self.say(part, text or "as it should be")
        if text is None:
            self.notes.pop(part, None)
        else:
            self.notes[part] = text

    def say(self, kind: str, text: str) -> None:
        """Remember an event, tell it to all who watch, and log it."""
        LOG.info("%s: %s", kind, text, extra={"part": kind, "plan": self.plan_id})
        self.events.say(Event(self.now_s(), kind, text))

    def readiness(self) -> Readiness:
        """Ready: a forecast was issued at least once, and a plan is in force. Reasons may remain while ready."""
        reasons = [f"{part}: {text}" for part, text in sorted(self.notes.items())]
        overdue_s = self.now_s() - self.plan_until_s
        if not self.had_forecast and "forecast" not in self.notes:
            reasons.append("forecast: none has been issued yet")
        if self.plan is None and "plan" not in self.notes:
            reasons.append("plan: none has been made yet")
        elif self.plan is not None and overdue_s > 0:
            reasons.append(f"plan: the newest one ended {overdue_s:.0f} s ago")
        return Readiness(self.had_forecast and self.plan is not None and overdue_s <= 0, tuple(reasons))
