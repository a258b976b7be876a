"""Coverage comes back within a day after the simulated world has changed for good."""

from pathlib import Path

import numpy as np
import pytest

from data.history import History
from data.panel import following
from serving import cli
from serving.inference import artefact_folder
from training import forecasting
from training.artefact import Artefact


@pytest.mark.integration
def test_bands_hold_again_a_day_after_a_regime_shift(tmp_path: Path) -> None:
    world = tmp_path / "world"
    assert cli.main(["data", "simulate", "regime-shift", "--days", "7", "--seed", "5", "--out", str(world)]) == 0
    artefact = Artefact.open(artefact_folder(None, "panel"))
    contract = artefact.contract
    history = History.open(world)
    issued = forecasting.issue(artefact, history)
    rows = forecasting.panel.build(history, contract.panel, contract.feature_names)
    after = int((issued.ticks >= issued.ticks[0] + 4 * 86_400).argmax())  # it begins on the third day
    for place, target in enumerate(contract.targets):
        ahead = following(rows.column(target.value), contract.horizons[-1])[after:]
        bands = issued.quantiles[after:, :, place]
        held = (ahead >= bands[..., 0]) & (ahead <= bands[..., -1])
        coverage = float(held[np.isfinite(ahead)].mean())
        print(f"{target.name}: {coverage:.3f} from a day after the shift on")
        assert 0.86 < coverage < 0.95, target.name
