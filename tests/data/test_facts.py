"""Stylised facts: each number by hand, what a history cannot tell, and how they are shown."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.commands import main
from data.history import History, write_table
from data.world.axes import Axis
from data.world.facts import measure
from data.world.facts_page import written
from data.world.generate import generate
from data.world.measured import fees, moves, rates
from data.world.statistics import dispersion, episodes, kurtosis, memory

START = datetime(2024, 1, 1, tzinfo=UTC)


def bars(symbol: str, ranges: list[float], interval_s: int = 300) -> pl.DataFrame:
    count = len(ranges)
    return pl.DataFrame(
        {
            "symbol": [symbol] * count,
            "ts": [START + timedelta(seconds=interval_s * place) for place in range(count)],
            "interval_s": [interval_s] * count,
            "open": [100.0] * count,
            "high": [100.0 * math.exp(size) for size in ranges],
            "low": [100.0] * count,
            "close": [100.0 * math.exp(size / 2) for size in ranges],
            "volume": [1.0] * count,
        }
    )


def blocks(gwei: list[float], step_s: int = 300) -> pl.DataFrame:
    count = len(gwei)
    return pl.DataFrame(
        {
            "chain": ["ethereum"] * count,
            "number": list(range(count)),
            "ts": [START + timedelta(seconds=step_s * place) for place in range(count)],
            "base_fee_wei": [round(fee * 1e9) for fee in gwei],
            "gas_used": [15_000_000] * (count - 1) + [30_000_000],
            "gas_limit": [30_000_000] * count,
        }
    )


def test_kurtosis_of_two_values_is_one_and_of_a_normal_law_three() -> None:
    assert kurtosis(np.array([-1.0, 1.0])) == 1.0
    assert kurtosis(np.random.default_rng(1).standard_normal(200_000)) == pytest.approx(3.0, abs=0.05)


def test_memory_is_the_textbook_autocorrelation() -> None:
    assert memory(np.array([1.0, -1.0, 1.0, -1.0]), 1) == -0.75
    assert math.isnan(memory(np.ones(5), 1))


def test_dispersion_of_a_poisson_process_is_one() -> None:
    counts = np.random.default_rng(1).poisson(5.0, 200_000).astype(float)
    assert dispersion(counts, 1) == pytest.approx(1.0, abs=0.02)
    assert dispersion(counts, 10) == pytest.approx(1.0, abs=0.05)


def test_runs_that_are_near_are_one_episode() -> None:
    assert episodes(np.array([1, 1, 0, 1, 0, 0, 0, 1], bool), 2) == 2
    assert episodes(np.zeros(4, bool), 2) == 0


def test_shorter_bars_are_joined_to_five_minutes() -> None:
    history = History.of({"bars": bars("ETH-PERP", [0.01, 0.02, 0.03, 0.01, 0.01, 0.04], 60)})
    found = moves(history)
    assert found is not None
    assert found.log_volatility == pytest.approx(np.log(np.array([0.03, 0.04]) / math.sqrt(4 * math.log(2))))
    assert found.returns == pytest.approx([0.005, 0.02])


def test_longer_bars_tell_nothing() -> None:
    facts = measure(History.of({"bars": bars("ETH-PERP", [0.01] * 5, 3600)}))
    assert facts.value("kurtosis") is None
    assert facts.curves == ()


def test_surges_are_counted_against_the_median_of_six_hours() -> None:
    gwei = [20.0] * 100 + [41.0] * 3 + [20.0] * 100
    found = fees(History.of({"blocks": blocks(gwei)}))
    assert found is not None
    assert np.flatnonzero(found.surging(2.0)).tolist() == [100, 101, 102]
    facts = measure(History.of({"blocks": blocks(gwei)}))
    assert facts.value("surges") == pytest.approx(8640 / 203)
    assert facts.value("base_fee") == pytest.approx(20.0)
    assert facts.value("full_share") == pytest.approx(1 / 203)


def test_the_lead_is_the_share_of_violent_bars_that_a_surge_follows() -> None:
    ranges = [0.001 + 1e-6 * place for place in range(1000)]
    ranges[500] = ranges[700] = 0.1
    gwei = [20.0] * 1000
    gwei[501:504] = [40.0] * 3
    facts = measure(History.of({"bars": bars("ETH-PERP", ranges), "blocks": blocks(gwei)}))
    assert facts.value("lead_0.001") == 0.5
    # Of the others, the bars before and after that one see (20 + 40 + 40) / 3 > 30 ahead too.
    assert facts.value("lead_other") == 2 / 984


def test_seconds_without_a_request_do_not_count() -> None:
    counts = pl.DataFrame({"ts": [START, START + timedelta(seconds=2)], "count": [3, 0]})
    found = rates(History.of({"request_counts": counts}))
    assert found is not None
    assert found.per_s.tolist() == [3.0]


@pytest.mark.parametrize(
    ("low", "high", "is_log", "marks"),
    [
        (0.0, 1.0, False, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0, 37.0, False, [0, 10, 20, 30]),
        (0.0, 0.98, False, [0, 0.2, 0.4, 0.6, 0.8]),
        (1.0, 1000.0, True, [1, 10, 100, 1000]),
        (1.0, 20.0, True, [1, 2, 5, 10, 20]),
    ],
)
def test_axes_are_marked_at_round_values(low: float, high: float, is_log: bool, marks: list[float]) -> None:
    assert Axis.of([low, high], is_log).marks == pytest.approx(marks)


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.12345, "0.123"), (1234.5, "1,234"), (-7.1234, "-7.12")])
def test_values_are_written_to_three_digits(value: float | None, text: str) -> None:
    assert written(value) == text


def test_two_histories_are_shown_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        for table, frame in generate(1.0, seed).items():
            write_table(tmp_path / name, table, frame)
    page = tmp_path / "facts.html"
    folders = [str(tmp_path / "one"), "--versus", str(tmp_path / "two")]
    assert main(["facts", *folders, "--html", str(page)]) == 0
    assert "kurtosis of 5-minute returns" in capsys.readouterr().out
    content = page.read_text("utf-8")
    assert content.count("<figure>") == 6
    assert "http" not in content
    assert main(["facts", *folders, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {str(tmp_path / "one"), str(tmp_path / "two")}
    assert told[str(tmp_path / "one")]["kurtosis"] > 3
