"""How well onsets can be foreseen: the measure itself, and the simulated world held against recorded history by it."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from data.environment import history_folder
from data.history import History
from data.world.generate import generate
from training.foreseeing import PANEL, Foreseen, foresee, out_of_fold, stretches


def test_no_day_is_judged_by_a_model_that_saw_it_or_its_neighbours() -> None:
    days = np.repeat(np.arange(100, 130), 3)
    judged = np.zeros(len(days), int)
    for others, own in stretches(days, 5):
        judged += own
        assert np.abs(days[others][:, None] - days[own][None, :]).min() == 2
    assert (judged == 1).all()


def test_a_spike_that_a_feature_tells_is_foreseen_and_noise_is_not() -> None:
    draws = np.random.default_rng(1)
    days = np.repeat(np.arange(30), 200)
    matrix = draws.standard_normal((len(days), 3)).astype(np.float32)
    matrix[:, 2] = np.nan
    positive = matrix[:, 0] > 1.5
    told = out_of_fold(matrix, positive, days, 5)
    assert told[positive].min() > told[~positive].max() - 0.5
    assert told[positive].mean() > 0.8
    blind = out_of_fold(matrix[:, 1:], positive, days, 5)
    assert blind[positive].mean() < 0.2


def found(history: History) -> dict[str, Foreseen]:
    return {one.target: one for one in foresee(history, PANEL)}


@pytest.mark.integration
@pytest.mark.history
@pytest.mark.timeout(900)
def test_the_world_is_about_as_hard_to_foresee_as_history(capsys: pytest.CaptureFixture[str]) -> None:
    folder = history_folder()
    if folder is None:
        pytest.skip("SHAPER_HISTORY names no folder of recorded history")
    recorded = History.open(folder)
    first, last = recorded.scan("blocks").select(a=pl.col("ts").min(), b=pl.col("ts").max()).collect().row(0)
    bars = recorded.scan("bars").filter(pl.col("ts") >= first).collect()
    real = found(History.of({"blocks": recorded.scan("blocks").collect(), "bars": bars}))
    days = (last - first) / timedelta(days=1)
    worlds = [generate(days, seed) for seed in (1, 2, 3, 4)]
    made = [found(History.of({name: world[name] for name in ("blocks", "bars")})) for world in worlds]
    for target, one in real.items():
        mean = float(np.mean([world[target].pr_auc for world in made]))
        with capsys.disabled():
            each = ", ".join(f"{world[target].pr_auc:.3f}" for world in made)
            print(f"\n{target}: PR-AUC {one.pr_auc:.3f} on history, {mean:.3f} on the world ({each})")
        # A fifth, and no less than what worlds that differ only by their seed show.
        assert 0.8 * one.pr_auc < mean < 1.25 * one.pr_auc
