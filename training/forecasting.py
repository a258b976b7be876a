"""The forecasts that an artefact would have issued over a history: at each tick, from what was knowable then.

Decided here: which ticks are answered (those whose target was known at least once within the context), the files that the
answers are written to. A forecast does not depend on which period was asked for, its memory included (`training.online`).
"""

import datetime as dt
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data import panel
from data.contract import Contract
from data.errors import DataError
from data.history import History
from training.artefact import Artefact
from training.evaluation import Hindsight
from training.online import followed, memory_begins, seen_within

BATCH = 512
QUANTILES_FILE, SPIKES_FILE = "quantiles.parquet", "spikes.parquet"


@dataclass(frozen=True)
class Forecasts:
    """What was issued: `ticks` (n,) epoch seconds, `quantiles` (n, horizon, target, level) and `spike` (n, horizon, target).

    `answered` (n, target) tells where the target had been seen within the context; the rest is not a forecast.
    """

    ticks: NDArray[np.int64]
    quantiles: NDArray[np.float32]
    spike: NDArray[np.float32]
    answered: NDArray[np.bool_]


def issue(
    artefact: Artefact,
    history: History,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Forecasts:
    """Forecast at every tick in [since, until) from rows knowable at that tick.

    Raises DataError when the history holds no such tick.
    """
    contract = artefact.contract
    tick_s, earliest = contract.panel.tick_s, -np.inf if since is None else since.timestamp()
    begin = earliest if since is None or contract.online is None else memory_begins(earliest, tick_s)
    context = dt.timedelta(seconds=(contract.context - 1) * tick_s)  # so that the first window is whole
    first = None if since is None else dt.datetime.fromtimestamp(begin, dt.UTC) - context
    rows = panel.build(history, contract.panel, contract.feature_names, first, until)
    if not (rows.ticks >= earliest).any():
        raise DataError(
            history.where,
            expected=f"ticks of {tick_s} s between {since or 'its start'} and {until or 'its end'}",
            found="none",
            remedy="name a period that `shaper data check` shows as covered",
        )
    kept = slice(int((rows.ticks >= begin).argmax()), None)
    windows = panel.windows(panel.pad(rows, contract.context).matrix, contract.context)[kept]
    quantiles, spike = answers(artefact, windows, progress)
    if contract.online is not None:
        quantiles = followed(contract, rows.ticks[kept], quantiles, windows)
    asked = slice(int((rows.ticks[kept] >= earliest).argmax()), None)
    answered = seen_within(windows[asked], contract)
    return Forecasts(rows.ticks[kept][asked], quantiles[asked], spike[asked], answered)


def answers(
    artefact: Artefact, windows: NDArray[np.float32], progress: Callable[[int, int], None] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the graph says to each window on its own, in batches."""
    parts = []
    for start in range(0, len(windows), BATCH):
        parts.append(artefact.forecast(windows[start : start + BATCH]))
        if progress is not None:
            progress(min(start + BATCH, len(windows)), len(windows))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def write(forecasts: Forecasts, contract: Contract, folder: Path) -> None:
    """Write `quantiles.parquet` (wide: q0.05 ...) and `spikes.parquet` (within the longest horizon), each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_parquet(pl.concat(quantile_frames(forecasts, contract)), folder / QUANTILES_FILE)
    spikes = spike_frames(forecasts, contract)
    if spikes:
        replace_parquet(pl.concat(spikes), folder / SPIKES_FILE)


def quantile_frames(forecasts: Forecasts, contract: Contract) -> list[pl.DataFrame]:
    """One frame a target: issued_at, target, horizon (ticks) and a column a level."""
    frames = []
    for place, target in enumerate(contract.targets):
        kept = forecasts.answered[:, place] & np.isfinite(forecasts.quantiles[:, :, place]).all(axis=(1, 2))
        values = forecasts.quantiles[kept][:, :, place].astype(np.float64)
        columns = {f"q{level:g}": values[:, :, k].ravel() for k, level in enumerate(contract.levels)}
        horizon = np.tile(np.array(contract.horizons, np.int32), len(values))
        issued = np.repeat(forecasts.ticks[kept], len(contract.horizons))
        frames.append(
            pl.DataFrame({"issued_at": issued, "horizon": horizon, **columns}).select(
                *stamped(target.name), "horizon", *columns
            )
        )
    return frames


def spike_frames(forecasts: Forecasts, contract: Contract) -> list[pl.DataFrame]:
    """One frame a target that has spikes: issued_at, target, probability that the threshold is crossed within `within_s`."""
    within = contract.horizons[-1] * contract.panel.tick_s
    frames = []
    for place, target in enumerate(contract.targets):
        kept = forecasts.answered[:, place] & np.isfinite(forecasts.spike[:, -1, place])
        if target.threshold is not None:
            probability = forecasts.spike[kept, -1, place].astype(np.float64).clip(0, 1)
            frame = pl.DataFrame({"issued_at": forecasts.ticks[kept], "probability": probability})
            frames.append(
                frame.select(*stamped(target.name), "probability", pl.lit(within, pl.Int32).alias("within_s"))
            )
    return frames


def write_seen(seen: Mapping[str, Hindsight], levels: tuple[float, ...], folder: Path) -> None:
    """Write what is kept of a model beside the truth in the same two files, spikes where they were scored."""
    folder.mkdir(parents=True, exist_ok=True)
    frames, spikes = [], []
    for name, found in seen.items():
        issued, onsets = found.issued, found.onsets
        count, steps = issued.truth.shape
        columns = {f"q{level:g}": issued.quantiles[:, :, k].ravel() for k, level in enumerate(levels)}
        horizon = np.tile(np.arange(1, steps + 1, dtype=np.int32), count)
        told = pl.DataFrame({"issued_at": np.repeat(issued.issued_s, steps), "horizon": horizon, **columns})
        frames.append(told.select(*stamped(name), "horizon", *columns))
        if onsets is not None:
            told = pl.DataFrame({"issued_at": onsets.tick * onsets.tick_s, "probability": onsets.probability})
            within = pl.lit(onsets.reach * onsets.tick_s, pl.Int32).alias("within_s")
            spikes.append(told.select(*stamped(name), "probability", within))
    replace_parquet(pl.concat(frames), folder / QUANTILES_FILE)
    if spikes:
        replace_parquet(pl.concat(spikes), folder / SPIKES_FILE)


def stamped(target: str) -> tuple[pl.Expr, pl.Expr]:
    """The two key columns: the issue time in UTC, and the target's name."""
    return (pl.col("issued_at") * 1000).cast(pl.Datetime("ms", "UTC")), pl.lit(target).alias("target")


def replace_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write beside the path, then rename."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        frame.write_parquet(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
