"""From rows to a plan, step by step: buffers, window, forecast, plan.

Decided here: in which order a step works, and that a part that fails is said and leaves the rest working. It knows no clock
and no event loop: the caller gives the time and calls from one thread at a time.
"""

import logging
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

from data.live import LivePanel
from data.timeline import floor_tick
from serving.demand import Rate, RecentOrders, mapped
from serving.gateway import Gateway
from serving.inference import Forecaster
from serving.ladder import RUNGS, Ladder, Rung
from serving.memory import Memory
from serving.metrics import Metrics
from serving.seer import Asked, Seer
from serving.settings import Model
from serving.state import Update
from serving.swapping import Swapper
from serving.tracing import Tracer, Untraced
from shaper.decision import Inputs, Override, decided, fitting
from shaper.forecast import Forecast
from shaper.plan import Plan
from shaper.steering import Steering, steer
from shaper.trust import TrustRules
from shaper.venue import Venue

LOG = logging.getLogger(__name__)


class Pipeline:
    """The state between steps: the model and its rows, the ladder, trust, the gateway and the demand."""

    def __init__(
        self,
        venue: Venue,
        forecaster: Forecaster,
        metrics: Metrics,
        orders: RecentOrders,
        model: Model = Model(),  # noqa: B008  (frozen)
        trust: TrustRules = TrustRules(),  # noqa: B008
    ) -> None:
        self.venue = venue
        self.metrics = metrics
        self.orders = orders
        self.model = model
        self.trust = trust
        self.swapper = Swapper(self.seer_of(forecaster), model.shadow_ticks)
        self.asked_s = 0.0
        self.ladder = Ladder()
        self.gateway = Gateway.of(venue)
        self.steering: Steering | None = None
        self.overrides: tuple[Override, ...] = ()
        self.tracer: Tracer = Untraced()
        self.asked = Asked("blind", None, "none has been issued yet", None)
        self.baseline: Forecast | None = None
        self.last_tick: datetime | None = None
        self.current: dict[str, float] = {}
        self.current_s = -math.inf
        self.demand: Rate | None = None

    def seer_of(self, forecaster: Forecaster) -> Seer:
        """A model with buffers and a memory of its own."""
        anew = self.metrics.begun_anew
        return Seer(
            forecaster, lambda reason: anew.labels(reason).inc(), self.model.max_blind_ticks, self.model.deadline_s
        )

    @property
    def seer(self) -> Seer:
        """The model in use, with its state."""
        return self.swapper.seer

    @property
    def forecaster(self) -> Forecaster:
        """The model in use."""
        return self.seer.forecaster

    @property
    def panel(self) -> LivePanel:
        """The rows of the model in use."""
        return self.seer.panel

    @property
    def memory(self) -> Memory:
        """What the model in use remembers."""
        return self.seer.memory

    def settle(self, venue: Venue, trust: TrustRules, model: Model) -> None:
        """Go on with other settings; trust and shadows begin anew where the venue or the rules are others."""
        if (venue, trust) != (self.venue, self.trust):
            self.steering = None
        self.venue, self.trust, self.model = venue, trust, model
        self.gateway.settle(venue)
        self.overrides = fitting(venue, self.overrides)
        self.seer.max_blind_ticks, self.seer.deadline.limit_s = model.max_blind_ticks, model.deadline_s
        self.swapper.ticks = model.shadow_ticks

    def take(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Take rows of canonical tables, all or none. Raises DataError for rows that do not fit those taken before."""
        self.seer.panel = self.seer.taken(frames)
        self.swapper.take(frames)
        self.orders.take(frames)
        for name, frame in frames.items():
            self.metrics.rows.labels(name).inc(frame.height)

    def step(self, at: datetime, frames: Mapping[str, pl.DataFrame]) -> Update:
        """Take rows, forecast if a tick has ended since the last step, and plan."""
        if frames:
            self.take(frames)
        tick = floor_tick(at, self.forecaster.contract.panel.tick_s)
        if self.last_tick is not None and tick < self.last_tick:
            self.turn_back(at)
        if self.last_tick is None or tick > self.last_tick:
            self.last_tick = tick
            self.issue(tick)
        return self.again(at)

    def again(self, at: datetime) -> Update:
        """Plan once more on the newest forecast and measurement."""
        forecast, rung = self.choose(at.timestamp())
        inputs, note = self.gather(at.timestamp(), forecast)
        made = None if inputs is None else self.plan(inputs)
        return Update(at, forecast, made, self.forecast_note(rung), note, inputs)

    def shadow(self) -> None:
        """Ask the model in the shadow, once the plan of a tick has been made."""
        if self.last_tick is not None:
            self.swapper.shadow(self.last_tick, self.asked_s)

    def turn_back(self, at: datetime) -> None:
        """The clock went back: what was said of a time that has not come is forgotten; the demand of a moment ago still holds."""
        self.seer.turn_back(at)
        self.swapper.end("rejected", "the clock went back")
        self.gateway.turn_back(at.timestamp())
        self.orders.turn_back(at.timestamp())
        self.ladder, self.steering, self.last_tick = Ladder(), None, None
        self.demand = self.demand and Rate(self.demand.per_s, min(self.demand.at_s, at.timestamp()))

    def issue(self, tick: datetime) -> None:
        """Ask the model at a tick, and arithmetic beside it."""
        started = time.perf_counter()
        with self.tracer.span("forecast") as span:
            self.asked = self.seer.ask(tick)
            span.tell({"tick": tick.isoformat(), "outcome": self.asked.outcome, "model": self.forecaster.contract.name})
        self.ladder = self.ladder.after(self.asked.outcome, self.asked.forecast)
        self.baseline = None
        if self.asked.window is not None:
            self.current, self.current_s = self.seer.current(self.asked.window), tick.timestamp()
            self.baseline = self.seer.baseline(self.asked.window, tick)
        self.metrics.asked(self.asked.outcome, self.asked.forecast, self.memory.coverage())
        self.asked_s = time.perf_counter() - started
        self.metrics.forecast_seconds.observe(self.asked_s)

    def choose(self, at_s: float) -> tuple[Forecast | None, Rung]:
        """The forecast that a plan of now may stand on, and its rung."""
        tick_s = -math.inf if self.last_tick is None else self.last_tick.timestamp()
        forecast, rung = self.ladder.choose(at_s, tick_s, self.venue.lead_s, self.baseline)
        self.metrics.rung.set(RUNGS.index(rung))
        return forecast, rung

    def forecast_note(self, rung: Rung) -> str | None:
        """What is wrong with the forecast, and what serves instead; None while the champion's own serves."""
        if rung == "champion" and self.asked.note is None:
            return None
        served = {"none": "there is none to plan by", "champion": "it serves"}.get(rung, f"the {rung} serves")
        owed = f"the model owes {self.ladder.owed} good answers" if self.ladder.owed else "the model has not answered"
        return f"{self.asked.note or owed}; {served}"

    def gather(self, at_s: float, forecast: Forecast | None) -> tuple[Inputs | None, str | None]:
        """What a plan of now is made of, with the leash that forecasts have earned, and what is wrong with the measurement.

        None before any demand was measured.
        """
        demand, note = self.measure(at_s)
        if demand is None:
            return None, note
        observed = self.gateway.observed(at_s, demand)
        self.steering = steer(self.venue, forecast, observed, self.steering or self.trust)
        pins = tuple(pin for pin in self.overrides if pin.until_s > at_s)
        return Inputs(forecast, observed, self.steering.leash, pins), note

    def plan(self, inputs: Inputs) -> Plan:
        """The plan of some inputs, which the gateway is taken to follow."""
        started = time.perf_counter()
        with self.tracer.span("plan") as span:
            made = decided(self.venue, inputs)
            span.tell(
                {"stage": made.stage, "units": made.capacity[0].units, "demand_per_s": inputs.observed.demand_per_s}
            )
        self.gateway.follow(made)
        self.metrics.demand.set(inputs.observed.demand_per_s)
        self.metrics.trust.set(0.0 if self.steering is None else self.steering.trust.weight)
        self.metrics.show(made)
        self.metrics.plan_seconds.observe(time.perf_counter() - started)
        return made

    def measure(self, at_s: float) -> tuple[Rate | None, str | None]:
        """Demand now: as the gateway tells, as counted, as the targets imply, or as it was last known, which is noted."""
        tick_s = self.forecaster.contract.panel.tick_s
        found = self.gateway.demand(at_s) or self.orders.rate(at_s)
        if found is None and at_s - self.current_s < 2 * tick_s:
            implied = mapped(self.venue.demand, self.current)
            found = None if implied is None else Rate(implied, self.current_s - tick_s / 2)
        if found is not None:
            self.demand = found
            return found, None
        if self.demand is None:
            self.demand = self.orders.rate(at_s, self.model.max_blind_ticks * tick_s + self.orders.window_s)
        if self.demand is None:
            return None, "no demand has been measured yet: post request_counts or arrivals, or report it to /v1/gateway"
        since = datetime.fromtimestamp(self.demand.at_s, UTC).isoformat(timespec="seconds")
        return self.demand, f"demand of {since} is held, for none was measured since"
