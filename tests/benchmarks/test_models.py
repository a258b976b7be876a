"""What a training step, its loading and one forecast cost, beside comparable networks of other libraries in the same run.

A window is counted once for each target that is forecast from it: ours answers two at once, with their spikes, where
neuralforecast trains on one series a window. Only its TCN reads as many columns as ours, so the others are printed alone.
"""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import lightning.pytorch
import numpy as np
import polars as pl
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from data.history import write_table
from tests.benchmarks.peers import BATCH, TARGETS, clock, quickest, step_s
from tests.training.conftest import bars, blocks
from training.artefact import Artefact, run
from training.cli import quiet
from training.datamodule import PanelData
from training.export import export
from training.module import ForecastModule
from training.settings import BatchSettings, PanelSettings, SplitSettings

pytestmark = pytest.mark.benchmark
OURS: dict[str, dict[str, int | float]] = {
    "tcn": {"channels": 32},
    "patch": {"channels": 32, "depth": 2, "heads": 4, "patch": 6},
    "mixer": {"channels": 32},
    "linear": {},
}
EPOCHS = 6


def peer(library: str) -> dict[str, dict[str, float]]:
    """What another library takes, from a process of its own; skips where it is not installed, and fails in CI."""
    if importlib.util.find_spec(library) is None:
        absent = pytest.fail if os.environ.get("CI") else pytest.skip
        absent(f"{library} is not installed: pip install -e '.[benchmark]'")
    command = [sys.executable, "-m", "tests.benchmarks.peers", library]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PanelData:
    """The panel of task A on eleven days that were made up."""
    folder = tmp_path_factory.mktemp("history")
    write_table(folder, "bars", pl.concat([bars("ETH-PERP", 1), bars("BTC-PERP", 5)]))
    write_table(folder, "blocks", blocks())
    split = SplitSettings(until="2024-01-11", validation_days=1, calibration_days=1)
    return PanelData(folder, PanelSettings(), split, BatchSettings(BATCH))


@pytest.fixture(scope="module")
def fitted(data: PanelData) -> dict[str, tuple[ForecastModule, float]]:
    """Each architecture after a short fit on one thread, and CPU seconds a step."""
    threads, found = torch.get_num_threads(), {}
    torch.set_num_threads(1)
    try:
        for name, options in OURS.items():
            seed_everything(1, verbose=False)
            at: list[float] = []
            module = ForecastModule(name, options)
            with quiet():
                Trainer(
                    max_epochs=EPOCHS,
                    accelerator="cpu",
                    logger=False,
                    enable_checkpointing=False,
                    enable_progress_bar=False,
                    enable_model_summary=False,
                    limit_val_batches=0,
                    callbacks=[clock(lightning.pytorch.Callback, at)],
                ).fit(module, datamodule=data)
            found[name] = (module, step_s(at))
    finally:
        torch.set_num_threads(threads)
    return found


def test_loading_takes_under_a_tenth_of_a_step(
    data: PanelData, fitted: dict[str, tuple[ForecastModule, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    loader = data.train_dataloader()
    begun, batches = time.process_time(), 0
    for _ in range(5):
        batches += sum(1 for _ in loader)
    loading_s = (time.process_time() - begun) / batches
    with capsys.disabled():
        for name, (_, step) in fitted.items():
            print(
                f"\n  {name:8} step {step * 1e3:6.1f} ms, loading {loading_s * 1e3:.2f} ms: {loading_s / step:.1%}",
                end="",
            )
    assert loading_s < 0.1 * min(fitted[name][1] for name in ("tcn", "patch", "mixer"))


def test_windows_a_second_against_neuralforecast_and_one_forecast_against_both_peers(
    fitted: dict[str, tuple[ForecastModule, float]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    peers, graphs = peer("neuralforecast"), peer("darts")
    bundle = fitted["tcn"][0].bundle()
    export(bundle.served, bundle.contract, tmp_path / "tcn", bundle.samples)
    artefact, window = Artefact.open(tmp_path / "tcn"), np.array(bundle.samples[:1])
    answer_s = quickest(lambda: artefact.forecast(window), 300)
    graph_s = quickest(lambda: run(artefact.session, window), 300)
    ours = {name: BATCH * TARGETS / fitted[name][1] for name in peers}
    theirs = {name: BATCH / found["step_s"] for name, found in peers.items()}
    with capsys.disabled():
        for name in peers:
            rates = f"{ours[name]:.0f} windows a CPU second, neuralforecast {theirs[name]:.0f}"
            print(f"\n  {name:8} {rates}: {ours[name] / theirs[name]:.1f} times", end="")
        longer, darts_s = peers["tcn"]["forecast_s"] / answer_s, graphs["tcn"]["forecast_s"]
        print(f"\n  one forecast {answer_s * 1e6:.0f} µs, neuralforecast {longer:.0f} times as long")
        print(f"  the graph {graph_s * 1e6:.0f} µs, the graph of darts {darts_s * 1e6:.0f} µs")
    assert ours["tcn"] > 3 * theirs["tcn"]
    assert longer > 20
    assert graph_s < 2.5 * darts_s
