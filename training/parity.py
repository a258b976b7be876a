"""Whether an ONNX graph says the same as the model it was made from: asked before an export, on windows with holes too.

Decided here: which windows are asked and how far apart answers may be.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError
from training.artefact import run

Answer = tuple[NDArray[np.float32], NDArray[np.float32]]

TOLERANCE = 1e-4
LARGEST = 64
HOLES = 0.2  # share of values made unknown in the windows with holes


def probes(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Up to 64 of the windows as they are, with random holes, with an unknown last row, and one with nothing known at all.

    Raises ValueError without any window.
    """
    if not len(windows):
        raise ValueError("expected at least one sample window, found none")
    chosen = np.array(windows[:: max(len(windows) // LARGEST, 1)][:LARGEST], np.float32)
    holed, late = chosen.copy(), chosen.copy()
    holed[np.random.default_rng(0).random(holed.shape) < HOLES] = np.nan
    late[:, -1] = np.nan
    return np.concatenate([chosen, holed, late, np.full_like(chosen[:1], np.nan)])


def require_parity(
    session: Any, reference: Callable[[NDArray[np.float32]], Answer], asked: NDArray[np.float32]
) -> float:
    """Largest |onnx − reference| / max(1, |reference|) over the answers to windows `asked`.

    Raises DataError when it is above TOLERANCE or an answer is not finite.
    """
    worst = 0.0
    for name, wanted, found in zip(("quantiles", "spike"), reference(asked), run(session, asked), strict=True):
        distance = np.abs(found.astype(np.float64) - wanted) / np.maximum(1, np.abs(wanted))
        worst = max(worst, float(np.max(distance, initial=0)) if np.isfinite(distance).all() else np.inf)
        if worst > TOLERANCE:
            raise DataError(
                f"export ({name})",
                expected=f"an ONNX graph that answers as the model does, within {TOLERANCE:g}",
                found=f"a distance of {worst:.2g}" if np.isfinite(worst) else "an answer that is not finite",
                remedy="nothing was exported; train again, or check the history for absurd values",
            )
    return worst
