import argparse
import json
from pathlib import Path

import polars as pl
import pytest

from data.imports.commands import FORMATS, register
from data.imports.formats import FORMATS as REGISTERED
from tests.data.lake.frames import bars

CANDLE = [1_706_745_600_000, 100, 101, 99, 100, 7]


def call(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    options = parser.parse_args(["import", *argv])
    return int(options.run(options))


def test_the_options_name_every_format() -> None:
    assert set(FORMATS) == set(REGISTERED)


def test_an_import_says_what_became_of_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "eth.json").write_text(json.dumps([CANDLE]))
    argv = [
        "ccxt",
        str(tmp_path / "eth.json"),
        "--symbol",
        "ETH-PERP",
        "--interval",
        "5m",
        "--out",
        str(tmp_path / "lake"),
    ]
    assert call(*argv) == 0
    assert "bars: 1 new, 0 known, 0 conflicting, 0 broken" in capsys.readouterr().out
    assert call(*argv) == 0
    assert "bars: 0 new, 1 known" in capsys.readouterr().out


def test_rows_set_aside_end_it_with_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for close in (100.5, 100.25):
        bars(2).with_columns(close=pl.lit(close)).write_parquet(tmp_path / "bars.parquet")
        status = call("canonical", str(tmp_path / "bars.parquet"), "--out", str(tmp_path / "lake"))
    assert status == 1
    assert "2 rows were set aside" in capsys.readouterr().err
