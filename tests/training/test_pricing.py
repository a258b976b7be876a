"""What forecasts are worth in money."""

import datetime as dt
from pathlib import Path

import pytest

from tests.serving import made
from training.pricing import Cost, flat, price, total
from training.scenario import ScenarioFile, Stretch


def test_the_decisions_of_a_forecast_are_priced_beside_the_reactive_ones(tmp_path: Path) -> None:
    artefact, history = made.write_artefact(tmp_path / "artefact"), made.write_history(tmp_path / "history")
    scenario = ScenarioFile("small", made.venue(), Stretch(days=9.0, tuning_days=9.0), delays_s=(15, 60))
    since = made.START + dt.timedelta(hours=1)
    cost = price(artefact, history, scenario, since, since + dt.timedelta(hours=1))
    assert cost.led_usd > 0
    assert cost.reactive_usd > 0


def test_stretches_add_up() -> None:
    both = total([Cost(10.0, 20.0), Cost(20.0, 20.0)])
    assert both == Cost(30.0, 40.0)
    assert flat(both)["cost_change"] == pytest.approx(-0.25)
