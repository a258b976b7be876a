import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from data.errors import DataError, UsageError
from data.history import History
from data.imports import canonical, ccxt, cryo, freqtrade
from data.imports.candles import interval_s, market
from data.imports.chunk import Options, pieces
from data.imports.formats import FORMATS, bring_in, inputs
from data.lake.append import Appended, append
from tests.data.lake.frames import bars, blocks

OPEN_MS = 1_706_745_600_000  # 2024-02-01 00:00 UTC
CANDLES = [[OPEN_MS + 300_000 * step, 100, 101.5, "99.5", 100.25, 7] for step in range(3)]


def the(chunks: object) -> pl.DataFrame:
    (chunk,) = chunks  # type: ignore[misc]
    return chunk.frame


@pytest.mark.parametrize(
    ("pair", "name"),
    [("ETH/USDT:USDT", "ETH-PERP"), ("eth/usdt", "ETH-SPOT"), ("BTC/USD:BTC", "BTC-PERP"), ("ETH-PERP", "ETH-PERP")],
)
def test_markets_get_the_names_that_panels_look_for(pair: str, name: str) -> None:
    assert market(pair) == name


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("1h", 3600), ("1d", 86400), ("1w", 604800)])
def test_time_frames_are_seconds(text: str, seconds: int) -> None:
    assert interval_s(text) == seconds


@pytest.mark.parametrize("text", ["1M", "5", "m", "0m", "1.5h", ""])
def test_time_frames_without_a_length_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a number and one of"):
        interval_s(text)


def test_ccxt_arrays_become_bars_with_their_usual_step(tmp_path: Path) -> None:
    path = tmp_path / "eth.json"
    path.write_text(json.dumps(CANDLES))
    frame = the(ccxt.read(path, Options(symbol="ETH/USDT:USDT")))
    assert frame.row(1) == ("ETH-PERP", datetime(2024, 2, 1, 0, 5, tzinfo=UTC), 300, 100.0, 101.5, 99.5, 100.25, 7.0)


def test_ccxt_without_a_symbol_asks_for_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--symbol"):
        list(ccxt.read(tmp_path / "eth.json", Options()))


@pytest.mark.parametrize("content", [b"[[1,2,3]]", b"[[1706745600000, 1, 2", b"{}", b'[["x", 1, 1, 1, 1, 1]]', b""])
def test_ccxt_files_that_are_cut_or_foreign_are_one_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "eth.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match="expected a JSON array of"):
        list(ccxt.read(path, Options(symbol="ETH-PERP")))


def freqtrade_frame() -> pl.DataFrame:
    rows = [[float(value) for value in row] for row in CANDLES]
    frame = pl.DataFrame(rows, schema=["date", "open", "high", "low", "close", "volume"], orient="row")
    return frame.with_columns(pl.col("date").cast(pl.Int64).cast(pl.Datetime("ms", "UTC")))


@pytest.mark.parametrize("suffix", ["feather", "parquet", "json", "json.gz"])
def test_freqtrade_candles_are_equal_in_every_container(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ETH_USDT_USDT-5m-futures.{suffix}"
    if suffix == "feather":
        freqtrade_frame().write_ipc(path, compression="lz4")
    elif suffix == "parquet":
        freqtrade_frame().write_parquet(path)
    else:
        content = json.dumps(CANDLES).encode()
        path.write_bytes(gzip.compress(content) if suffix == "json.gz" else content)
    frame = the(freqtrade.read(path, Options()))
    assert frame["symbol"].unique().to_list() == ["ETH-PERP"]
    assert frame["interval_s"].unique().to_list() == [300]
    assert frame["ts"].to_list() == [datetime(2024, 2, 1, 0, 5 * step, tzinfo=UTC) for step in range(3)]
    assert frame["low"].to_list() == [99.5, 99.5, 99.5]


def test_freqtrade_spot_candles_are_spot(tmp_path: Path) -> None:
    path = tmp_path / "ETH_USDT-5m.feather"
    freqtrade_frame().write_ipc(path)
    assert the(freqtrade.read(path, Options()))["symbol"].unique().to_list() == ["ETH-SPOT"]


def test_freqtrade_funding_rates_become_funding(tmp_path: Path) -> None:
    path = tmp_path / "ETH_USDT_USDT-8h-funding_rate.feather"
    freqtrade_frame().with_columns(open=pl.lit(0.0001)).write_ipc(path)
    (chunk,) = freqtrade.read(path, Options())
    assert chunk.table == "funding"
    assert chunk.frame["rate"].to_list() == [0.0001] * 3


@pytest.mark.parametrize("name", ["ETH_USDT_USDT-1h-mark.feather", "ETH_USDT-trades.feather", "eth.feather"])
def test_freqtrade_files_that_hold_something_else_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="expected a name such as"):
        list(freqtrade.read(tmp_path / name, Options()))


