"""An artefact at work: one window in, one forecast out.

Decided here: which artefacts are refused (a contract of another model, a graph that does not load or answers in other shapes),
which answers of a model are discarded, and how long a forecast may be used.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.contract import MODEL_FILE, Contract, read_contract, require_pair
from data.errors import DataError, UsageError
from data.online import NEXT_STATE, STATE, Layout
from shaper.forecast import Forecast, ForecastError

INPUT, OUTPUTS = "window", ("quantiles", "spike")
BUNDLED = Path(__file__).parent / "bundled"


def artefact_folder(artefact: str | None, task: str, bundled: Path = BUNDLED) -> Path:
    """The folder named, or that of the bundled champion of a task. Raises UsageError when no champion has the task."""
    if artefact is not None:
        return Path(artefact)
    tasks = (
        sorted(p.name for p in bundled.iterdir() if p.is_dir() and not p.name.startswith(("_", ".")))
        if bundled.is_dir()
        else []
    )
    if task not in tasks:
        raise UsageError(
            "model.task",
            expected=f"one of the bundled tasks {tasks}" if tasks else "model.artefact, for no model is bundled",
            found=repr(task),
            remedy="name an artefact's folder as model.artefact",
        )
    return bundled / task


@dataclass(frozen=True)
class Answer:
    """Quantiles (horizon, target, level), spike probabilities (horizon, target), and the next state (1, size) if any."""

    quantiles: NDArray[np.float32]
    spike: NDArray[np.float32]
    state: NDArray[np.float32] | None


@dataclass(frozen=True)
class Forecaster:
    """A loaded artefact: its contract and the session that runs its graph on one thread."""

    contract: Contract
    session: Any
    origin: str = "champion"

    @classmethod
    def open(cls, folder: Path) -> "Forecaster":
        """Load an artefact and run it once. Raises DataError when its parts are missing, damaged or do not belong together."""
        contract = read_contract(folder)
        path = folder / MODEL_FILE
        session = load(path)
        require_pair(contract, session.get_modelmeta().custom_metadata_map, path)
        loaded = cls(contract, session)
        loaded.require_shapes(path)
        return loaded

    def run(self, window: NDArray[np.float32], state: NDArray[np.float32] | None = None) -> Answer:
        """What the graph says to one window (context, features) and to the state (1, size) where it has a memory."""
        if self.contract.online is None:
            quantiles, spike = self.session.run(OUTPUTS, {INPUT: window[np.newaxis]})
            return Answer(quantiles[0], spike[0], None)
        remembered = Layout.of(self.contract).blank() if state is None else state
        asked = {INPUT: window[np.newaxis], STATE: remembered}
        quantiles, spike, after = self.session.run((*OUTPUTS, NEXT_STATE), asked)
        return Answer(quantiles[0], spike[0], after)

    def require_shapes(self, path: Path) -> None:
        """Raise DataError unless the graph reads and answers what the contract says, tried on a window of unknowns."""
        contract = self.contract
        window = np.full((contract.context, len(contract.features)), np.nan, np.float32)
        horizons, targets, levels = len(contract.horizons), len(contract.targets), len(contract.levels)
        try:
            answer = self.run(window)
        except Exception as error:  # onnxruntime raises a family of its own, which shares no public ancestor
            raise unusable(path, "one that runs on the contract's window", first_line(error)) from error
        found = (answer.quantiles.shape, answer.spike.shape)
        if found != ((horizons, targets, levels), (horizons, targets)):
            raise unusable(
                path, f"answers {(horizons, targets, levels)} and {(horizons, targets)}", f"{found[0]} and {found[1]}"
            )
        if answer.state is not None and answer.state.shape != (1, Layout.of(contract).size):
            raise unusable(path, f"a next state of {Layout.of(contract).size} numbers", str(answer.state.shape))

    def forecast(self, window: NDArray[np.float32], issued_at_s: float) -> Forecast:
        """The forecast for a window, without any memory; see `told`."""
        return self.told(self.run(window), issued_at_s)

    def told(self, answer: Answer, issued_at_s: float) -> Forecast:
        """The forecast of a tick that ended at `issued_at_s` (seconds since 1970), usable until its last horizon.

        Raises ForecastError when the model answers what cannot be a forecast (not finite, quantiles out of order).
        """
        quantiles, spike = answer.quantiles, answer.spike
        if not (np.isfinite(quantiles).all() and np.isfinite(spike).all()):
            raise ForecastError(
                "expected finite quantiles and probabilities; found NaN or infinity; the answer is discarded"
            )
        contract = self.contract
        return Forecast(
            issued_at_s=issued_at_s,
            valid_until_s=issued_at_s + contract.horizons[-1] * contract.panel.tick_s,
            tick_s=contract.panel.tick_s,
            origin=self.origin,
            contract_digest=contract.digest,
            targets=tuple(target.name for target in contract.targets),
            horizons=contract.horizons,
            levels=contract.levels,
            quantiles=nested(quantiles.transpose(1, 0, 2)),
            spike=nested(spike.transpose(1, 0)),
        )

    def blind_targets(self, window: NDArray[np.float32], max_blind_ticks: int) -> tuple[str, ...]:
        """Targets none of whose values is known in the newest ticks of a window."""
        columns = self.contract.feature_names
        newest = window[-max_blind_ticks:]
        return tuple(t.name for t in self.contract.targets if np.isnan(newest[:, columns.index(t.value)]).all())


def load(path: Path) -> Any:
    """A session on one thread. Raises DataError when the file is missing or is no graph that the runtime knows."""
    import onnxruntime  # a quarter of a second that `shaper serve --help` need not spend

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised; the runtime need not print it as well
    if not path.is_file():
        raise unusable(path, "an ONNX file", "none")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a family of its own, which shares no public ancestor
        raise unusable(path, "a whole ONNX file", first_line(error)) from error


def unusable(path: Path, expected: str, found: str) -> DataError:
    """The error of a graph that cannot be served."""
    return DataError(str(path), expected=expected, found=found, remedy="export the model again")


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def nested(array: NDArray[np.float32]) -> Any:
    """Nested tuples of floats, as deep as the array."""
    return tuple(nested(part) for part in array) if array.ndim > 1 else tuple(float(value) for value in array)
