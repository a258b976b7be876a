import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.history import History
from data.lake import folding
from data.lake.append import Appended, append
from data.lake.quarantine import quarantined
from data.parts import files, scan
from data.schemas import TABLES
from tests.data.lake.frames import arrivals, bars, blocks


def stored(folder: Path, table: str) -> pl.DataFrame:
    rows = scan(files(folder / table), TABLES[table]).collect()
    return rows.sort(TABLES[table].order, maintain_order=True)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_rows_lie_by_symbol_and_month_and_history_reads_them(tmp_path: Path) -> None:
    frame = pl.concat([bars(3), bars(3, "ETH/USDT:USDT"), bars(3, "137")])
    assert append(tmp_path, "bars", frame, "here") == Appended(new=9)
    folders = {str(path.parent.relative_to(tmp_path)) for path in files(tmp_path / "bars")}
    assert folders == {
        f"bars/symbol={symbol}/month={month}"
        for symbol in ("ETH-PERP", "ETH%2FUSDT%3AUSDT", "137")
        for month in ("2024-01", "2024-02")
    }
    assert History.open(tmp_path).digest() == History.of({"bars": frame}).digest()


def test_the_same_rows_again_change_no_byte(tmp_path: Path) -> None:
    append(tmp_path, "bars", bars(5), "here")
    before = snapshot(tmp_path)
    assert append(tmp_path, "bars", bars(5), "elsewhere") == Appended(known=5)
    assert snapshot(tmp_path) == before


def test_each_row_keeps_the_origin_that_brought_it_first(tmp_path: Path) -> None:
    append(tmp_path, "bars", bars(2), "archive")
    assert append(tmp_path, "bars", bars(4), "rest") == Appended(new=2, known=2)
    assert stored(tmp_path, "bars")["origin"].to_list() == ["archive", "archive", "rest", "rest"]


def test_a_known_row_with_other_values_is_set_aside_and_the_first_one_stays(tmp_path: Path) -> None:
    append(tmp_path, "bars", bars(3), "archive")
    other = bars(3).with_columns(volume=pl.when(pl.col("volume") == 1.0).then(7.0).otherwise("volume"))
    assert append(tmp_path, "bars", other, "rest") == Appended(known=2, conflicting=1)
    assert stored(tmp_path, "bars")["volume"].to_list() == [0.0, 1.0, 2.0]
    aside = quarantined(tmp_path, TABLES["bars"]).collect()
    assert aside.select("volume", "reason", "origin").rows() == [(7.0, "volume is known as 1.0", "rest")]


def test_rows_set_aside_twice_are_kept_once(tmp_path: Path) -> None:
    append(tmp_path, "bars", bars(3), "archive")
    other = bars(3).with_columns(volume=pl.lit(7.0))
    for count in (1, 3, 3):
        append(tmp_path, "bars", other.head(count), "rest")
    assert quarantined(tmp_path, TABLES["bars"]).collect().height == 3


def test_a_block_number_is_known_in_whatever_month_it_came(tmp_path: Path) -> None:
    append(tmp_path, "blocks", blocks(2), "archive")
    later = blocks(2).with_columns(pl.col("ts").dt.offset_by("2mo"))
    assert append(tmp_path, "blocks", later, "rest") == Appended(conflicting=2)


def test_null_contradicts_nothing_but_a_value_for_a_known_null_does(tmp_path: Path) -> None:
    append(tmp_path, "blocks", blocks(1), "plain")
    counted = blocks(1).with_columns(tx_count=pl.lit(5))
    assert append(tmp_path, "blocks", counted, "counted") == Appended(conflicting=1)
    assert quarantined(tmp_path, TABLES["blocks"]).collect()["reason"].to_list() == ["tx_count is known as unknown"]
    append(tmp_path, "blocks", blocks(1, first=2000).with_columns(tx_count=pl.lit(5)), "counted")
    assert append(tmp_path, "blocks", blocks(1, first=2000), "plain") == Appended(known=1)


def test_rows_that_break_a_rule_are_set_aside_with_its_name(tmp_path: Path) -> None:
    frame = bars(3).with_columns(high=pl.when(pl.col("volume") == 1.0).then(1.0).otherwise("high"))
    assert append(tmp_path, "bars", frame, "here") == Appended(new=2, broken=1)
    aside = quarantined(tmp_path, TABLES["bars"]).collect()
    assert aside["reason"].to_list() == ["breaks prices_within_low_and_high"]


