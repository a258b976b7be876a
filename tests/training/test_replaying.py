import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.contract import Window
from data.errors import DataError, UsageError
from data.history import History
from serving import cli
from tests.serving import made
from training import replaying
from training.artefact import Artefact
from training.commands import replay as command
from training.scenario import ScenarioFile, Stretch, read_scenario

SCENARIO = Path(__file__).parent.parent.parent / "training" / "configs" / "replay.toml"
STRETCH = Stretch(days=1 / 24, tuning_days=1 / 24)


def file(**changes: object) -> ScenarioFile:
    return replace(ScenarioFile("small", made.venue(), STRETCH), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History.open(made.write_history(tmp_path_factory.mktemp("history")))


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return Artefact.open(made.write_artefact(tmp_path_factory.mktemp("artefact")))


def test_recorded_orders_become_slots_of_the_venues_tiers(history: History) -> None:
    trace, tuning = replaying.traces(history, STRETCH, made.venue())
    assert tuning.end_s == trace.start_s
    np.testing.assert_allclose(trace.work, np.tile([36.0 * 5, 12.0 * 5], (720, 1)))


def test_orders_without_tiers_are_split_as_the_venue_expects(tmp_path: Path) -> None:
    rows = made.counts(made.START, 2 * 3600).group_by("ts", maintain_order=True).agg(pl.col("count").sum())
    made.write_table(tmp_path, "request_counts", rows)
    trace, _ = replaying.traces(History.open(tmp_path), replace(STRETCH, days=1 / 48, tuning_days=1 / 48), made.venue())
    np.testing.assert_allclose(trace.work[0], [0.75 * 240, 0.25 * 240])


def test_a_history_that_is_too_short_is_an_error(history: History) -> None:
    with pytest.raises(DataError, match="found orders from 2024-01-01 00:00 to 2024-01-01 02:59"):
        replaying.traces(history, Stretch(days=1.0), made.venue())


def test_a_model_fitted_on_the_played_period_is_refused(tmp_path: Path, history: History) -> None:
    seen = made.contract()
    seen = type(seen)(**{name: getattr(seen, name) for name in seen.__struct_fields__} | {
        "training": Window("2023-01-01T00:00:00+00:00", "2024-01-01T02:30:00+00:00")
    })  # fmt: skip
    artefact = Artefact.open(made.write_artefact(tmp_path / "artefact", seen))
    with pytest.raises(DataError, match="has not seen"):
        replaying.replay(file(), history, artefact)


def test_a_scaled_venue_gets_scaled_forecasts(artefact: Artefact, history: History) -> None:
    trace, _ = replaying.traces(history, STRETCH, made.venue())
    plain, double = (replaying.series(artefact, history, trace.start_s, trace.end_s, scale) for scale in (1.0, 2.0))
    np.testing.assert_allclose(np.exp(double.quantiles), 2 * np.exp(plain.quantiles))


def test_the_gain_of_equal_costs_is_none() -> None:
    costs = np.random.default_rng(0).random(48)
    same, half = replaying.gain(60, costs, costs, 2), replaying.gain(60, costs / 2, costs, 2)
    assert (same.change, same.low, same.high) == (0, 0, 0)
    assert half.change == pytest.approx(-0.5)


def test_the_shipped_scenario_is_valid_and_says_its_delays() -> None:
    read = read_scenario(SCENARIO)
    assert read.venue.pool.actuation_delay_s in read.all_delays_s
    assert [tier.name for tier in read.venue.by_priority] == ["critical", "hedge", "maker", "taker", "bulk"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("days = 1.0", "days = 0.0"), "days"),
        (("[venue.pool]", "[venue.pol]"), "pol"),
        (('"static"', '"statik"'), "statik"),
    ],
)
def test_a_wrong_scenario_is_named(tmp_path: Path, change: tuple[str, str], named: str) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO.read_text("utf-8").replace(*change), "utf-8")
    with pytest.raises(UsageError, match=named):
        read_scenario(path)


def test_the_command_prices_every_policy_and_draws_a_page(
    tmp_path: Path,
    history: History,
    artefact: Artefact,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(replaying.os, "cpu_count", lambda: 1)
    text = SCENARIO.read_text("utf-8").replace("delays_s = [15, 60, 240]", "delays_s = [15]")
    text = text.replace("days = 1.0", "days = 0.03")
    (tmp_path / "scenario.toml").write_text(text, "utf-8")
    words = [
        "replay",
        "--scenario",
        str(tmp_path / "scenario.toml"),
        "--data",
        history.where,
        "--model",
        str(artefact.folder),
    ]
    assert cli.main([*words, "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [entry["delay_s"] for entry in results["delays"]] == [15, 60]
    for entry in results["delays"]:
        costs = {policy["policy"]: policy["cost_usd"] for policy in entry["policies"]}
        assert set(costs) == {"static", "reactive", "forecast-led", "clairvoyant"}
        assert costs["clairvoyant"] <= min(costs.values()) + 1e-6
    gains = results["forecast_led_against_reactive"]
    assert [gain["delay_s"] for gain in gains] == [15, 60]
    assert all(gain["low"] <= gain["change"] <= gain["high"] for gain in gains)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert "clairvoyant" in capsys.readouterr().out


def test_a_model_may_be_named_as_a_registry_names_it(tmp_path: Path) -> None:
    words = ["--scenario", str(SCENARIO), "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    with pytest.raises(DataError, match="expected a registered model; found none"):
        command.main([*words, "--model", "models:/demand@champion", "--store", str(tmp_path / "store")])
    assert not (tmp_path / "out").exists()
