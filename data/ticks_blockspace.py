"""What blocks say beyond their mean base fee: its path within the tick, runs of full blocks, bids, tips, intervals, transactions.

Decided here: a run is broken by a block that is not full, by a hole and by a pause of over a minute, and counts to
`LONGEST_RUN` only, so that its look-back is finite. Bids are means of logs; what a source does not tell stays unknown. A
tick without a block takes the last block, if that is young, as in `ticks_blocks`. `late` is of the tick's last five blocks.
"""

from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Panel
from data.spans import Columns, Spans, Ticks, instants, numbers, ratio, spans
from data.ticks_blocks import HALT_S, YOUNG_S, follows, is_full, log_gwei, recent_blocks, with_young

LONGEST_RUN, PAUSE_S, LATE = 16, 60, 5
TIPS = ("tip_p10", "tip_p50", "tip_p90")
BLOCKSPACE_COLUMNS = (
    *("full_run", "full_run_most", "log_bid", "log_bid_most", *TIPS),
    *("block_interval_mean_s", "block_interval_most_s", "block_tx_count"),
    *("base_fee_most", "base_fee_least", "base_fee_late", "base_fee_spread", "utilisation_late"),
)


def blockspace_ticks(ticks: Ticks, rows: pl.DataFrame, panel: Panel) -> Columns:
    """`BLOCKSPACE_COLUMNS` of the panel's chain: blocks, ln gwei, gwei, seconds, transactions a block; fees in ln gwei."""
    blocks = recent_blocks(ticks, rows, panel, LONGEST_RUN * PAUSE_S + HALT_S + YOUNG_S).select(*measures())
    inside = with_young(spans(ticks, instants(blocks["ts"])), ticks, blocks["ts"])
    bids, pauses = numbers(blocks, "log_bid"), numbers(blocks, "pause_s")
    run = runs(blocks["full"].to_numpy(), pauses <= PAUSE_S)
    return {
        "full_run": inside.last(run),
        "full_run_most": inside.most(run),
        "log_bid": inside.mean(bids),
        "log_bid_most": inside.most(bids),
        **{tip: inside.mean(numbers(blocks, f"{tip}_gwei")) for tip in TIPS},
        "block_interval_mean_s": inside.mean(pauses),
        "block_interval_most_s": inside.most(pauses),
        "block_tx_count": inside.mean(numbers(blocks, "tx_count")),
        **within(inside, blocks),
    }


def within(inside: Spans, blocks: pl.DataFrame) -> Columns:
    """The path of the base fee within a tick, and how full its last blocks are."""
    fee, late = numbers(blocks, "log_base_fee"), Spans(np.maximum(inside.start, inside.end - LATE), inside.end)
    used, limit = (late.total(blocks[name].to_numpy()) for name in ("gas_used", "gas_limit"))
    return {
        "base_fee_most": inside.most(fee),
        "base_fee_least": inside.least(fee),
        "base_fee_late": late.mean(fee),
        "base_fee_spread": np.sqrt(np.maximum(inside.mean(fee * fee) - inside.mean(fee) ** 2, 0.0)),
        "utilisation_late": ratio(used, limit),
    }


@cache
def measures() -> tuple[pl.Expr, ...]:
    """What the columns are made of, block by block."""
    bid, pause_s = pl.col("builder_bid_gwei"), pl.col("ts").diff().dt.total_milliseconds() * 1e-3
    return (
        *(pl.col(name) for name in ("ts", "tx_count", "gas_used", "gas_limit", *(f"{tip}_gwei" for tip in TIPS))),
        log_gwei("base_fee_wei"),
        is_full().alias("full"),
        pl.when(follows()).then(pause_s).alias("pause_s"),
        pl.when(bid > 0).then(bid).log().alias("log_bid"),
    )


def runs(full: NDArray[np.bool_], follow: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each block, how many full blocks in a row end with it, `LONGEST_RUN` at most."""
    place = np.arange(len(full))
    before = np.where(~full, place, np.where(~follow, place - 1, -1))  # the last block that is not part of the run
    return np.minimum(place - np.maximum.accumulate(before), LONGEST_RUN).astype(np.float64)
