"""Fits that are killed, and fits of several processes, as real commands."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from training.cli import fit_network
from training.tracking import Store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
PATIENCE_S = 600


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, here and in the processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@contextmanager
def started(config: Path, *options: str) -> "Iterator[subprocess.Popen[str]]":
    """`shaper train fit` in a process of its own, which does not outlive the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.cli", "train", "fit", "--config", str(config), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def last(runs: Path) -> dict[str, Any]:
    """The last checkpoint of a run."""
    return dict(torch.load(runs / "small" / "checkpoints" / "last.ckpt", weights_only=True))


def test_a_run_that_was_killed_loses_no_epoch(history: Path, config: Path, tmp_path: Path) -> None:
    told = (
        f"--data.history={history}",
        "--trainer.max_epochs=6",
        "--early_stopping.patience=99",
        "--data.batch.size=8",
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    fit_network(config, (*told, f"--run.folder={whole}"))
    with started(config, *told, f"--run.folder={killed}") as process:
        deadline = time.monotonic() + PATIENCE_S
        while not (killed / "small" / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait(PATIENCE_S) == -signal.SIGKILL, "it was to be killed before it ended"
    assert last(killed)["epoch"] < 5
    fit_network(config, (*told, f"--run.folder={killed}", "--ckpt_path=last"))
    assert last(killed)["epoch"] == last(whole)["epoch"] == 5
    assert last(killed)["global_step"] == last(whole)["global_step"]
    for name, value in last(whole)["state_dict"].items():
        assert torch.equal(last(killed)["state_dict"][name], value), name


def test_two_processes_fit_one_run(history: Path, config: Path, tmp_path: Path) -> None:
    told = (f"--data.history={history}", "--trainer.max_epochs=2")
    tracked = (f"--run.folder={tmp_path / 'two'}", "--run.track=true", f"--run.store={tmp_path / 'store'}")
    together = ("--trainer.strategy=ddp", "--trainer.devices=2", "--trainer.accelerator=cpu")
    with started(config, *told, *tracked, *together) as process:
        said, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, said
    fit_network(config, (*told, f"--run.folder={tmp_path / 'one'}"))
    assert {path.name for path in (tmp_path / "two" / "small").iterdir()} >= {"model.pt", "metrics.json", "test.npz"}
    assert len(Store(tmp_path / "store").records("small")) == 1
    steps = last(tmp_path / "one")["global_step"]
    assert steps / 2 <= last(tmp_path / "two")["global_step"] <= steps / 2 + 2
