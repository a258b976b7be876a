"""From an empty folder to forecasts: history is pulled over the sources' own wire formats, checked, learnt from, exported."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from data.history import History
from data.world.generate import generate
from serving import cli
from tests.data.sources import world
from tests.data.sources.server import Server, serving

CONFIG = Path(__file__).parent.parent.parent / "training" / "configs" / "panel-linear.yaml"
RANGE = ("--since", "2024-01-01", "--until", "2024-01-10")
RPC = "/v3/secret"
DAYS, SEED = 9.25, 5  # of which the last quarter is not asked for: a node's newest blocks may still change


@pytest.fixture(scope="module")
def frames() -> dict[str, pl.DataFrame]:
    return generate(DAYS, SEED)


@pytest.fixture
def sources(frames: dict[str, pl.DataFrame]) -> Iterator[Server]:
    with serving() as server:
        world.publish(server, frames, RPC)
        yield server


def pull(*words: str) -> None:
    """Pull in a process of its own, as the server lives in this one."""
    words = ("data", "pull", *words)
    ran = subprocess.run([sys.executable, "-m", "serving.cli", *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{words}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"


@pytest.mark.integration
@pytest.mark.timeout(1200)
def test_two_pulls_from_an_empty_folder_make_a_history_that_a_model_is_trained_on(
    sources: Server, frames: dict[str, pl.DataFrame], tmp_path: Path
) -> None:
    lake, runs, artefact, out = (str(tmp_path / name) for name in ("lake", "runs", "artefact", "forecasts"))
    kinds = ("--kind", "klines", "--kind", "fundingRate", "--base-url", sources.url)
    pull("binance", "--symbol", "ETHUSDT", "--symbol", "BTCUSDT", *kinds, *RANGE, "--out", lake)
    pull("evm", "--rpc", sources.url + RPC, "--batch=500", *RANGE, "--out", lake)
    assert cli.main(["data", "check", lake]) == 0
    assert_pulled_whole(History.open(Path(lake)), frames)

    tiny = ["--trainer.max_epochs=2", "--run.track=false", f"--run.folder={runs}"]
    split = ["--data.split.until=2024-01-08", "--data.split.validation_days=1", "--data.split.calibration_days=1"]
    assert cli.main(["train", "fit", "--config", str(CONFIG), "--data.history", lake, *split, *tiny]) == 0
    assert cli.main(["export", str(Path(runs) / "panel-linear"), "--out", artefact]) == 0
    assert cli.main(["forecast", "--model", artefact, "--data", lake, "--since", "2024-01-09", "--out", out]) == 0
    issued = pl.read_parquet(Path(out) / "quantiles.parquet")
    assert issued.height > 0
    assert issued.null_count().sum_horizontal().item() == 0


def assert_pulled_whole(pulled: History, frames: dict[str, pl.DataFrame]) -> None:
    """What is in the lake is what was published: every bar, payment and block, to the bit."""
    told = ["symbol", "ts", "interval_s", "open", "high", "low", "close", "volume"]
    for table, columns in (("bars", told), ("funding", ["symbol", "ts", "rate"]), ("blocks", world.BLOCK)):
        published = frames[table].filter((pl.col("ts") < world.day(10)) | pl.lit(table == "funding"))
        assert pulled.scan(table).select(columns).collect().equals(published.select(columns)), table
