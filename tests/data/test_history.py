from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import DataError
from data.history import History, write_table
from data.schemas import TABLES
from tests.data.made import at, bars, blocks, counts, times


def put(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    folder.mkdir(exist_ok=True)
    frame.write_parquet(folder / f"{name}.parquet")
    return folder


def message(folder: Path, name: str = "bars") -> str:
    """The one message of opening and using a table that cannot be used."""
    with pytest.raises(DataError) as caught:
        History.open(folder).scan(name)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder of parquet tables; found nothing there"):
        History.open(tmp_path / "absent")


def test_a_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="found a file"):
        History.open(tmp_path / "file")


def test_an_empty_folder_is_refused_with_the_names_of_the_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected at least one of blocks\.parquet.*found none of them"):
        History.open(tmp_path)


def test_a_missing_column_is_named_on_opening(tmp_path: Path) -> None:
    put(tmp_path, "bars", bars(3).drop("low"))
    with pytest.raises(DataError, match="found no column low"):
        History.open(tmp_path)


def test_a_naive_time_is_refused_with_a_remedy(tmp_path: Path) -> None:
    put(tmp_path, "bars", bars(3).with_columns(pl.col("ts").dt.replace_time_zone(None)))
    assert "expected a time with a time zone; found a naive one" in message(tmp_path)
    assert "replace_time_zone('UTC')" in message(tmp_path)


def test_a_number_instead_of_a_time_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "bars", bars(3).with_columns(pl.col("ts").cast(pl.Int64)))
    assert "bars.ts: expected a time with a time zone; found the type Int64" in message(tmp_path)


def test_a_text_instead_of_a_number_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "bars", bars(3).with_columns(pl.col("low").cast(pl.String)))
    assert "bars.low: expected the type Float64; found the type String" in message(tmp_path)


def test_broken_parquet_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "bars", bars(300)) / "bars.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    assert "expected parquet" in message(tmp_path)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    put(tmp_path, "bars", bars(3))
    assert "expected a table blocks; found bars" in message(tmp_path, "blocks")


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("high", float("nan"), "a finite number in high"),
        ("close", float("inf"), "a finite number in close"),
        ("low", None, "a value in every row in low"),
        ("open", -1.0, "a positive value in open"),
        ("high", 0.5, "open and close between low and high"),
    ],
)
def test_an_impossible_value_is_named_with_its_row(
    tmp_path: Path, column: str, value: float | None, expected: str
) -> None:
    frame = bars(9).with_columns(
        pl.when(pl.int_range(9) == 4).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
    )
    put(tmp_path, "bars", frame)
    found = message(tmp_path)
    assert f"expected {expected}; found row 4" in found
    assert "ts 2024-01-01 00:20:00+00:00" in found
    assert "shaper data check" in found


def test_an_unsorted_file_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "bars", pl.concat([bars(3, first=3), bars(3)]))
    assert "expected rows in ascending order; found row 3" in message(tmp_path)


def test_a_repeated_row_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "bars", pl.concat([bars(3), bars(3).tail(1)]))
    assert "expected one row for each key; found row 3" in message(tmp_path)


def test_blocks_whose_time_goes_back_are_refused(tmp_path: Path) -> None:
    frame = blocks(3).with_columns(times([0, 24, 12]))
    put(tmp_path, "blocks", frame)
    assert "expected times that do not go back; found row 2" in message(tmp_path, "blocks")


def test_a_bar_that_straddles_its_interval_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "bars", bars(3).with_columns(pl.col("ts") + pl.duration(seconds=60)))
    assert "open times that are multiples of interval_s" in message(tmp_path)


def test_symbols_may_be_interleaved_and_come_out_in_order(tmp_path: Path) -> None:
    both = pl.concat([bars(3), bars(3, symbol="BTC-PERP")])
    put(tmp_path, "bars", both.sort("ts", maintain_order=True))
    rows = History.open(tmp_path).scan("bars").collect()
    assert rows["symbol"].to_list() == ["BTC-PERP"] * 3 + ["ETH-PERP"] * 3


def test_units_of_time_and_width_of_numbers_do_not_matter(tmp_path: Path) -> None:
    odd = bars(5).with_columns(
        pl.col("ts").cast(pl.Datetime("us", "UTC")).dt.convert_time_zone("Asia/Tokyo"),
        pl.col("interval_s").cast(pl.Int16),
        pl.col("symbol").cast(pl.Categorical),
    )
    put(tmp_path / "odd", "bars", odd)
    put(tmp_path / "plain", "bars", bars(5))
    odd_history, plain = History.open(tmp_path / "odd"), History.open(tmp_path / "plain")
    assert odd_history.scan("bars").collect().equals(plain.scan("bars").collect())
    assert odd_history.digest() == plain.digest()


