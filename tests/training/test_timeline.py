import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from data.errors import DataError
from training.commands.timeline import main
from training.lived import read_lived

START = datetime(2024, 1, 1, tzinfo=UTC)
DEMAND = (12, 13, 12, 12, 45, 50, 50)
WARM = {"led": (4, 2, 2, 4, 4, 4, 4), "reactive": (2, 2, 2, 2, 2, 2, 4)}
ORDERED = {"led": (4, 2, 4, 4, 4, 4, 4), "reactive": (2, 2, 2, 2, 4, 4, 4)}


def record(folder: Path, name: str, demand: tuple[int, ...] = DEMAND) -> Path:
    """A record of seven reviews, and an order a second of which those of the reactive one's surge were late."""
    home = folder / name
    home.mkdir()
    points = [
        {"at_s": START.timestamp() + 5 * i, "demand_per_s": per_s, "units_ready": WARM[name][i], "units_ordered": ORDERED[name][i],
         "units_used": min(per_s / 15, WARM[name][i]), "queued": 0.0, "stage": "forecast-led", "trust": 1.0}
        for i, per_s in enumerate(demand)
    ]  # fmt: skip
    series = {"now_s": 0.0, "pool": "nodes", "unit_rate_per_s": 15.0, "min_units": 2, "points": points}
    (home / "series.json").write_text(json.dumps(series))
    late = [name == "reactive" and second >= 20 for second in range(30)]
    pl.DataFrame(
        {
            "ts": [START + timedelta(seconds=second) for second in range(30)],
            "tier": ["critical", "maker"] * 15,
            "served": [True] * 30,
            "took_s": [2.0 if slow else 0.1 for slow in late],
        }
    ).write_parquet(home / "orders.parquet")
    return home


def test_the_extra_unit_is_the_one_that_the_surge_found_or_waited_for(tmp_path: Path) -> None:
    led, reactive = (read_lived(record(tmp_path, name)) for name in WARM)
    onset = START.timestamp() + 20
    assert (led.onset_s, led.warm_s, led.ordered_s) == (onset, onset - 5, onset - 10)
    assert (reactive.onset_s, reactive.warm_s, reactive.ordered_s) == (onset, onset + 10, onset)
    assert (led.units_at(onset), reactive.units_at(onset)) == (4, 2)
    assert (led.on_time(["critical"], 1.0), reactive.on_time(["critical"], 1.0)) == (1.0, 10 / 15)


def test_records_are_drawn_side_by_side_with_their_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(record(tmp_path, name)) for name in WARM]
    assert main([*folders, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "led, -10 s, -5 s, 4, 30, 0, 100.0%, 100.0%" in shown
    assert "reactive, +0 s, +10 s, 2, 30, 0, 66.7%, 66.7%" in shown
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<svg" in page
    assert page.count("the extra unit warm") == 2


def test_a_record_without_orders_is_drawn_too(tmp_path: Path) -> None:
    home = record(tmp_path, "led")
    (home / "orders.parquet").unlink()
    assert main([str(home), "--out", str(tmp_path / "out")]) == 0


def test_what_is_no_record_or_holds_no_surge_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/v1/series"):
        main([str(tmp_path), "--out", str(tmp_path / "out")])
    calm = record(tmp_path, "led", (12,) * 7)
    with pytest.raises(DataError, match="record a surge"):
        main([str(calm), "--out", str(tmp_path / "out")])
    (calm / "orders.parquet").write_text("none")
    with pytest.raises(DataError, match="a table of ts"):
        main([str(calm), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
