import json
from pathlib import Path

import polars as pl
import pytest

from data.check import TableReport, inspect
from data.commands import main
from data.environment import history_folder
from data.errors import DataError, UsageError
from data.history import History, write_table
from tests.data.made import bars, blocks, counts, times


def only(folder: Path) -> TableReport:
    (table,) = inspect(folder).tables
    return table


def test_rows_and_range_are_reported(tmp_path: Path) -> None:
    write_table(tmp_path, "bars", bars(12))
    table = only(tmp_path)
    assert (table.name, table.rows, table.faults) == ("bars", 12, ())
    assert table.first is not None
    assert table.last is not None
    assert (table.last - table.first).total_seconds() == 11 * 300
    assert table.notes == ("ETH-PERP: no gap",)


def test_gaps_are_notes_and_no_faults(tmp_path: Path) -> None:
    write_table(tmp_path, "bars", bars(20).filter(~pl.int_range(20).is_in([3, 10, 11])))
    write_table(tmp_path, "blocks", blocks(20).filter(~pl.int_range(20).is_in([4, 5])))
    report = inspect(tmp_path)
    assert report.ok
    notes = {table.name: table.notes for table in report.tables}
    assert notes["bars"] == ("ETH-PERP: 2 gaps, 3 bars missing, the longest 0:10:00 before 2024-01-01 01:00:00",)
    assert notes["blocks"][0] == "ethereum: 1 holes in the numbers, 2 blocks missing"


def test_base_fees_against_eip_1559_are_noted(tmp_path: Path) -> None:
    frame = blocks(10).with_columns(base_fee_wei=pl.lit(10**10), gas_used=pl.lit(15_000_000))
    odd = frame.with_columns(base_fee_wei=pl.when(pl.int_range(10) == 5).then(10**10 + 1).otherwise(10**10))
    write_table(tmp_path / "good", "blocks", frame)
    write_table(tmp_path / "odd", "blocks", odd)
    assert not any("EIP-1559" in note for note in only(tmp_path / "good").notes)
    assert "ethereum: 2 base fees are not what EIP-1559 sets" in only(tmp_path / "odd").notes  # there, and back


def test_outages_of_the_collector_are_noted(tmp_path: Path) -> None:
    silent = pl.int_range(900).is_between(300, 399)
    write_table(tmp_path, "request_counts", counts(900, 60.0).filter(~silent))
    assert only(tmp_path).notes == (
        "100 of 900 seconds have no row",
        "100 silent seconds",
        "100 of them taken for outages (the stream had 20/s or more)",
    )


def test_every_fault_is_listed_with_its_count_and_first_row(tmp_path: Path) -> None:
    frame = bars(10).with_columns(
        high=pl.when(pl.int_range(10) >= 8).then(float("nan")).otherwise("high"),
        low=pl.when(pl.int_range(10) == 2).then(None).otherwise("low"),
    )
    frame.write_parquet(tmp_path / "bars.parquet")
    first, second = only(tmp_path).faults
    assert first.startswith("1 rows break: a value in every row in low; first, row 2")
    assert second.startswith("2 rows break: a finite number in high; first, row 8")


def test_a_table_that_cannot_be_read_is_a_fault_and_the_others_are_still_looked_at(tmp_path: Path) -> None:
    bars(3).drop("open").write_parquet(tmp_path / "bars.parquet")
    write_table(tmp_path, "blocks", blocks(3))
    (tmp_path / "notes.txt").write_text("mine")
    report = inspect(tmp_path)
    faults = {table.name: table.faults for table in report.tables}
    assert faults["blocks"] == ()
    assert "found no column open" in faults["bars"][0]
    assert report.ignored == ("notes.txt",)


def test_the_command_exits_with_1_on_faults_and_0_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(tmp_path / "good", "bars", bars(3))
    assert main(["check", str(tmp_path / "good")]) == 0
    assert "no faults" in capsys.readouterr().out
    (tmp_path / "bad").mkdir()
    pl.concat([bars(3), bars(3)]).write_parquet(tmp_path / "bad" / "bars.parquet")
    assert main(["check", str(tmp_path / "bad")]) == 1
    assert "FAULT bars: " in capsys.readouterr().out


def test_the_report_is_json_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(tmp_path, "request_counts", counts(5))
    assert main(["check", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert report["tables"][0]["first"] == "2024-01-01T00:00:00+00:00"
    assert report["tables"][0]["rows"] == 5


def test_an_empty_table_is_no_fault(tmp_path: Path) -> None:
    write_table(
        tmp_path, "arrivals", pl.DataFrame({"ts": times([], "us"), "work": []}, schema_overrides={"work": pl.Float64})
    )
    assert only(tmp_path).notes == ("no rows",)
    assert inspect(tmp_path).ok


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found nothing there"):
        main(["check", str(tmp_path / "absent")])


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["simulate", "--help"]])
def test_help_ends_with_an_example(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert capsys.readouterr().out.rstrip().splitlines()[-1].startswith("  shaper data ")


@pytest.mark.parametrize("arguments", [[], ["look"], ["check"], ["simulate", "--out", "x", "--days", "0"]])
def test_a_wrong_call_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_simulated_world_is_written_and_passes_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "world"
    assert main(["simulate", "--out", str(out), "--days", "0.25", "--seed", "3"]) == 0
    assert "next: shaper data check" in capsys.readouterr().out
    assert {"bars", "blocks", "funding", "request_counts"} <= History.open(out).tables
    assert main(["check", str(out)]) == 0


def test_a_scenario_like_a_history_is_written_with_its_orders(tmp_path: Path) -> None:
    first, out = tmp_path / "first", tmp_path / "second"
    assert main(["simulate", "calm", "--out", str(first), "--days", "0.05"]) == 0
    assert main(["simulate", "gas-war", "--out", str(out), "--days", "0.02", "--like", str(first), "--orders"]) == 0
    history = History.open(out)
    counts, orders = (history.scan(name).collect() for name in ("request_counts", "orders"))
    assert orders.height == counts["count"].sum()
    assert main(["check", str(out)]) == 0


def test_an_unknown_scenario_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected one of market, brownout, .*; found apocalypse"):
        main(["simulate", "apocalypse", "--out", str(tmp_path / "out")])


def test_a_world_is_not_written_over_something(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="expected a new or empty folder"):
        main(["simulate", "--out", str(tmp_path), "--days", "0.25"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_environment_may_name_a_folder_of_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHAPER_HISTORY", "/somewhere")
    assert history_folder() == Path("/somewhere")
    monkeypatch.setenv("SHAPER_HISTORY", "")
    assert history_folder() is None
