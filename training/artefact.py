"""An artefact: a folder of `model.onnx`, `contract.json` and `card.md` that was made in one piece and is read in one piece.

Decided here: what is checked before a model may answer (the graph loads, names this contract, and has its signature), and that
a folder appears whole or not at all.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.contract import CARD_FILE, CONTRACT_FILE, MODEL_FILE, Contract, read_contract, require_pair, write_contract
from data.errors import DataError
from data.online import NEXT_STATE, STATE, Layout

INPUT, OUTPUTS = "window", ("quantiles", "spike")
BATCH = 512
MOST_STATE = 4_000_000  # numbers of state in a batch; a graph with a long memory is asked for fewer windows at a time
ORT_ERRORS_ONLY = 3


@dataclass(frozen=True)
class Artefact:
    """A contract and the ONNX Runtime session that keeps it."""

    folder: Path
    contract: Contract
    session: Any

    @staticmethod
    def open(folder: Path, threads: int = 1) -> "Artefact":
        """Read an artefact; DataError when a file is missing, garbled, or made for another contract."""
        contract = read_contract(folder)
        path = folder / MODEL_FILE
        if not path.is_file():
            raise DataError(
                str(folder),
                expected=f"an artefact: a folder with {MODEL_FILE} and {CONTRACT_FILE}",
                found=f"no {MODEL_FILE}",
                remedy="name the folder that `shaper export` wrote",
            )
        session = load(path.read_bytes(), path, threads)
        require_pair(contract, session.get_modelmeta().custom_metadata_map, path)
        require_signature(contract, session, path)
        return Artefact(folder, contract, session)

    def forecast(
        self, windows: NDArray[np.float32], batch: int = BATCH
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Quantiles (n, horizon, target, level) and spike probabilities (n, horizon, target) of windows (n, context, feature).

        Windows are in raw units, NaN where unknown; `batch` of them are made contiguous at a time. A graph with a memory
        answers from a blank one, as its offline calibration does; `training.forecasting` goes through time. Raises ValueError
        for windows of another shape.
        """
        contract = self.contract
        wanted = (contract.context, len(contract.features))
        if windows.ndim != 3 or windows.shape[1:] != wanted:
            raise ValueError(f"expected windows of shape (n, {wanted[0]}, {wanted[1]}), found {windows.shape}")
        size = (len(windows), len(contract.horizons), len(contract.targets))
        quantiles = np.empty((*size, len(contract.levels)), np.float32)
        spike = np.empty(size, np.float32)
        if contract.online is not None:
            batch = min(batch, max(MOST_STATE // Layout.of(contract).size, 1))
        for start in range(0, len(windows), batch):
            part = slice(start, start + batch)
            quantiles[part], spike[part] = run(self.session, windows[part])
        return quantiles, spike


def run(session: Any, windows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One call of a graph with a contract's signature; one with a memory is handed a blank one for each window."""
    asked = {INPUT: np.ascontiguousarray(windows, np.float32)}
    for node in session.get_inputs():
        if node.name == STATE:
            asked[STATE] = np.zeros((len(windows), node.shape[1]), np.float32)
    quantiles, spike = session.run(OUTPUTS, asked)
    return quantiles, spike


def load(model: bytes, where: Path, threads: int = 1) -> Any:
    """An ONNX Runtime session on `threads` threads; DataError when the bytes are no valid graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = ORT_ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each status of ONNX Runtime is an exception class of its own without a common parent
        raise DataError(
            str(where),
            expected="a whole ONNX file",
            found=f"{len(model)} bytes that ONNX Runtime cannot load ({first_line(error)})",
            remedy="export the model again",
        ) from error


def require_signature(contract: Contract, session: Any, where: Path) -> None:
    """Raise DataError unless the graph's inputs and outputs have the names and sizes of its contract."""
    size = [len(contract.horizons), len(contract.targets)]
    wanted = {
        INPUT: [contract.context, len(contract.features)],
        OUTPUTS[0]: [*size, len(contract.levels)],
        OUTPUTS[1]: size,
    }
    if contract.online is not None:
        wanted[STATE] = wanted[NEXT_STATE] = [Layout.of(contract).size]
    found = {node.name: list(node.shape[1:]) for node in (*session.get_inputs(), *session.get_outputs())}
    if found != wanted:
        raise DataError(
            str(where),
            expected=f"a graph of {wanted} behind the batch axis",
            found=str(found),
            remedy="export the model again",
        )


def write(folder: Path, model: bytes, contract: Contract, card: str) -> None:
    """Write a whole artefact beside `folder`, then rename it; an older artefact of that name is replaced.

    Raises DataError when `folder` exists and is not an artefact.
    """
    require_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial, aside = (folder.with_name(f".{folder.name}.{os.getpid()}.{end}") for end in ("new", "old"))
    try:
        partial.mkdir()
        (partial / MODEL_FILE).write_bytes(model)
        (partial / CARD_FILE).write_text(card, "utf-8")
        write_contract(contract, partial)
        if folder.exists():
            folder.rename(aside)
        partial.rename(folder)
    finally:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        for leftover in (partial, aside):
            shutil.rmtree(leftover, ignore_errors=True)


def require_replaceable(folder: Path) -> None:
    """Raise DataError unless `folder` is absent, empty, or an artefact and nothing more."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    foreign = sorted(names - {MODEL_FILE, CONTRACT_FILE, CARD_FILE})
    if foreign or (folder.exists() and not folder.is_dir()):
        raise DataError(
            str(folder),
            expected="a new folder, or an artefact to be replaced",
            found=f"a folder with {foreign[0]}" if foreign else "a file",
            remedy="name another folder",
        )


def first_line(error: BaseException) -> str:
    """The first line of a message."""
    return str(error).partition("\n")[0]
