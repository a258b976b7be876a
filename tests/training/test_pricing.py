"""What forecasts are worth in money."""

import datetime as dt
from pathlib import Path

import pytest

from data.errors import DataError, UsageError
from tests.serving import made
from training import backtest, pricing, recipes
from training.commands import backtest as command
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


def config_of(target: str, folder: Path) -> Path:
    path = folder / f"{target}.yaml"
    path.write_text(f"data: {{panel: {{task: small, targets: [{target}]}}}}\n")
    return path


@pytest.mark.parametrize(("hour", "refused"), [(0, "orders from 2023-12-31 23:"), (99, "to 2024-01-05 03:")])
def test_orders_that_do_not_reach_over_the_folds_are_refused_before_anything_is_fitted(
    hour: int, refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something was fitted")

    monkeypatch.setattr(recipes, "fit", refuse)
    history, origin = made.write_history(tmp_path / "history"), made.START + dt.timedelta(hours=hour, minutes=-1)
    asked = Rolling(
        (config_of("demand", tmp_path),), history, origin, 1, 1 / 24, tmp_path, scenario=SCENARIO, track=False
    )
    with pytest.raises(DataError, match=refused) as caught:
        backtest.run(asked)
    assert "found orders from 2024-01-01 00:00 to" in str(caught.value)


def test_a_scenario_needs_a_forecast_of_demand(tmp_path: Path) -> None:
    history = made.write_history(tmp_path / "history")
    asked = Rolling((config_of("congestion", tmp_path),), history, SINCE, 1, 1 / 24, tmp_path, scenario=SCENARIO)
    with pytest.raises(UsageError, match="forecasts demand"):
        backtest.run(asked)


@pytest.mark.parametrize("priced", [True, False])
def test_the_table_shows_what_decisions_cost_next_to_accuracy_where_it_is_known(priced: bool) -> None:
    metrics = {"test/demand/cost_change": -0.1} if priced else {}
    shown = command.table([backtest.Result("one", "demand", metrics, (), ({},), (0.5,), 15, {})])
    assert ("cost against reactive" in [column.header for column in shown.columns]) == priced


def test_stretches_add_up() -> None:
    both = total([Cost(10.0, 20.0), Cost(20.0, 20.0)])
    assert both == Cost(30.0, 40.0)
    assert flat(both)["cost_change"] == pytest.approx(-0.25)
