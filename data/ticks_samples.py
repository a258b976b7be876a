"""Sampled states on the tick grid: the mempool, funding rates, open interest.

Decided here: a tick takes the last sample from before its end unless it is too old; of a role's symbols the first with such
a sample is taken. A funding interval is the time between the last two payments, unknown when one seems to be missing.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Panel
from data.spans import Columns, Ticks, instants, is_of, newest_before, numbers, taken

FEE_BANDS = (5, 10, 20, 50, 100)
MEMPOOL = (
    *("pending_count", "pending_weight", "fee_fast", "fee_slow", "next_block_median_fee"),
    *(f"weight_above_{fee}" for fee in FEE_BANDS),
    *("arrivals_per_s", "inclusion_p50_s", "inclusion_p90_s"),
)
MEMPOOL_COLUMNS = tuple(f"mempool_{name}" for name in MEMPOOL)
MEMPOOL_AGE_S = 900  # samples come every 1 to 5 minutes
PAYMENT_AGE_S = 9 * 3600  # venues pay every 8 hours at most, and not to the second
OPEN_INTEREST_AGE_S = 3600


def funding_columns(panel: Panel) -> tuple[str, ...]:
    """Names of the funding columns, by role in alphabetical order."""
    return tuple(f"{role}_funding_{part}" for role in sorted(panel.roles) for part in ("rate", "age_s", "interval_s"))


def open_interest_columns(panel: Panel) -> tuple[str, ...]:
    """Names of the open interest columns, by role in alphabetical order."""
    return tuple(f"{role}_open_interest" for role in sorted(panel.roles))


def mempool_ticks(ticks: Ticks, rows: pl.DataFrame, panel: Panel) -> Columns:
    """`MEMPOOL_COLUMNS` of the panel's chain, in the units of the table."""
    own = rows.filter(pl.col("chain") == panel.chain)
    index = newest_before(ticks, instants(own["ts"]), MEMPOOL_AGE_S)
    return {f"mempool_{name}": taken(numbers(own, name), index) for name in MEMPOOL}


def open_interest_ticks(ticks: Ticks, rows: pl.DataFrame, panel: Panel) -> Columns:
    """Open interest of every role in contracts."""
    found = {}
    for role in sorted(panel.roles):
        value = ticks.unknown
        for ts, contracts in of_role(rows, panel, role, "contracts"):
            if np.isnan(value).any():
                index = newest_before(ticks, ts, OPEN_INTEREST_AGE_S)
                value = np.where(np.isnan(value), taken(contracts, index), value)
        found[f"{role}_open_interest"] = value
    return found


def funding_ticks(ticks: Ticks, rows: pl.DataFrame, panel: Panel) -> Columns:
    """Last rate of every role (share of the notional), seconds since it was paid, and seconds between the last two."""
    found: Columns = {}
    for role in sorted(panel.roles):
        rate, age_s, interval_s = np.full((3, len(ticks.end)), np.nan)
        for ts, rates in of_role(rows, panel, role, "rate"):
            if np.isnan(rate).any():
                index = np.where(np.isnan(rate), newest_before(ticks, ts, PAYMENT_AGE_S), -1)
                pause_s = np.diff(ts, prepend=ts[:1] - 10**9) / 1000
                pause_s = np.where(pause_s <= PAYMENT_AGE_S, np.rint(pause_s / 60) * 60, np.nan)
                rate = np.where(index >= 0, taken(rates, index), rate)
                age_s = np.where(index >= 0, ticks.end / 1000 - taken(ts / 1000, index), age_s)
                interval_s = np.where(index >= 0, taken(pause_s, index), interval_s)
        found |= {
            f"{role}_funding_rate": rate,
            f"{role}_funding_age_s": age_s,
            f"{role}_funding_interval_s": interval_s,
        }
    return found


def of_role(
    rows: pl.DataFrame, panel: Panel, role: str, name: str
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Times (ms) and a column of each symbol that may play a role, best first."""
    ts, values, symbols = instants(rows["ts"]), numbers(rows, name), rows["symbol"]
    for symbol in panel.roles[role]:
        own = is_of(symbols, symbol)
        yield ts[own], values[own]