def test_a_truncated_feather_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "ETH_USDT-5m.feather"
    freqtrade_frame().write_ipc(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="fetch the file again"):
        list(freqtrade.read(path, Options()))


def cryo_file(folder: Path, name: str = "ethereum__blocks__00001000_to_00001002.parquet") -> Path:
    frame = pl.DataFrame(
        {
            "block_hash": [b"a", b"b", b"c"],
            "block_number": pl.Series([1000, 1001, 1002], dtype=pl.UInt32),
            "timestamp": pl.Series([1_706_745_600 + 12 * step for step in range(3)], dtype=pl.UInt32),
            "gas_used": pl.Series([15_000_000] * 3, dtype=pl.UInt64),
            "base_fee_per_gas": pl.Series([10_000_000_000] * 3, dtype=pl.UInt64),
            "chain_id": pl.Series([1] * 3, dtype=pl.UInt64),
        }
    )
    frame.write_parquet(folder / name)
    return folder / name


def test_cryo_blocks_take_the_chain_from_the_name(tmp_path: Path) -> None:
    frame = the(cryo.read(cryo_file(tmp_path), Options(gas_limit=30_000_000)))
    at = datetime(2024, 2, 1, 0, 0, 12, tzinfo=UTC)
    assert frame.row(1) == ("ethereum", 1001, at, 10_000_000_000, 15_000_000, 30_000_000)


def test_cryo_blocks_with_another_name_take_the_chain_id(tmp_path: Path) -> None:
    frame = the(cryo.read(cryo_file(tmp_path, "blocks.parquet"), Options(gas_limit=30_000_000)))
    assert frame["chain"].unique().to_list() == ["1"]


def test_cryo_blocks_without_a_gas_limit_ask_for_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--gas-limit"):
        list(cryo.read(cryo_file(tmp_path), Options()))


def test_a_foreign_parquet_is_named_by_its_missing_columns(tmp_path: Path) -> None:
    bars(3).write_parquet(tmp_path / "x__blocks__1.parquet")
    with pytest.raises(DataError, match="no column block_number"):
        list(cryo.read(tmp_path / "x__blocks__1.parquet", Options(gas_limit=1)))


def test_a_lake_can_be_brought_into_another_with_its_origins(tmp_path: Path) -> None:
    append(tmp_path / "a", "bars", bars(5), "archive")
    append(tmp_path / "a", "bars", bars(9), "rest")
    append(tmp_path / "a", "blocks", blocks(5), "node")
    done = bring_in(tmp_path / "b", canonical.read(tmp_path / "a", Options()))
    assert done == {"bars": Appended(new=9), "blocks": Appended(new=5)}
    assert History.open(tmp_path / "b").digest() == History.open(tmp_path / "a").digest()
    again = pl.read_parquet(tmp_path / "b" / "bars" / "**/*.parquet").sort("ts")
    assert again["origin"].to_list() == ["archive"] * 5 + ["rest"] * 4


def test_a_single_table_can_be_brought_in(tmp_path: Path) -> None:
    bars(5).write_parquet(tmp_path / "bars.parquet")
    done = bring_in(tmp_path / "lake", canonical.read(tmp_path / "bars.parquet", Options()))
    assert done == {"bars": Appended(new=5)}


def test_a_folder_gives_the_files_of_the_format(tmp_path: Path) -> None:
    first = cryo_file(tmp_path, "ethereum__blocks__1.parquet")
    cryo_file(tmp_path, "ethereum__transactions__1.parquet")
    assert inputs(FORMATS["cryo"], [tmp_path]) == [first]


def test_a_folder_without_such_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\*blocks__\*\.parquet"):
        inputs(FORMATS["cryo"], [tmp_path])


def test_large_files_come_in_pieces_of_bounded_size_and_in_order(tmp_path: Path) -> None:
    pl.DataFrame({"x": range(1000)}).write_parquet(tmp_path / "x.parquet")
    got = list(pieces(pl.scan_parquet(tmp_path / "x.parquet"), tmp_path, rows=300))
    assert max(piece.height for piece in got) <= 300
    assert pl.concat(got)["x"].to_list() == list(range(1000))
