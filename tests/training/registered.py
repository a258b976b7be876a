"""Artefacts of known quality on a made history of orders, for whatever promotes, registers or watches them.

Demand of a tick is independent of the tick before, and an artefact forecasts the largest of its last `context` ticks plus
offsets. So a longer context is the better model, and calibrated offsets are arithmetic.
"""

import datetime as dt
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from data.contract import Panel
from data.features.registry import describe
from tests.serving import made

DAYS, NOISE, TICK_S = 6, 0.3, 60
PANEL = Panel(TICK_S, "ethereum", {"eth": ("ETH-PERP",)})
SINCE, UNTIL = "2024-01-01T06:00", "2024-01-07T00:00"
NORMAL = np.array([-1.645, -0.674, 0.0, 0.674, 1.645])


def write_history(folder: Path, days: float = DAYS, factor: float = 1.0) -> Path:
    """Orders a second; `factor` multiplies all of them in the last half."""
    ticks = round(days * 86400 / TICK_S)
    rate = 4800 * np.exp(np.random.default_rng(0).normal(0, NOISE, ticks))
    rate[ticks // 2 :] *= factor
    second = np.arange(ticks * TICK_S)
    ts = pl.Series(1000 * second + int(made.START.timestamp() * 1000)).cast(pl.Datetime("ms", "UTC"))
    count = np.repeat(rate, TICK_S).round().astype(np.int64)
    made.write_table(
        folder, "request_counts", pl.DataFrame({"ts": ts, "count": count, "tier": ["maker"] * len(second)})
    )
    return folder


def write_artefact(folder: Path, name: str, context: int, spread: float = 1.0, **changes: object) -> Path:
    """An artefact whose band is about `spread` times as wide as it should be."""
    largest = np.random.default_rng(1).normal(size=(20_000, context)).max(axis=1)
    deviation = np.sqrt(1 + largest.var())
    offsets = NOISE * (spread * deviation * NORMAL - largest.mean())
    described = {feature.name: feature for feature in describe(["demand"], PANEL)}
    told = {"panel": PANEL, "features": tuple(described[name] for name in made.KEPT), "context": context}
    contract = msgspec.structs.replace(made.contract(name), **told, **changes)
    made.write_artefact(folder, contract, np.tile(offsets, (len(made.HORIZONS), 1, 1)))
    (folder / "card.md").write_text(f"# {name}\n\nWhat it is.\n", "utf-8")
    return folder


def instant(text: str) -> dt.datetime:
    """A time in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
