import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.errors import UsageError
from data.history import History
from serving import cli
from shaper.replay.contest import LEARNED, TO_BEAT, flow_of
from shaper.replay.trace import ReplayError
from tests.serving import made
from training import contesting
from training.artefact import Artefact
from training.contests import ContestFile, is_contest, merged, read_contest
from training.recording import with_history
from training.tracking import Store

CONFIGS = Path(__file__).parent.parent.parent / "training" / "configs"
SMALL = f"""
extends = "{CONFIGS / "replay-systemic.toml"}"
name = "small"
delays_s = [15]

[market]
length_s = 150.0
calm_per_s = 10.0
surges = [{{ earliest_s = 60.0, latest_s = 70.0, factor = 5.0, length_s = 40.0 }}]

[seeds]
count = 2
tuning = 1
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, "utf-8")
    return path


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("replay-*.toml")), ids=lambda path: path.stem)
def test_every_shipped_scenario_is_valid_and_shares_one_set_of_parameters(path: Path) -> None:
    file = read_contest(path)
    assert is_contest(path)
    systemic = read_contest(CONFIGS / "replay-systemic.toml")
    assert (file.ours, file.one_set) == (systemic.ours, systemic.one_set)
    assert file.about
    assert len(file.reported) >= 20


def test_a_stretch_of_history_is_no_contest() -> None:
    assert not is_contest(CONFIGS / "replay.toml")


def test_tables_are_completed_key_by_key_and_lists_replaced() -> None:
    assert merged({"a": {"x": 1, "y": [1, 2]}, "b": 1}, {"a": {"y": [3]}, "c": 2}) == {
        "a": {"x": 1, "y": [3]},
        "b": 1,
        "c": 2,
    }


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('name = "small"', 'name = "small"\npolicies = ["magic"]'), "magic"),
        (("calm_per_s", "calm_per_h"), "calm_per_h"),
        (("count = 2", "count = 2\nfirst = 10001"), "tuned on"),
        (("length_s = 150.0", "length_s = 10.0"), "market of over 60 s"),
        (('name = "small"', 'name = "small"\nfaults = [{node = 9, start_s = 0, end_s = 1, speed = 0}]'), "nodes 0..5"),
        (("replay-systemic.toml", "missing.toml"), "missing.toml"),
    ],
)
def test_a_wrong_scenario_is_named(scenario: Path, change: tuple[str, str], named: str) -> None:
    scenario.write_text(SMALL.replace(*change), "utf-8")
    with pytest.raises(UsageError, match=named):
        read_contest(scenario)


def test_the_command_writes_results_a_page_and_runs(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(contesting.os, "cpu_count", lambda: 1)
    words = ["replay", "--scenario", str(scenario), "--policy", TO_BEAT, "--policy", LEARNED, "--track"]
    assert cli.main([*words, "--store", str(tmp_path / "mlflow"), "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    (delay,) = results["delays"]
    assert [policy["policy"] for policy in delay["policies"]] == [TO_BEAT, LEARNED]
    for policy in delay["policies"]:
        assert policy["cost_usd"] == pytest.approx(np.mean(policy["cost_usd_by_seed"]))
        assert sum(policy["by_cause_usd"].values()) == pytest.approx(policy["cost_usd"])
        assert policy["regret"]["low"] <= policy["regret"]["value"] <= policy["regret"]["high"]
    assert delay["against_best_baseline"][0]["policy"] == LEARNED
    assert delay["against"] == {TO_BEAT: delay["against_best_baseline"]}
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<svg") == 2
    records = Store(tmp_path / "mlflow").records("replay")
    assert {record.tags.get("policy") for record in records} == {None, TO_BEAT, LEARNED}
    assert {record.status for record in records} == {"FINISHED"}
    costs = {record.tags["policy"]: record.metrics["cost_usd"] for record in records if "policy" in record.tags}
    assert costs[LEARNED] == pytest.approx(delay["policies"][1]["cost_usd"])
    assert "regret" in capsys.readouterr().out


def test_an_unknown_policy_of_the_command_line_is_a_usage_error(
    scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["replay", "--scenario", str(scenario), "--policy", "magic", "--out", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert "magic" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_stretch_without_data_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["replay", "--scenario", str(CONFIGS / "replay.toml"), "--out", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert "--data" in capsys.readouterr().err


def test_equal_costs_have_no_change_and_the_interval_holds_the_value() -> None:
    found = contesting.resampled(lambda w: w @ np.array([1.0, 2.0, 6.0]) / w.sum(axis=1), 3)
    assert found.value == 3.0
    assert found.low < 3.0 < found.high
    same = contesting.resampled(lambda w: (w @ np.ones(3)) / (w @ np.ones(3)) - 1, 3)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_seeds_that_are_reported_are_not_tuned_on(scenario: Path) -> None:
    file: ContestFile = read_contest(scenario)
    assert not set(file.reported) & set(file.tuned)
    with pytest.raises(ValueError, match="tuned on"):
        replace(file, seeds=replace(file.seeds, first_tuning=1))


def recorded_words(tmp_path: Path, scenario: Path) -> list[str]:
    """A small scenario on the recorded orders of a made history and with its model: two stretches of 150 s, and one to tune on."""
    text = scenario.read_text("utf-8").replace(
        "surges = [{ earliest_s = 60.0, latest_s = 70.0, factor = 5.0, length_s = 40.0 }]", "surges = []"
    )
    scenario.write_text(text, "utf-8")
    history, artefact = made.write_history(tmp_path / "history"), made.write_artefact(tmp_path / "artefact")
    return ["replay", "--scenario", str(scenario), "--data", str(history), "--model", str(artefact)]


def test_recorded_orders_are_played_with_a_trained_models_forecasts(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contesting.os, "cpu_count", lambda: 1)
    words = recorded_words(tmp_path, scenario)
    out = tmp_path / "out"
    assert cli.main([*words, "--policy", TO_BEAT, "--policy", LEARNED, "--out", str(out)]) == 0
    (delay,) = json.loads((out / "results.json").read_text())["delays"]
    assert [policy["policy"] for policy in delay["policies"]] == [TO_BEAT, LEARNED]
    assert all(cost > 0 for policy in delay["policies"] for cost in policy["cost_usd_by_seed"])
    assert made.contract().name in (out / "report.html").read_text()


def test_recorded_stretches_follow_each_other_and_are_scaled_by_what_is_tuned_on(
    scenario: Path, tmp_path: Path
) -> None:
    file = read_contest(scenario)
    history = History.open(made.write_history(tmp_path / "history"))
    artefact = Artefact.open(made.write_artefact(tmp_path / "artefact"))
    played = with_history(file, history, artefact).recorded
    assert played is not None
    assert played.seeds == (10_001, 1, 2)
    assert played.work[:150].sum() / 150 == pytest.approx(10.0)
    setting = with_history(file, history, artefact).setting(15.0)
    flow = flow_of(setting, 1)
    assert len(flow.intensity) == 150
    assert len(flow.orders) == pytest.approx(1500, rel=0.1)
    series = played.series(2)
    assert 0 <= series.issued_at_s[-1] < 150.0
    current = series.current(100.0)
    assert current is not None
    with pytest.raises(ReplayError, match="found 3"):
        flow_of(setting, 3)


def test_recorded_orders_without_a_model_leave_the_learned_policy_out_or_refuse_it(
    scenario: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = recorded_words(tmp_path, scenario)
    without = [word for word in words if "artefact" not in word and word != "--model"]
    assert cli.main([*without, "--policy", LEARNED, "--out", str(tmp_path / "out")]) != 0
    assert "--model" in capsys.readouterr().err
    no_data = ["replay", "--scenario", str(scenario), *words[-2:], "--out", str(tmp_path / "out")]
    assert cli.main(no_data) == 2
    assert "--data" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