def test_a_sound_row_is_taken_though_a_broken_one_has_its_key(tmp_path: Path) -> None:
    broken = bars(1).with_columns(volume=pl.lit(float("nan")))
    assert append(tmp_path, "bars", pl.concat([broken, bars(1)]), "here") == Appended(new=1, broken=1)
    assert stored(tmp_path, "bars")["volume"].to_list() == [0.0]


def test_equal_arrivals_are_counted_not_collapsed(tmp_path: Path) -> None:
    assert append(tmp_path, "arrivals", arrivals([0, 0, 1]), "here") == Appended(new=3)
    assert append(tmp_path, "arrivals", arrivals([0, 0, 0, 1]), "here") == Appended(new=1, known=3)
    assert stored(tmp_path, "arrivals").height == 4


def test_a_frame_that_cannot_be_read_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column close"):
        append(tmp_path, "bars", bars(2).drop("close"), "here")
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_is_a_single_file_is_refused(tmp_path: Path) -> None:
    bars(2).write_parquet(tmp_path / "bars.parquet")
    with pytest.raises(DataError, match=r"single file bars\.parquet"):
        append(tmp_path, "bars", bars(2), "here")


def test_many_small_appends_leave_few_files_and_every_row(tmp_path: Path) -> None:
    frame = blocks(50)
    for row in range(50):
        append(tmp_path, "blocks", frame[row : row + 1], f"feed {row}")
    assert len(files(tmp_path / "blocks")) <= folding.FOLD_AT
    assert len(list((tmp_path / "blocks").rglob("*"))) <= folding.FOLD_AT + 2
    assert stored(tmp_path, "blocks")["number"].to_list() == frame["number"].to_list()
    assert stored(tmp_path, "blocks")["origin"].to_list() == [f"feed {row}" for row in range(50)]


def test_a_writer_killed_within_a_fold_leaves_no_duplicate(tmp_path: Path) -> None:
    for row in range(15):
        append(tmp_path, "blocks", blocks(15)[row : row + 1], "feed")
    place = files(tmp_path / "blocks")[0].parent
    kept = {path: path.read_bytes() for path in place.glob("*.parquet")}
    append(tmp_path, "blocks", blocks(1, first=2000), "feed")
    for path, content in kept.items():  # as if the kill came after the rename and before the removals
        path.write_bytes(content)
    assert stored(tmp_path, "blocks").height == 16
    append(tmp_path, "blocks", blocks(1, first=2001), "feed")
    assert stored(tmp_path, "blocks").height == 17
    assert len(list(place.glob("*.parquet"))) == 2


def test_what_a_killed_writer_left_is_cleared_away(tmp_path: Path) -> None:
    append(tmp_path, "bars", bars(1), "here")
    place = files(tmp_path / "bars")[0].parent
    (place / ".part-00000002-00000002.parquet.partial").write_bytes(b"half")
    assert History.open(tmp_path).scan("bars").collect().height == 1
    append(tmp_path, "bars", bars(1, start=bars(1)["ts"][0].replace(hour=3)), "here")
    assert list(place.glob(".*.partial")) == []


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 30), max_size=5), order=st.randoms(use_true_random=False))
def test_overlapping_appends_in_any_order_give_the_rows_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], order: object
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    frame = bars(30)
    spans = [frame, *(frame[cut : cut + 10] for cut in cuts)]
    order.shuffle(spans)  # type: ignore[attr-defined]
    total = sum((append(folder, "bars", span, "here") for span in spans if span.height), Appended())
    assert (total.new, total.conflicting, total.broken) == (30, 0, 0)
    assert stored(folder, "bars").drop("origin", "trades").equals(frame)


WRITER = """
import sys
from pathlib import Path
import polars as pl
from data.lake.append import append
frame = pl.read_parquet(sys.argv[2])
order = range(0, frame.height, 5) if sys.argv[3] == "up" else reversed(range(0, frame.height, 5))
for start in order:
    append(Path(sys.argv[1]), "blocks", frame[start : start + 5], sys.argv[3])
"""


def test_two_writers_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    frame = blocks(200)
    frame.write_parquet(tmp_path / "given.parquet")
    lake = tmp_path / "lake"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(lake), str(tmp_path / "given.parquet"), way])
        for way in ("up", "down")
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    assert stored(lake, "blocks").select(frame.columns).equals(frame)
