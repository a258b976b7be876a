"""The search: what a space may say, what is pruned, what a kill leaves, and that nothing after `until` is read."""

from pathlib import Path

import msgspec.yaml
import optuna
import pytest

from data.errors import DataError, UsageError
from training import recipes, tuning
from training.fitting import Fit
from training.space import read_space
from training.study import Judge, storage
from training.tracking import Store
from training.tuning import Search, merged, search_here

SPACE = """
model.options.rank: {low: 1, high: 4}
model.optimiser.learning_rate: {low: 0.0001, high: 0.01, log: true}
data.batch.size: {choices: [32, 64]}
"""
CONFIGS = Path(tuning.__file__).parent / "configs"


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path


def test_a_space_suggests_whole_even_and_chosen_values(space: Path) -> None:
    trial = optuna.trial.FixedTrial(
        {"model.options.rank": 3, "model.optimiser.learning_rate": 0.001, "data.batch.size": 64}
    )
    words = read_space(space).ask(trial)
    assert words == ("--model.options.rank=3", "--model.optimiser.learning_rate=0.001", "--data.batch.size=64")


WRONG = (
    "",
    "a: 1",
    "a: {low: 1}",
    "a: {low: 2, high: 1}",
    "a: {choices: []}",
    "a: {low: 0, high: 1, log: true}",
    "a: {low: 1, high: 2, x: 3}",
)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_space_is_a_usage_error(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(wrong)
    with pytest.raises(UsageError, match=r"space\.yaml"):
        read_space(tmp_path / "space.yaml")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("tune-*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_space_is_of_a_shipped_configuration(path: Path) -> None:
    assert read_space(path).keys
    assert (CONFIGS / path.name.removeprefix("tune-")).is_file()


def test_keys_with_dots_are_merged_into_a_configuration() -> None:
    config = {"model": {"architecture": "linear", "options": {"rank": 2}}}
    assert merged(config, {"model.options.rank": 4, "data.batch.size": 64}) == {
        "model": {"architecture": "linear", "options": {"rank": 4}},
        "data": {"batch": {"size": 64}},
    }


def test_a_trial_below_the_median_of_earlier_ones_is_hopeless(tmp_path: Path, space: Path) -> None:
    judge = Judge(storage(tmp_path / "study"), "study")
    for _ in range(5):
        number, _ = judge.ask(read_space(space))
        for step in range(3):
            assert not judge.hopeless(number, step, 1.0)
        judge.finish(number, 1.0)
    number, _ = judge.ask(read_space(space))
    assert not judge.hopeless(number, 0, 9.0)
    assert judge.hopeless(number, 1, 9.0)
    judge.finish(number, None, pruned=True)
    assert judge.counts() == {"complete": 5, "pruned": 1}
    assert judge.done() == 6


def test_what_was_running_at_a_kill_is_tried_again_first(tmp_path: Path, space: Path) -> None:
    address = storage(tmp_path / "study")
    _, lost = Judge(address, "study").ask(read_space(space))
    again = Judge(address, "study", seed=5)
    assert again.recover() == 1
    assert again.ask(read_space(space))[1] == lost
    assert again.counts() == {"fail": 1, "running": 1}


def a_search(home: Path, config: Path, space: Path, trials: int = 6, *overrides: str) -> Search:
    return Search(config, read_space(space), trials, home, overrides, "tuned", store=home.parent / "mlflow")


def test_a_search_prunes_resumes_and_writes_the_best(
    config: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fits are replaced by arithmetic: the larger the rate, the better; every fourth trial is pruned."""

    def fit(_config: Path, words: tuple[str, ...]) -> Fit:
        told = dict(word.removeprefix("--").split("=", 1) for word in words)
        assert told["data.split.test_days"] == "1e-9"
        if int(told["run.name"].removeprefix("trial-")) % 4 == 3:
            raise optuna.TrialPruned
        rate = float(told["model.optimiser.learning_rate"])
        metrics = {"validation/volatility/skill": rate, "test/volatility/skill": -rate}
        return Fit(tmp_path, None, metrics)  # type: ignore[arg-type]

    monkeypatch.setattr(recipes, "fit", fit)
    found = search_here(a_search(tmp_path / "search", config, space, 3), 1, lambda *_: None)
    assert found.counts == {"complete": 3}
    found = search_here(a_search(tmp_path / "search", config, space, 6), 1, lambda *_: None)
    assert found.counts == {"complete": 5, "pruned": 1}
    best = msgspec.yaml.decode((tmp_path / "search" / "best.yaml").read_bytes())
    assert best["model"]["optimiser"]["learning_rate"] == found.params["model.optimiser.learning_rate"]
    assert found.value == 1 - found.params["model.optimiser.learning_rate"]
    (parent,) = Store(tmp_path / "mlflow").records("tuned")
    assert (parent.tags["kind"], parent.status, parent.metrics["best_value"]) == ("tune", "FINISHED", found.value)


def test_a_search_whose_trials_all_end_early_says_so(
    config: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prune(*_: object) -> Fit:
        raise optuna.TrialPruned

    monkeypatch.setattr(recipes, "fit", prune)
    with pytest.raises(DataError, match="a completed trial"):
        search_here(a_search(tmp_path / "search", config, space, 1), 1, lambda *_: None, track=False)


def test_a_pruned_fit_ends_as_killed_and_a_whole_one_as_finished(
    history: Path, config: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = (f"--data.history={history}", "--trainer.max_epochs=2")
    search = a_search(tmp_path / "search", config, space, 2, *overrides)
    asked: list[int] = []

    def hopeless(_self: Judge, number: int, step: int, _value: float) -> bool:
        asked.append(step)
        return number == 1

    monkeypatch.setattr(Judge, "hopeless", hopeless)
    found = search_here(search, 1, lambda *_: None)
    assert found.counts == {"complete": 1, "pruned": 1}
    records = Store(tmp_path / "mlflow").records("tuned")
    trials = {record.name: record for record in records if record.tags["kind"] == "trial"}
    assert {name: record.status for name, record in trials.items()} == {
        "trial-0000": "FINISHED",
        "trial-0001": "KILLED",
    }
    parent = next(record for record in records if record.tags["kind"] == "tune")
    assert {record.tags["mlflow.parentRunId"] for record in trials.values()} == {parent.run_id}
    assert not any(name.startswith("test/") for name in trials["trial-0000"].metrics)
    assert asked == [0, 1, 0]
    assert tuning.objective(Fit(tmp_path, None, trials["trial-0000"].metrics)) == found.value  # type: ignore[arg-type]
