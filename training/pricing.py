"""What a forecast is worth in money: the cost of the decisions that it leads to, beside that of the reactive policy.

Decided here: the replay runs at the venue's own actuation delay over the stretch that was forecast; its first part, up to half,
tunes the policies. Everything else is the scenario's.
"""

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path

from data.history import History
from training.artefact import Artefact
from training.replaying import replay, results, traces
from training.scenario import ScenarioFile, Stretch

LED, REACTIVE = "forecast-led", "reactive"
DAY_S = 86_400


@dataclass(frozen=True)
class Cost:
    """Cost in USD over the same orders, led by the forecast and reactive."""

    led_usd: float
    reactive_usd: float

    @property
    def change(self) -> float:
        """Relative change of cost against the reactive policy; negative is cheaper."""
        return self.led_usd / self.reactive_usd - 1


def stretch_of(scenario: ScenarioFile, since: dt.datetime, until: dt.datetime) -> Stretch:
    """The scenario's stretch laid over [since, until)."""
    days = (until - since).total_seconds() / DAY_S
    tuning = min(scenario.trace.tuning_days, days / 2)
    return replace(scenario.trace, days=days - tuning, tuning_days=tuning, until=until.isoformat())


def require_orders(history: History, scenario: ScenarioFile, since: dt.datetime, until: dt.datetime) -> None:
    """Raise DataError unless the orders of [since, until) are recorded, so that forecasts of them can be priced."""
    traces(history, stretch_of(scenario, since, until), scenario.venue)


def price(artefact: Path, history: Path, scenario: ScenarioFile, since: dt.datetime, until: dt.datetime) -> Cost:
    """Price an artefact's forecasts in [since, until), which it must not have seen. Raises DataError as a replay does."""
    stretch = stretch_of(scenario, since, until)
    asked = replace(scenario, trace=stretch, policies=(REACTIVE, LED), delays_s=())
    played = results(replay(asked, History.open(history), Artefact.open(artefact)))
    costs = {one["policy"]: float(one["cost_usd"]) for one in played["delays"][0]["policies"]}
    return Cost(costs[LED], costs[REACTIVE])


def total(costs: list[Cost]) -> Cost:
    """Several stretches together."""
    return Cost(sum(one.led_usd for one in costs), sum(one.reactive_usd for one in costs))


def flat(cost: Cost) -> dict[str, float]:
    """A cost as metrics."""
    return {"cost_usd": cost.led_usd, "cost_reactive_usd": cost.reactive_usd, "cost_change": cost.change}
