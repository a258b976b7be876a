"""`shaper compare` on runs that were recorded before: who is ahead, what is drawn, what the runs keep."""

import json
from pathlib import Path

import pytest

from data.errors import DataError
from tests.training.hindsights import LEVELS, TICK_S, hindsight
from training import evaluation
from training.commands import compare
from training.comparison import entries, hindsights, standings
from training.evaluation import Hindsight
from training.tracking import Store

MODELS = {"sharp": hindsight(), "biased": hindsight(bias=0.25, skill=0.5), "wide": hindsight(spread=1.6)}
COSTS = {"sharp": -0.12, "biased": 0.05}


def record(store: Store, name: str, seen: Hindsight, home: Path, cost: float | None = None) -> None:
    """A finished run with its metrics and what it said."""
    run = store.start("made", name, {"kind": "fit", "tick_s": str(TICK_S)})
    found = {"volatility": seen}
    run.metrics(evaluation.flat(evaluation.score(found, LEVELS), LEVELS, "test"))
    if cost is not None:
        run.metrics({"test/volatility/cost_change": cost})
    evaluation.save(found, home / name / "test.npz")
    run.file(home / name / "test.npz")
    run.end()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("compared")
    store = Store(home / "mlflow")
    for name, seen in MODELS.items():
        record(store, name, seen, home / "runs", COSTS.get(name))
    return home


def test_runs_are_ranked_and_compared_with_the_best(folder: Path, tmp_path: Path) -> None:
    store = Store(folder / "mlflow")
    found = entries(store, "made")
    placed = standings(found, hindsights(found, store, tmp_path))
    assert [standing.entry.model for standing in placed] == ["sharp", "wide", "biased"]
    assert placed[0].against is None
    for standing in placed[1:]:
        assert standing.reference.model == "sharp"
        assert standing.against is not None
        assert standing.against.worse
        assert standing.p is not None
        assert standing.against.p is not None
        assert standing.p >= standing.against.p


def test_the_reference_can_be_named(folder: Path, tmp_path: Path) -> None:
    store = Store(folder / "mlflow")
    found = entries(store, "made")
    seen = hindsights(found, store, tmp_path)
    gains = {one.entry.model: one.against for one in standings(found, seen, "biased")}
    assert gains["biased"] is None
    assert gains["sharp"] is not None
    assert gains["sharp"].better
    with pytest.raises(DataError, match="sharp"):
        standings(found, seen, "nobody")


def test_every_plot_is_drawn_and_kept_with_each_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--experiment", "made", "--store", str(folder / "mlflow"), "--out", str(tmp_path / "out")]
    assert compare.main(words) == 0
    names = {f"{name}-volatility.png" for name in ("skill", "reliability", "precision", "lead", "cost")}
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == names
    told = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert [one["difference"] is None for one in told["standings"]] == [True, False, False]
    store = Store(folder / "mlflow")
    for one in store.records("made"):
        kept = {Path(item.path).name for item in store.client.list_artifacts(one.run_id, "compare")}
        assert kept == names
    assert "Diebold-Mariano" in capsys.readouterr().out


def test_a_run_that_keeps_no_hindsight_is_listed_without_a_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "mlflow")
    record(store, "whole", MODELS["sharp"], tmp_path)
    bare = store.start("made", "bare", {"tick_s": str(TICK_S)})
    bare.metrics({"test/volatility/skill": 0.01})
    bare.end()
    words = ["--experiment", "made", "--store", str(tmp_path / "mlflow"), "--out", str(tmp_path / "out"), "--no-log"]
    assert compare.main(words) == 0
    assert "nothing shared" in capsys.readouterr().out
