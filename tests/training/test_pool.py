"""One model over several markets: their windows are fitted on together."""

from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import UsageError
from training.cli import fit_network
from training.datamodule import PanelData, Windows
from training.settings import PanelSettings, PoolSettings, SplitSettings

PANEL = PanelSettings(tick_s=900, context=6, horizons=(1, 2, 3), levels=(0.05, 0.25, 0.5, 0.75, 0.95))
SPLIT = SplitSettings(until="2024-01-10", validation_days=2.5, calibration_days=2.5)
SWAPPED = PoolSettings(roles={"eth": ["BTC-PERP"], "btc": ["ETH-PERP"]})


@pytest.fixture(scope="module")
def data(history: Path) -> PanelData:
    return PanelData(history, PANEL, SPLIT, pool=(SWAPPED,))


def test_a_pool_adds_windows_in_which_the_markets_have_changed_places(data: PanelData) -> None:
    windows = data.train_dataloader().dataset
    assert isinstance(windows, Windows)
    own = len(data.prepared.trainable(data.prepared.split.fit))
    assert len(windows) == 2 * own
    names = data.prepared.rows.names
    eth, btc = names.index("eth_log_volatility"), names.index("btc_log_volatility")
    both = windows.__getitems__([own + 40, 40]).window
    assert torch.equal(both[0, :, eth], both[1, :, btc])
    assert torch.equal(both[0, :, btc], both[1, :, eth])
    assert not torch.equal(both[0, :, eth], both[1, :, eth])


def test_nothing_is_pooled_into_validation(data: PanelData) -> None:
    own = PanelData(data.history, PANEL, SPLIT)
    for ours, theirs in zip(data.val_dataloader(), own.val_dataloader(), strict=True):
        np.testing.assert_array_equal(ours.window, theirs.window)


def test_roles_that_the_panel_has_not_are_refused(history: Path) -> None:
    data = PanelData(history, PANEL, SPLIT, pool=(PoolSettings(roles={"sol": ["BTC-PERP"]}),))
    with pytest.raises(UsageError, match=r"the roles \['btc', 'eth'\]"):
        data.train_dataloader()


def test_a_pool_is_a_key_of_the_configuration(history: Path, config: Path, tmp_path: Path) -> None:
    pool = "--data.pool=[{roles: {eth: [BTC-PERP], btc: [ETH-PERP]}}]"
    fit_network(config, (f"--data.history={history}", f"--run.folder={tmp_path}", pool, "--trainer.max_epochs=1"))
    plain = torch.load(tmp_path / "small" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    rows = len(PanelData(history, PANEL, SPLIT).train_dataloader().dataset)
    assert plain == -(-2 * rows // 64)
