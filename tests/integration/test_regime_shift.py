"""The bundled champion in a simulated world that changes for good: coverage comes back, and persistence is never better."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data.history import History
from data.panel import following
from serving import cli
from serving.inference import artefact_folder
from training import forecasting
from training.artefact import Artefact
from training.metrics import pinball


@pytest.mark.integration
def test_bands_hold_again_a_day_after_a_regime_shift_and_persistence_is_never_better(tmp_path: Path) -> None:
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
        value = rows.column(target.value)
        for name, part in (("before", slice(None, after)), ("after", slice(after, None))):
            found = skill(value, issued.quantiles[:, :, place], contract.levels, part)
            print(f"{target.name} {name}: skill {found:.3f} against persistence that knows its errors beforehand")
            assert found > 0, (target.name, name)


def skill(value: NDArray[np.float64], quantiles: NDArray[np.float32], levels: tuple[float, ...], part: slice) -> float:
    """Against persistence with the quantiles of its own errors over the whole world, the part that is scored included."""
    ahead = following(value, quantiles.shape[1])
    reference = value[:, None, None] + np.nanquantile(ahead - value[:, None], levels, axis=0).T
    ours, theirs = (pinball(ahead, one, levels)[part] for one in (quantiles.astype(np.float64), reference))
    known = np.isfinite(ours) & np.isfinite(theirs)
    return float(1 - ours[known].sum() / theirs[known].sum())
