"""From rows to a plan, step by step: buffers, window, forecast, plan.

Decided here: in which order a step works, and that a part that fails is said and leaves the rest working. It knows no clock
and no event loop: the caller gives the time and calls from one thread at a time.
"""

import copy
import logging
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.live import LivePanel
from data.timeline import floor_tick
from serving.demand import Rate, RecentOrders, mapped
from serving.gateway import Gateway
from serving.inference import Answer, Forecaster
from serving.memory import Memory
from serving.metrics import Metrics
from serving.state import Update
from shaper.forecast import Forecast, ForecastError
from shaper.plan import Plan, plan
from shaper.venue import Venue

LOG = logging.getLogger(__name__)


class Pipeline:
    """The state between steps: buffers, the newest forecast, the gateway and the demand."""

    def __init__(
        self, venue: Venue, forecaster: Forecaster, metrics: Metrics, orders: RecentOrders, max_blind_ticks: int
    ) -> None:
        self.venue = venue
        self.forecaster = forecaster
        self.metrics = metrics
        self.orders = orders
        self.max_blind_ticks = max_blind_ticks
        self.panel = LivePanel(forecaster.contract)
        self.memory = self.blank()
        self.gateway = Gateway.of(venue)
        self.forecast: Forecast | None = None
        self.forecast_note: str | None = None
        self.last_tick: datetime | None = None
        self.current: dict[str, float] = {}
        self.current_s = -math.inf
        self.demand: Rate | None = None

    def take(self, frames: Mapping[str, pl.DataFrame]) -> None:
        """Take rows of canonical tables, all or none. Raises DataError for rows that do not fit those taken before."""
        trial = copy.copy(self.panel)
        trial.buffers = dict(self.panel.buffers)
        for name, frame in frames.items():
            trial.append(name, frame)
        self.panel = trial
        self.orders.take(frames)
        for name, frame in frames.items():
            self.metrics.rows.labels(name).inc(frame.height)

    def step(self, at: datetime, frames: Mapping[str, pl.DataFrame]) -> Update:
        """Take rows, forecast if a tick has ended since the last step, and plan."""
        if frames:
            self.take(frames)
        tick = floor_tick(at, self.forecaster.contract.panel.tick_s)
        if self.last_tick is None or tick > self.last_tick:
            self.last_tick = tick
            self.issue(tick)
        made, note = self.plan(at.timestamp())
        return Update(at, self.forecast, made, self.forecast_note, note)

    def issue(self, tick: datetime) -> None:
        """Put the forecast of a tick in place of the last one, or say why there is none."""
        started = time.perf_counter()
        try:
            outcome = self.try_forecast(tick)
        except ForecastError as error:
            # What a broken model said a moment ago deserves no more belief than what it says now.
            self.forecast, self.forecast_note, outcome = None, f"discarded at {tick.isoformat()}: {error}", "discarded"
        except Exception as error:
            LOG.exception("forecast of %s failed", tick.isoformat())
            self.forecast_note, outcome = f"failed at {tick.isoformat()}: {type(error).__name__}: {error}", "failed"
        self.metrics.forecasts.labels(outcome).inc()
        self.metrics.forecast_seconds.observe(time.perf_counter() - started)

    def try_forecast(self, tick: datetime) -> str:
        """Forecast a tick; returns the outcome. Raises ForecastError when the model's answer is no forecast."""
        if self.memory.contract is not self.forecaster.contract:
            self.memory = self.blank()
        for missed in self.memory.missed(tick):
            self.run(self.panel.window(missed), missed)
        window = self.panel.window(tick)
        self.read_current(window, tick)
        blind = self.forecaster.blind_targets(window, self.max_blind_ticks)
        if blind:
            if self.memory.state is not None:
                self.run(window, tick)  # what is issued now may not be used, but what was issued before comes true
            newest = self.panel.newest
            seen = f"newest row known at {newest.isoformat()}" if newest else "no row yet"
            self.forecast_note = (
                f"none for {tick.isoformat()}: {', '.join(blind)} unknown for {self.max_blind_ticks} ticks, {seen}"
            )
            return "blind"
        forecast = self.forecaster.told(self.run(window, tick), tick.timestamp())
        self.forecast, self.forecast_note = forecast, None
        self.metrics.forecast_issued.set(forecast.issued_at_s)
        for target, chances in zip(forecast.targets, forecast.spike, strict=True):
            self.metrics.spike.labels(target).set(chances[-1])
        return "issued"

    def blank(self) -> Memory:
        """The memory of a model that has not been asked yet."""
        return Memory(self.forecaster.contract, lambda reason: self.metrics.begun_anew.labels(reason).inc())

    def run(self, window: NDArray[np.float32], tick: datetime) -> Answer:
        """Ask the model at a tick, so that its memory goes on, and show its coverage."""
        answer = self.forecaster.run(window, self.memory.state)
        self.memory.keep(answer.state, tick)
        for target, share in self.memory.coverage().items():
            self.metrics.coverage.labels(target).set(share)
        return answer

    def read_current(self, window: NDArray[np.float32], tick: datetime) -> None:
        """Remember the targets' own values at a tick."""
        names = self.forecaster.contract.feature_names
        self.current = {t.name: float(window[-1, names.index(t.value)]) for t in self.forecaster.contract.targets}
        self.current_s = tick.timestamp()

    def plan(self, at_s: float) -> tuple[Plan | None, str | None]:
        """The plan for now and what is wrong with what it stands on; no plan before any demand was measured."""
        started = time.perf_counter()
        demand, note = self.measure(at_s)
        if demand is None:
            return None, note
        observed = self.gateway.observed(at_s, demand)
        made = plan(self.venue, self.forecast, observed)
        self.gateway.follow(made)
        self.metrics.demand.set(observed.demand_per_s)
        self.metrics.show(made)
        self.metrics.plan_seconds.observe(time.perf_counter() - started)
        return made, note

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
            self.demand = self.orders.rate(at_s, self.max_blind_ticks * tick_s + self.orders.window_s)
        if self.demand is None:
            return None, "no demand has been measured yet: post request_counts or arrivals, or report it to /v1/gateway"
        since = datetime.fromtimestamp(self.demand.at_s, UTC).isoformat(timespec="seconds")
        return self.demand, f"demand of {since} is held, for none was measured since"
