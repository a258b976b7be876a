"""Whatever is wrong with what comes from outside: one message, exit status 1 or 2, and nothing half-written."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from serving import cli
from tests.serving import made

Break = Callable[[Path, Path], None]


def counts(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Break:
    def broken(_artefact: Path, history: Path) -> None:
        path = history / "request_counts.parquet"
        change(pl.read_parquet(path)).write_parquet(path)

    return broken


def bars(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Break:
    """A table of candles beside the orders, which the artefact reads as well."""

    def broken(_artefact: Path, history: Path) -> None:
        ts = [made.START + dt.timedelta(minutes=5 * place) for place in range(12)]
        prices = {name: [100.0 + place for place in range(12)] for name in ("open", "high", "low", "close")}
        frame = pl.DataFrame(
            {"symbol": ["ETH-PERP"] * 12, "ts": ts, "interval_s": [300] * 12, **prices, "volume": [1.0] * 12}
        )
        change(frame.with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC")))).write_parquet(history / "bars.parquet")

    return broken


def no_tables(_artefact: Path, history: Path) -> None:
    for path in history.iterdir():
        path.unlink()


def truncated(artefact: Path, _history: Path) -> None:
    path = artefact / "model.onnx"
    path.write_bytes(path.read_bytes()[:-100])


def of_another(artefact: Path, _history: Path) -> None:
    made.write_contract(made.contract("another"), artefact)


FAULTS: dict[str, tuple[Break, str]] = {
    "a missing column": (counts(lambda rows: rows.drop("count")), "count"),
    "a naive timestamp": (counts(lambda rows: rows.with_columns(pl.col("ts").dt.replace_time_zone(None))), "ts"),
    "an unsorted file": (counts(lambda rows: rows.reverse()), "order"),
    "a null": (counts(lambda rows: rows.with_columns(pl.lit(None, pl.Int64).alias("count"))), "count"),
    "an empty directory": (no_tables, "none of them"),
    "a truncated ONNX file": (truncated, "ONNX"),
    "a contract of another model": (of_another, "contract"),
}


@pytest.mark.parametrize(("broken", "named"), FAULTS.values(), ids=FAULTS.keys())
def test_forecast_says_what_is_wrong_and_writes_nothing(
    tmp_path: Path, broken: Break, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    artefact, history = made.write_artefact(tmp_path / "artefact"), made.write_history(tmp_path / "history")
    broken(artefact, history)
    words = ["--model", str(artefact), "--data", str(history), "--out", str(tmp_path / "out")]
    assert cli.main(["forecast", *words]) in (1, 2)
    message = capsys.readouterr().err
    assert named in message
    assert "expected" in message
    assert "found" in message
    assert len(message.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_nan_is_a_fault_that_check_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars(lambda rows: rows.with_columns(pl.lit(float("nan")).alias("high")))(tmp_path, tmp_path)
    assert cli.main(["data", "check", str(tmp_path)]) == 1
    assert "high" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["train", "replay", "serve"])
def test_an_unknown_configuration_key_is_a_usage_error(
    tmp_path: Path, command: str, history: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ("config.yaml" if command == "train" else "config.toml")
    if command == "train":
        path.write_text(config.read_text() + "unheard_of: 1\n")
        words = [
            "train",
            "fit",
            "--config",
            str(path),
            "--data.history",
            str(history),
            "--run.folder",
            str(tmp_path / "runs"),
        ]
    elif command == "replay":
        path.write_text("unheard_of = 1\nname = 'x'\n")
        words = ["replay", "--scenario", str(path), "--data", str(history), "--out", str(tmp_path / "out")]
    else:
        made.write_config(tmp_path).rename(path)
        path.write_text("unheard_of = 1\n" + path.read_text())
        words = ["serve", "--config", str(path)]
    assert status(words) == 2
    assert "unheard_of" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "out").exists()


def status(words: list[str]) -> int:
    """Exit status of a command, whichever way it ends."""
    try:
        return cli.main(words)
    except SystemExit as ended:
        return int(ended.code or 0)
