"""Tables as the series that facts are measured on.

Decided here: which symbol and chain stand for a history that has several (ETH and Ethereum where they are there), and that
a tick without blocks keeps the value before it.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.history import Tables

Values = NDArray[np.float64]
TICK_S = 300
MAIN, OTHER = ("ETH-PERP", "ETH-SPOT"), ("BTC-PERP", "BTC-SPOT")
CHAIN = "ethereum"
LEAST_VOLATILITY = 1e-5
USUAL_TICKS, USUAL_LEAST = 72, 36  # of the median that surges are held against: 6 h


@dataclass(frozen=True)
class Moves:
    """The main symbol by 5-minute bar: `tick` is its start (s since 1970); the other symbol's return is NaN if unknown."""

    symbol: str
    other: str | None
    tick: NDArray[np.int64]
    log_volatility: Values
    returns: Values
    other_returns: Values


@dataclass(frozen=True)
class Fees:
    """A chain by tick: start, mean ln base fee in gwei, ln of its 6-hour median (NaN at first); and how full blocks are."""

    tick: NDArray[np.int64]
    value: Values
    usual: Values
    full_share: float
    utilisation_sd: float

    @property
    def months(self) -> float:
        """Length in months of 30 days."""
        return len(self.value) * TICK_S / (30 * 86400)

    def surging(self, factor: float) -> NDArray[np.bool_]:
        """Whether each tick is over so many times the usual."""
        is_over: NDArray[np.bool_] = self.value > self.usual + math.log(factor)
        return is_over


@dataclass(frozen=True)
class Rates:
    """Orders in each second that had any; the others are those in which a recorder was down, or too few to matter."""

    per_s: Values


def moves(history: Tables) -> Moves | None:
    """Prices of a history; None when it has no bars of 5 minutes or less."""
    if "bars" not in history.tables:
        return None
    bars = five_minutes(history.scan("bars").filter(TICK_S % pl.col("interval_s") == 0))
    symbols = bars["symbol"].unique().sort().to_list()
    if not symbols:
        return None
    main = next((name for name in MAIN if name in symbols), symbols[0])
    other = next((name for name in (*OTHER, *symbols) if name in symbols and name != main), None)
    own = bars.filter(pl.col("symbol") == main)
    theirs = bars.filter(pl.col("symbol") == (other or "")).select("tick", other="return")
    both = own.join(theirs, on="tick", how="left", maintain_order="left")
    return Moves(
        main,
        other,
        both["tick"].to_numpy(),
        both["log_volatility"].to_numpy(),
        both["return"].to_numpy(),
        both["other"].fill_null(math.nan).to_numpy(),
    )


def five_minutes(bars: pl.LazyFrame) -> pl.DataFrame:
    """Bars joined to 5 minutes: `symbol`, `tick`, prices, `volume`, `return` and `log_volatility`."""
    joined = bars.group_by("symbol", pl.col("ts").dt.truncate("5m").dt.epoch("s").alias("tick")).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )
    parkinson = (pl.col("high") / pl.col("low")).log() / math.sqrt(4 * math.log(2))
    found = joined.with_columns(
        (pl.col("close") / pl.col("open")).log().alias("return"),
        parkinson.clip(LEAST_VOLATILITY).log().alias("log_volatility"),
    )
    return found.sort("symbol", "tick").collect()


def fees(history: Tables) -> Fees | None:
    """Base fees of a history; None when it has no blocks."""
    rows = main_chain(history)
    if rows is None:
        return None
    mean = (pl.col("base_fee_wei") / 1e9).log().mean()
    ticks = rows.group_by(pl.col("ts").dt.truncate("5m")).agg(mean.alias("value")).sort("ts")
    ticks = ticks.upsample("ts", every="5m").with_columns(pl.col("value").forward_fill())
    usual = ticks["value"].exp().rolling_median(USUAL_TICKS, min_samples=USUAL_LEAST).log()
    share = rows["gas_used"] / rows["gas_limit"]
    return Fees(
        ticks["ts"].dt.epoch("s").to_numpy(),
        ticks["value"].to_numpy(),
        usual.fill_null(math.nan).to_numpy(),
        float((share > 0.99).to_numpy().mean()),
        float(share.to_numpy().std()),
    )


def main_chain(history: Tables) -> pl.DataFrame | None:
    """Blocks of the chain that stands for the history; None when there are none."""
    if "blocks" not in history.tables:
        return None
    rows = history.scan("blocks").collect()
    chains = rows["chain"].value_counts(sort=True)["chain"].to_list()
    return rows.filter(pl.col("chain") == (CHAIN if CHAIN in chains else chains[0])) if chains else None


def rates(history: Tables) -> Rates | None:
    """Orders of a history by second; None when it counts none."""
    if "request_counts" not in history.tables:
        return None
    sums = history.scan("request_counts").group_by("ts").agg(pl.col("count").sum()).sort("ts").collect()["count"]
    per_s = sums.filter(sums > 0).cast(pl.Float64).to_numpy()
    return Rates(per_s) if len(per_s) else None
