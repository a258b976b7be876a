"""The drift report: what has changed is named, what has not is not, and the limits decide the exit status."""

import json
from pathlib import Path

import numpy as np
import pytest

from data.contract import Window
from data.errors import DataError
from tests.training.registered import write_artefact, write_history
from training.commands import drift
from training.drift import compared, stability

LEARNT = Window("2024-01-01T06:00:00+00:00", "2024-01-04T00:00:00+00:00")


def test_equal_samples_are_stable_and_moved_ones_are_not() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    assert stability(values, values) == 0
    assert stability(values, values + 1) > 0.5
    assert stability(values, np.random.default_rng(1).normal(size=5000)) < 0.02


def test_the_index_of_two_halves_is_arithmetic() -> None:
    before, after = np.repeat([0.0, 1.0], [50, 50]), np.repeat([0.0, 1.0], [25, 75])
    shares = [np.array([50.5, 50.5]) / 101, np.array([25.5, 75.5]) / 101]
    expected = ((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()
    assert stability(before, after) == pytest.approx(expected)


def test_what_is_hardly_known_is_not_compared_but_counted_as_missing() -> None:
    before, after = np.zeros(1000), np.full(1000, np.nan)
    found = compared("x", "1", before, after)
    assert (found.psi, found.ks, found.missing_then, found.missing_now) == (None, None, 0.0, 1.0)


def options(home: Path, factor: float, out: Path) -> list[str]:
    write_history(home / "history", factor=factor)
    metrics = {"validation/demand/loss": 0.08}
    write_artefact(home / "model", "model", 8, training=LEARNT, metrics=metrics)
    words = ["--model", str(home / "model"), "--data", str(home / "history"), "--out", str(out)]
    return [*words, "--since", "2024-01-04", "--until", "2024-01-07"]


def test_an_unchanged_period_is_within_the_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drift.main(options(tmp_path, 1.0, tmp_path / "out")) == 0
    told = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert told["reasons"] == []
    (target,) = told["targets"]
    assert [day["day"] for day in target["days"]] == ["2024-01-04", "2024-01-05", "2024-01-06"]
    assert target["coverage"] == pytest.approx(0.9, abs=0.03)
    assert "within the limits" in capsys.readouterr().out


def test_a_moved_input_is_named_and_ends_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drift.main(options(tmp_path, 2.0, tmp_path / "out")) == 1
    told = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert any(reason.startswith("log_demand: stability index") for reason in told["reasons"])
    assert "beyond  log_demand" in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Beyond the limits" in page
    assert page.count("data:image/png;base64,") == 2


def test_a_history_without_the_training_window_asks_for_it(tmp_path: Path) -> None:
    words = options(tmp_path, 1.0, tmp_path / "out")
    early = Window("2023-01-01T00:00:00+00:00", "2023-02-01T00:00:00+00:00")
    write_artefact(tmp_path / "model", "model", 8, training=early)
    with pytest.raises(DataError, match="expected"):
        drift.main(words)
    assert not (tmp_path / "out").exists()
