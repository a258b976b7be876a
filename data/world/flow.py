"""Single orders: the counts of a world told one by one, each with its microsecond, its work, its worth and its deadline.

Decided here: within a second orders come evenly spread; critical and hedge orders carry the greeks of who sent them.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.errors import UsageError
from data.world.constants import Tickets, World
from data.world.market import SYMBOLS
from data.world.noise import Chance

Floats = NDArray[np.float32]
SECOND_US = 1_000_000


def single(tickets: Tickets, counts: pl.DataFrame, draws: np.random.Generator) -> pl.DataFrame:
    """The canonical `orders` of some rows of `request_counts`. Raises UsageError for a tier that has no ticket."""
    kinds = [ticket.tier for ticket in tickets.kinds]
    unknown = sorted(set(counts["tier"].unique()) - set(kinds))
    if unknown:
        raise UsageError(
            "world.tickets", expected=f"a kind for the tier {unknown[0]}", found=", ".join(kinds), remedy="add one"
        )
    place = counts["tier"].replace_strict(kinds, range(len(kinds)), return_dtype=pl.Int64).to_numpy()
    times = counts["count"].to_numpy()
    us = np.repeat(counts["ts"].dt.epoch("us").to_numpy(), times)
    us += draws.integers(0, SECOND_US, len(us), dtype=np.int32)
    # Rows of a second lie together, so only neighbours have to change places.
    order = np.argsort(us, kind="stable")
    return _described(tickets, us[order], np.repeat(place, times)[order], draws)


def write_orders(
    folder: Path, counts: pl.DataFrame, world: World, seed: int, tell: Callable[[float, str], None]
) -> int:
    """Write `orders/DATE.parquet` in a folder, a file a day; returns the number of orders. Equal seeds give equal files."""
    total = 0
    days = counts["ts"].dt.date().unique().sort()
    for place, day in enumerate(days):
        tell(place / len(days), f"orders of {day}")
        rows = counts.filter(pl.col("ts").dt.date() == day)
        frame = single(world.tickets, rows, Chance(seed).stream(f"orders of {day}"))
        write_part(folder / "orders", f"{day}.parquet", frame)
        total += frame.height
    tell(1.0, "done")
    return total


def write_part(folder: Path, name: str, frame: pl.DataFrame) -> None:
    """Write one file of a table that is a folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{name}.partial"
    frame.write_parquet(partial)
    partial.replace(folder / name)


def _described(
    tickets: Tickets, us: NDArray[np.int64], place: NDArray[np.int64], draws: np.random.Generator
) -> pl.DataFrame:
    """Orders at some times of some kinds, in order."""
    count = len(us)

    def of(name: str) -> Floats:
        return np.array([getattr(ticket, name) for ticket in tickets.kinds], np.float32)[place]

    def normal(deviation: float) -> Floats:
        values: Floats = np.exp(np.float32(deviation) * draws.standard_normal(count, np.float32))
        return values

    size = normal(tickets.spread)
    signs = np.where(draws.random(count, np.float32) < 0.5, np.float32(-1), np.float32(1))
    delta, gamma = of("delta_usd") * size * signs, of("gamma_usd") * size
    symbol = (draws.random(count, np.float32) >= tickets.eth_share).astype(np.uint32)
    frame = pl.DataFrame(
        {
            "ts": pl.Series(us).cast(pl.Datetime("us", "UTC")),
            "tier": pl.Series([ticket.tier for ticket in tickets.kinds]).gather(pl.Series(place)),
            "symbol": pl.Series(SYMBOLS).gather(pl.Series(symbol)),
            "work": of("work") * (np.float32(0.5) + np.float32(0.5) * draws.standard_exponential(count, np.float32)),
            "value_usd": of("value_usd") * size,
            "deadline_s": of("deadline_s") * normal(tickets.patience),
            "delta_usd": delta,
            "gamma_usd": gamma,
        }
    )
    greeks = [pl.when(pl.col(name) != 0).then(name) for name in ("delta_usd", "gamma_usd")]
    return frame.with_columns(greeks).cast({pl.Float32: pl.Float64})
