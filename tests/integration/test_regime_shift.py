"""Coverage comes back within a day after the simulated world has changed for good."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from data.contract import MODEL_FILE, Online, read_contract
from data.history import History
from data.panel import following
from serving import cli
from serving.inference import artefact_folder
from training import forecasting
from training.artefact import Artefact, write
from training.stage import with_calibration


@pytest.mark.integration
def test_bands_hold_again_a_day_after_a_regime_shift(tmp_path: Path) -> None:
    world = tmp_path / "world"
    assert cli.main(["data", "simulate", "regime-shift", "--days", "7", "--seed", "5", "--out", str(world)]) == 0
    bundled = artefact_folder(None, "panel")
    contract = read_contract(bundled)
    rates = Online((0.003, 0.003), (800, 800), recent_ticks=72, usual_ticks=2880)
    contract = msgspec.structs.replace(
        contract, calibration=msgspec.structs.replace(contract.calibration, online=rates)
    )
    offsets = np.zeros((len(contract.horizons), len(contract.targets), len(contract.levels)), np.float32)
    write(tmp_path / "made", with_calibration((bundled / MODEL_FILE).read_bytes(), contract, offsets), contract, "")
    history = History.open(world)
    issued = forecasting.issue(Artefact.open(tmp_path / "made"), history)
    rows = forecasting.panel.build(history, contract.panel, contract.feature_names)
    after = int((issued.ticks >= issued.ticks[0] + 4 * 86_400).argmax())  # it begins on the third day
    for place, target in enumerate(contract.targets):
        ahead = following(rows.column(target.value), contract.horizons[-1])[after:]
        bands = issued.quantiles[after:, :, place]
        held = (ahead >= bands[..., 0]) & (ahead <= bands[..., -1])
        coverage = float(held[np.isfinite(ahead)].mean())
        print(f"{target.name}: {coverage:.3f} from a day after the shift on")
        assert 0.86 < coverage < 0.95, target.name
