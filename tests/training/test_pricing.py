"""What forecasts are worth in money."""

import datetime as dt
from pathlib import Path

import pytest

from tests.serving import made
from training import backtest, pricing
from training.folds import Fold, Rolling
from training.pricing import Cost, flat, price, total
from training.scenario import ScenarioFile, Stretch

SCENARIO = Path(pricing.__file__).parent / "configs" / "replay.toml"
SINCE = made.START + dt.timedelta(hours=1)


def test_the_decisions_of_a_forecast_are_priced_beside_the_reactive_ones(tmp_path: Path) -> None:
    artefact, history = made.write_artefact(tmp_path / "artefact"), made.write_history(tmp_path / "history")
    scenario = ScenarioFile("small", made.venue(), Stretch(days=9.0, tuning_days=9.0), delays_s=(15, 60))
    cost = price(artefact, history, scenario, SINCE, SINCE + dt.timedelta(hours=1))
    assert cost.led_usd > 0
    assert cost.reactive_usd > 0


def test_a_backtest_prices_each_fold_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.write_artefact(tmp_path / "fold" / "artefact")
    fold = Fold(tmp_path / "fold", "key", made.LEVELS, made.TICK_S, {}, {}, {})
    history = made.write_history(tmp_path / "history")
    rolling = Rolling((SCENARIO,), history, SINCE, 1, 1 / 24, tmp_path, scenario=SCENARIO)
    found = backtest.costs([(None, fold)], rolling)
    assert found["cost_change"] == pytest.approx(found["cost_usd"] / found["cost_reactive_usd"] - 1)

    def refuse(*_: object) -> Cost:
        raise AssertionError("a fold was priced again")

    monkeypatch.setattr(pricing, "price", refuse)
    assert backtest.costs([(None, fold)], rolling) == found


def test_stretches_add_up() -> None:
    both = total([Cost(10.0, 20.0), Cost(20.0, 20.0)])
    assert both == Cost(30.0, 40.0)
    assert flat(both)["cost_change"] == pytest.approx(-0.25)
