"""Rolling origins and the comparison of what they found."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import msgspec.yaml
import numpy as np
import polars as pl
import pytest

from data.errors import DataError, UsageError
from training import recipes
from training.backtest import Result, gains, run, weighed
from training.commands import backtest, compare, drift, promote, tune
from training.comparison import entries
from training.folds import Rolling, persistence
from training.pages.backtest import write
from training.single import read
from training.tracking import Store


@pytest.fixture(scope="module")
def rolling(history: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Rolling:
    home = tmp_path_factory.mktemp("backtests")
    return Rolling(
        configs=(config,),
        history=history,
        origin=dt.datetime(2024, 1, 9, tzinfo=dt.UTC),
        folds=2,
        step_days=1,
        home=home / "one",
        overrides=("--trainer.max_epochs=1",),
        store=home / "mlflow",
    )


@pytest.fixture(scope="module")
def results(rolling: Rolling) -> list[Result]:
    return run(rolling)


def test_persistence_runs_beside_the_models(results: list[Result]) -> None:
    assert [result.name for result in results] == ["small-persistence", "small"]


def test_folds_follow_one_another_and_are_scored_together(results: list[Result]) -> None:
    issued = results[1].seen["volatility"].issued.issued_s
    assert issued[0] == dt.datetime(2024, 1, 9, tzinfo=dt.UTC).timestamp()
    assert issued[-1] < dt.datetime(2024, 1, 11, tzinfo=dt.UTC).timestamp()
    assert (np.diff(issued) > 0).all()
    assert len(results[1].folds) == 2
    pooled, folds = (
        results[1].metrics["test/volatility/issues"],
        [f["test/volatility/issues"] for f in results[1].folds],
    )
    assert pooled == sum(folds)


def test_an_unchanged_fold_is_not_fitted_again(
    rolling: Rolling, results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a fold was fitted again")

    monkeypatch.setattr(recipes, "fit", refuse)
    again = run(replace(rolling, track=False))
    assert [result.metrics for result in again] == [result.metrics for result in results]
    with pytest.raises(AssertionError):
        run(replace(rolling, track=False, overrides=("--trainer.max_epochs=2",)))


def test_folds_are_nested_and_the_comparison_shows_each_model_once(
    rolling: Rolling, results: list[Result], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(rolling.store)
    nested = [record for record in store.records("small") if "mlflow.parentRunId" in record.tags]
    assert sorted(record.tags["kind"] for record in nested) == ["fold"] * 4
    found = entries(store, "small")
    assert {(entry.model, entry.target) for entry in found} == {
        (name, target) for name in ("small", "small-persistence") for target in ("volatility", "congestion")
    }
    assert found[0].value("skill") == max(e.values["skill"] for e in found if e.target == "congestion")
    arguments = ["--experiment", "small", "--out", str(tmp_path / "plots"), "--store", str(rolling.store)]
    assert compare.main(arguments) == 0
    drawn = {path.name for path in (tmp_path / "plots").glob("*.png")}
    assert {
        f"{kind}-{target}.png" for kind in ("skill", "reliability") for target in ("volatility", "congestion")
    } <= drawn
    assert "mlflow ui --backend-store-uri sqlite:" in capsys.readouterr().out
    assert results


def test_a_model_is_set_against_the_best_baseline_and_the_page_says_how_surely(
    rolling: Rolling, results: list[Result]
) -> None:
    name, one = gains(results)["small", "volatility"]
    assert name == "small-persistence"
    assert one is not None
    assert one.gain == pytest.approx(
        results[1].metrics["test/volatility/skill"] - results[0].metrics["test/volatility/skill"], abs=1e-6
    )
    page = write(results, rolling).read_text("utf-8")
    assert "too few days" in page
    assert page.count("data:image/png;base64,") >= 6


def test_scores_are_also_given_by_regime_and_hour(results: list[Result]) -> None:
    names = {
        f"test/volatility/{kind}_regime/{name}" for kind in ("skill", "coverage") for name in ("calm", "middle", "wild")
    }
    assert names <= set(results[1].metrics)


def test_one_fit_is_rolled_over_all_folds_under_every_seed(rolling: Rolling, tmp_path: Path) -> None:
    once = replace(rolling, refit=False, seeds=(1, 2), track=False, home=tmp_path / "once")
    persistence, model = run(once)
    assert len(persistence.by_seed) == 1
    assert len(model.by_seed) == 2
    assert sorted(path.name for path in (tmp_path / "once" / "small").glob("seed-*/*")) == ["fold-1", "fold-1"]
    assert len(model.folds) == 2
    issues = [fold["test/volatility/issues"] for fold in model.folds]
    assert sum(issues) == model.metrics["test/volatility/issues"]
    low, high = (model.metrics[f"test/volatility/skill_seed_{end}"] for end in ("low", "high"))
    assert low < model.metrics["test/volatility/skill"] < high


def test_an_experiment_without_runs_is_refused_and_draws_nothing(rolling: Rolling, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name another with --experiment"):
        compare.main(["--experiment", "none", "--out", str(tmp_path / "plots"), "--store", str(rolling.store)])
    assert not (tmp_path / "plots").exists()


def test_a_combination_has_the_task_and_the_persistence_of_its_members(rolling: Rolling, tmp_path: Path) -> None:
    panel = {"task": "pair", "tick_s": 900, "horizons": [1, 2], "roles": {}, "families": ["congestion"]}
    for target in ("congestion", "utilisation"):
        told = {"data": {"panel": {**panel, "targets": [target]}}}
        (tmp_path / f"{target}.yaml").write_bytes(msgspec.yaml.encode(told))
    both = tmp_path / "both.yaml"
    both.write_text(
        "data: {split: {validation_days: 2}}\ncombination: {members: [congestion.yaml, utilisation.yaml]}\n"
    )
    (made,) = persistence(replace(rolling, configs=(both,), home=tmp_path))
    assert made.name == "pair-persistence.yaml"
    data = read(made)["data"]
    assert data["panel"] == {**panel, "targets": ["congestion", "utilisation"]}
    assert data["split"] == {"validation_days": 2}


def test_a_backtest_needs_a_fold_and_a_step(rolling: Rolling) -> None:
    with pytest.raises(UsageError):
        replace(rolling, folds=0)
    with pytest.raises(UsageError):
        replace(rolling, step_days=0)
    with pytest.raises(UsageError):
        replace(rolling, seeds=(1, 1))


def test_an_origin_after_the_history_is_refused(rolling: Rolling, tmp_path: Path) -> None:
    late = dt.datetime(2024, 1, 12, tzinfo=dt.UTC)
    with pytest.raises(DataError, match="earlier --origin"):
        run(replace(rolling, origin=late, track=False, home=tmp_path))


@pytest.mark.parametrize("command", [backtest, compare, promote, tune, drift])
def test_help_ends_with_an_example(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(["--help"])  # type: ignore[attr-defined]
    assert caught.value.code == 0
    assert "example:" in capsys.readouterr().out


def test_what_was_said_is_kept_in_the_files_that_a_scorer_reads(rolling: Rolling, results: list[Result]) -> None:
    kept = pl.read_parquet(rolling.home / "small" / "forecasts" / "quantiles.parquet")
    issued = results[1].seen["volatility"].issued
    one = kept.filter(pl.col("target") == "volatility")
    assert one.height == issued.truth.size
    assert one["q0.5"].to_numpy() == pytest.approx(issued.quantiles[..., results[1].levels.index(0.5)].ravel())
    spikes = pl.read_parquet(rolling.home / "small" / "forecasts" / "spikes.parquet")
    assert set(spikes["target"]) == {"volatility", "congestion"}


def test_losses_in_natural_units_are_told_at_the_horizons_asked_for_and_against_the_best_baseline(
    results: list[Result],
) -> None:
    found = weighed(results, (1, 3, 99))
    assert [name for name, _ in found["small", "volatility"]] == ["small-persistence"] * 2
    own = found["small-persistence", "volatility"][0][1]
    assert own is not None
    assert own.gain == 0
    assert own.loss > 0


def test_persistence_is_calibrated_as_the_models_beside_it(rolling: Rolling, config: Path, tmp_path: Path) -> None:
    told = read(config)
    still = tmp_path / "still.yaml"
    still.write_bytes(msgspec.yaml.encode({**told, "run": {"name": "still", "online": False}}))
    (made,) = persistence(replace(rolling, configs=(still,), home=tmp_path))
    assert read(made)["run"] == {"name": f"{told['data']['panel'].get('task', 'panel')}-persistence", "online": False}