def test_the_digest_depends_on_content_and_not_on_files(tmp_path: Path) -> None:
    put(tmp_path / "one", "bars", bars(10))
    for name, part in {"b": bars(10).head(4), "a": bars(10).tail(6)}.items():
        folder = tmp_path / "hive" / "bars" / f"day={name}"
        folder.mkdir(parents=True)
        part.write_parquet(folder / "part.parquet")
    put(tmp_path / "other", "bars", bars(10).with_columns(pl.col("volume") + (pl.int_range(10) == 9)))
    one, hive, other = (History.open(tmp_path / name).digest() for name in ("one", "hive", "other"))
    assert one == hive != other


def test_a_digest_of_some_tables_ignores_the_others() -> None:
    with_blocks = History.of({"bars": bars(4), "blocks": blocks(4)})
    assert with_blocks.digest(["bars"]) == History.of({"bars": bars(4)}).digest()
    assert with_blocks.digest() != with_blocks.digest(["bars"])


def test_a_hive_names_its_symbol_by_folder(tmp_path: Path) -> None:
    folder = tmp_path / "bars" / "symbol=ETH-PERP"
    folder.mkdir(parents=True)
    bars(3).drop("symbol").write_parquet(folder / "part.parquet")
    assert History.open(tmp_path).scan("bars").collect()["symbol"].unique().to_list() == ["ETH-PERP"]


def test_a_table_as_file_and_as_folder_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "bars", bars(3))
    (tmp_path / "bars").mkdir()
    bars(3).write_parquet(tmp_path / "bars" / "part.parquet")
    with pytest.raises(DataError, match="both a file and a folder"):
        History.open(tmp_path)


def test_before_keeps_what_was_known_and_nothing_else() -> None:
    history = History.of({"bars": bars(4), "blocks": blocks(4), "request_counts": counts(4)})
    cut = history.before(at(12 * 3))
    assert cut.scan("bars").collect().height == 0  # the first bar closes at 300 s
    assert cut.scan("blocks").collect()["number"].to_list() == [1000, 1001, 1002]  # ts < 36 s
    assert history.before(at(600)).scan("bars").collect().height == 2  # the bar that closes at 600 s is known then
    assert history.before(at(3)).scan("request_counts").collect().height == 3
    assert cut.before(at(1000)).scan("blocks").collect().height == 3  # a cut never grows again


def test_before_wants_a_time_zone() -> None:
    with pytest.raises(DataError, match="time zone"):
        History.of({"bars": bars(1)}).before(datetime(2024, 1, 1))  # noqa: DTZ001


def test_a_missing_price_of_the_mempool_is_unknown() -> None:
    frame = pl.DataFrame({"chain": ["bitcoin"] * 2, "ts": times([0, 300])}).with_columns(
        pl.lit(5).alias("pending_count"),
        *(pl.lit(1.0).alias(n) for n in ("pending_weight", "pending_fee", "fee_fast", "fee_slow", "fee_min")),
        pl.Series("price_usd", [-1.0, 80_000.0]),
    )
    assert History.of({"mempool": frame}).scan("mempool").collect()["price_usd"].to_list() == [None, 80_000.0]


def test_a_table_is_written_in_order_and_read_back(tmp_path: Path) -> None:
    path = write_table(tmp_path / "new", "bars", bars(5).reverse())
    assert path == tmp_path / "new" / "bars.parquet"
    assert History.open(tmp_path / "new").scan("bars").collect()["ts"].to_list() == bars(5)["ts"].to_list()


def test_a_bad_table_leaves_nothing_behind_and_the_old_one_in_place(tmp_path: Path) -> None:
    write_table(tmp_path, "bars", bars(5))
    before = (tmp_path / "bars.parquet").read_bytes()
    with pytest.raises(DataError):
        write_table(tmp_path, "bars", bars(5).with_columns(low=pl.lit(np.nan)))
    assert [path.name for path in tmp_path.iterdir()] == ["bars.parquet"]
    assert (tmp_path / "bars.parquet").read_bytes() == before


def test_every_table_can_be_empty(tmp_path: Path) -> None:
    for name, table in TABLES.items():
        write_table(tmp_path, name, pl.DataFrame(schema=table.dtypes))
    history = History.open(tmp_path).before(datetime(2030, 1, 1, tzinfo=UTC))
    assert all(history.scan(name).collect().is_empty() for name in TABLES)
