"""A table is looked at in pieces: whatever their size, the same rows are found at fault, and nothing between two is missed."""

from pathlib import Path

import polars as pl
import pytest

from data.check import TableReport, inspect_table
from data.history import write_table
from data.lake.append import append
from data.lake.pieces import pieces
from data.schemas import TABLES
from tests.data.made import bars, blocks
from tests.data.made_tables import positions

WHOLE = 1_000_000


def written(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    folder.mkdir(exist_ok=True)
    frame.write_parquet(folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def report(path: Path, name: str, limit: int) -> TableReport:
    return inspect_table(name, path, limit)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, WHOLE])
def test_faults_are_counted_and_placed_alike_in_pieces_of_any_size(tmp_path: Path, limit: int) -> None:
    frame = pl.concat([bars(6), bars(6, symbol="BTC-PERP"), bars(2)]).with_columns(
        low=pl.when(pl.int_range(14).is_in([2, 3, 8])).then(None).otherwise("low")
    )
    frame = pl.concat([frame, frame.tail(1)])
    path = written(tmp_path, "bars", frame)
    assert report(path, "bars", limit).faults == report(path, "bars", WHOLE).faults
    assert len(report(path, "bars", WHOLE).faults) == 3


@pytest.mark.parametrize("limit", [1, 5, 12])
def test_a_second_row_of_a_key_is_found_across_a_seam(tmp_path: Path, limit: int) -> None:
    book = positions(2, accounts=6)
    path = written(tmp_path, "positions", pl.concat([book.head(6), book.slice(1, 1), book.tail(6)]))
    (fault,) = report(path, "positions", limit).faults
    assert fault.startswith("1 rows break: one row for each key; first, row 6")


def test_a_gap_between_two_pieces_is_noted_with_its_time(tmp_path: Path) -> None:
    write_table(tmp_path, "bars", bars(12).filter(pl.int_range(12) != 6))
    found = report(tmp_path / "bars.parquet", "bars", 6)
    assert (found.rows, found.faults) == (11, ())
    assert found.notes == (
        "2024-01-01 00:00 to 2024-01-01 00:25: ETH-PERP: no gap",
        "2024-01-01 00:35 to 2024-01-01 00:55: ETH-PERP: 1 gaps, 1 bars missing, the longest 0:05:00 before 2024-01-01 00:35:00",
    )


def test_what_holds_of_every_piece_is_said_once(tmp_path: Path) -> None:
    write_table(tmp_path, "bars", bars(12))
    assert report(tmp_path / "bars.parquet", "bars", 4).notes == ("ETH-PERP: no gap",)


def test_the_pieces_of_a_lake_are_its_months_and_each_begins_where_the_last_ended(tmp_path: Path) -> None:
    append(tmp_path, "blocks", blocks(900, step_s=7200), "made")
    table = TABLES["blocks"]
    found = list(pieces(table, tmp_path / "blocks", 1))
    assert [(one.seam, one.first) for one in found] == [(0, 0), (1, 372), (1, 720)]
    assert pl.concat([one.own for one in found])["number"].to_list() == list(range(1000, 1900))
    assert found[1].rows["number"][0] == found[0].rows["number"][-1]
