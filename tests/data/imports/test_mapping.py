from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.errors import DataError, UsageError
from data.imports.chunk import Chunk, Options
from data.imports.formats import bring_in
from data.imports.mapping import read
from data.lake.append import Appended
from tests.data.lake.frames import bars

FEES = """height;when;fee;used;limit
1000;2024-02-01 00:00:00;10.5;15000000;30000000
1001;2024-02-01 00:00:12;11;15000000;30000000
"""
MAPPING = """
table = "blocks"
separator = ";"
[columns]
number = "height"
ts = "when"
base_fee_wei = "fee"
gas_used = "used"
gas_limit = "limit"
[units]
base_fee_wei = "gwei"
[constants]
chain = "ethereum"
[time]
unit = "text"
format = "%Y-%m-%d %H:%M:%S"
zone = "UTC"
"""


def given(folder: Path, mapping: str = MAPPING, content: str = FEES) -> list[Chunk]:
    (folder / "map.toml").write_text(mapping)
    (folder / "fees.csv").write_text(content)
    return list(read(folder / "fees.csv", Options(mapping=folder / "map.toml")))


def test_a_csv_becomes_canonical_in_names_units_and_zone(tmp_path: Path) -> None:
    (chunk,) = given(tmp_path)
    assert chunk.table == "blocks"
    assert chunk.frame.sort("number").select("chain", "number", "ts", "base_fee_wei", "gas_limit").row(0) == (
        "ethereum",
        1000,
        datetime(2024, 2, 1, tzinfo=UTC),
        10_500_000_000,
        30_000_000,
    )
    assert bring_in(tmp_path / "lake", iter([chunk])) == {"blocks": Appended(new=2)}


def test_local_times_are_moved_to_utc(tmp_path: Path) -> None:
    (chunk,) = given(tmp_path, MAPPING.replace('zone = "UTC"', 'zone = "Europe/Berlin"'))
    assert chunk.frame["ts"][0] == datetime(2024, 1, 31, 23, tzinfo=UTC)


def test_an_hour_that_the_clocks_repeat_is_an_error(tmp_path: Path) -> None:
    content = FEES.replace("2024-02-01 00:00", "2024-10-27 02:30")
    with pytest.raises(DataError, match="ambiguous"):
        given(tmp_path, MAPPING.replace('zone = "UTC"', 'zone = "Europe/Berlin"'), content)


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"time\.zone"):
        given(tmp_path, MAPPING.replace('zone = "UTC"', ""))


@pytest.mark.parametrize(
    ("unit", "number"),
    [("s", "1706745600"), ("s", "1706745600.0"),
     ("ms", "1706745600000"), ("us", "1706745600000000"), ("ns", "1706745600000000000")],
)  # fmt: skip
def test_numbers_since_1970_are_read_in_their_unit(tmp_path: Path, unit: str, number: str) -> None:
    mapping = MAPPING.partition("[time]")[0] + f'[time]\nunit = "{unit}"\n'
    (chunk,) = given(tmp_path, mapping, f"height;when;fee;used;limit\n1000;{number};10;15000000;30000000\n")
    assert chunk.frame["ts"].to_list() == [datetime(2024, 2, 1, tzinfo=UTC)]


def test_bars_that_are_named_by_their_close_are_moved_to_their_open(tmp_path: Path) -> None:
    bars(3).write_parquet(tmp_path / "b.parquet")
    (tmp_path / "map.toml").write_text('table = "bars"\n[time]\nlabel = "close"\n')
    (chunk,) = read(tmp_path / "b.parquet", Options(mapping=tmp_path / "map.toml"))
    assert chunk.frame["ts"].to_list() == bars(3)["ts"].dt.offset_by("-1h").to_list()


def test_a_fraction_where_a_whole_number_belongs_is_set_aside(tmp_path: Path) -> None:
    chunks = given(tmp_path, content=FEES.replace("12;11;15000000", "12;11;15000000.5"))
    assert bring_in(tmp_path / "lake", iter(chunks)) == {"blocks": Appended(new=1, broken=1)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('table = "blocks"', 'table = "block"'), "a canonical table"),
        (("[units]", "[unit]"), "unknown unit"),
        (('gas_used = "used"', 'gas = "used"'), "columns of blocks"),
        (('chain = "ethereum"', 'chain = "ethereum"\nnumber = 5'), "number twice"),
        (('"gwei"', '"dollar"'), "one of wei, gwei, ether"),
        (('zone = "UTC"', 'zone = "UTC"\nlabel = "close"'), "only for bars"),
        (('unit = "text"', 'unit = "minutes"'), "minutes"),
    ],
)
def test_a_mapping_that_cannot_hold_is_refused_with_its_reason(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        given(tmp_path, MAPPING.replace(*change))


def test_a_column_that_the_file_lacks_is_named_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column used \(there are height, when, fee, gas, limit"):
        given(tmp_path, content=FEES.replace("used", "gas"))


def test_words_where_numbers_belong_are_one_message(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="many"):
        given(tmp_path, content=FEES.replace(";11;", ";many;"))
