"""What blocks say beyond their mean base fee: its path within the tick, runs of full blocks, bids, tips, intervals, transactions.

Decided here: a run is broken by a block that is not full, by a hole and by a pause of over a minute, and counts to
`LONGEST_RUN` only, so that its look-back is finite. Bids are means of logs; what a source does not tell stays unknown. A
tick without a block takes the last block, if that is young, as in `ticks_blocks`. `late` is of the tick's last five blocks.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Panel
from data.spans import Columns, Spans, Ticks, instants, numbers, ratio, spans
from data.ticks_blocks import HALT_S, WHOLE, YOUNG_S, follows, is_full, log_gwei, recent_blocks, with_young

LONGEST_RUN, PAUSE_S, LATE = 16, 60, 5
TIPS = ("tip_p10", "tip_p50", "tip_p90")
BLOCKSPACE_COLUMNS = (
    *("full_run", "full_run_most", "log_bid", "log_bid_most", *TIPS),
    *("block_interval_mean_s", "block_interval_most_s", "block_tx_count"),
    *("base_fee_most", "base_fee_least", "base_fee_late", "base_fee_spread", "utilisation_late"),
)


def blockspace_ticks(ticks: Ticks, rows: pl.DataFrame, panel: Panel) -> Columns:
    """`BLOCKSPACE_COLUMNS` of the panel's chain: blocks, ln gwei, gwei, seconds, transactions a block; fees in ln gwei."""
    blocks = recent_blocks(ticks, rows, panel, LONGEST_RUN * PAUSE_S + HALT_S + YOUNG_S)
    ts, number, wei, used, limit = (instants(blocks["ts"]), *(blocks[name].to_numpy() for name in WHOLE))
    inside = with_young(spans(ticks, ts), ticks, ts)
    pauses = np.where(follows(ts, number), np.diff(ts, prepend=ts[:1]) * 1e-3, np.nan)
    run = runs(is_full(used, limit), pauses <= PAUSE_S)
    bids = numbers(blocks, "builder_bid_gwei")
    bids = np.log(np.where(bids > 0, bids, np.nan))
    tips, count, fee = (numbers(blocks, f"{tip}_gwei") for tip in TIPS), numbers(blocks, "tx_count"), log_gwei(wei)
    bid, *tip, pause, transactions, level, square = inside.means(bids, *tips, pauses, count, fee, fee * fee)
    run_most, bid_most, pause_most, fee_most, fee_least = inside.mosts(run, bids, pauses, fee, -fee)
    return {
        "full_run": inside.last(run),
        "full_run_most": run_most,
        "log_bid": bid,
        "log_bid_most": bid_most,
        **dict(zip(TIPS, tip, strict=True)),
        "block_interval_mean_s": pause,
        "block_interval_most_s": pause_most,
        "block_tx_count": transactions,
        "base_fee_most": fee_most,
        "base_fee_least": -fee_least,
        "base_fee_spread": np.sqrt(np.maximum(square - level**2, 0.0)),
        **late(inside, fee, used, limit),
    }


def late(inside: Spans, fee: NDArray[np.float64], used: NDArray[np.int64], limit: NDArray[np.int64]) -> Columns:
    """The base fee (ln gwei) of a tick's last blocks, and how full they are."""
    last = Spans(np.maximum(inside.start, inside.end - LATE), inside.end)
    return {"base_fee_late": last.mean(fee), "utilisation_late": ratio(last.total(used), last.total(limit))}


def runs(full: NDArray[np.bool_], follow: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each block, how many full blocks in a row end with it, `LONGEST_RUN` at most."""
    place = np.arange(len(full))
    before = np.where(~full, place, np.where(~follow, place - 1, -1))  # the last block that is not part of the run
    return np.minimum(place - np.maximum.accumulate(before), LONGEST_RUN).astype(np.float64)
