"""Blocks on the tick grid: base fees, how full the blocks are, and the next base fee by EIP-1559.

Decided here: a tick one of whose blocks does not follow its predecessor (a hole in the numbers, a halt of the chain, the
start of the table) has no mean base fee. Only looking BACK tells a hole: whether the block after the tick is missing cannot
be known at its end. A tick without a block takes the last block, if that is young.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.contract import Panel
from data.spans import Columns, Spans, Ticks, instants, newest_before, ratio, spans

BLOCK_COLUMNS = (
    "log_base_fee",
    "log_base_fee_last",
    "log_next_base_fee",
    "utilisation",
    "full_share",
    "block_count",
)
WHOLE = ("number", "base_fee_wei", "gas_used", "gas_limit")
ELASTICITY, CHANGE_DENOMINATOR = 2, 8  # EIP-1559 constants of Ethereum
GWEI_PER_WEI = 1e-9
FULL = 0.95  # share of the gas limit from which a block counts as full
HALT_S = 600  # a longer pause is a hole even if the numbers go on, which keeps the look-back finite
YOUNG_S = 60  # how long the last block stands for ticks without one


def block_ticks(ticks: Ticks, rows: pl.DataFrame, panel: Panel) -> Columns:
    """`BLOCK_COLUMNS` of the panel's chain; rows are in ascending order."""
    blocks = recent_blocks(ticks, rows, panel, HALT_S + YOUNG_S)
    ts, number, wei, used, limit = (instants(blocks["ts"]), *(blocks[name].to_numpy() for name in WHOLE))
    inside = spans(ticks, ts)
    taken_over, fee = with_young(inside, ticks, ts), log_gwei(wei)
    broken, count = taken_over.total(~follows(ts, number)) > 0, taken_over.end - taken_over.start
    coming = ticks.unknown
    last = taken_over.end[taken_over.filled] - 1
    coming[taken_over.filled] = log_gwei(next_base_fee_wei(wei[last], used[last], limit[last]))
    return {
        "log_base_fee": np.where(broken, np.nan, np.where(inside.filled, taken_over.mean(fee), taken_over.last(fee))),
        "log_base_fee_last": taken_over.last(fee),
        "log_next_base_fee": coming,
        "utilisation": ratio(taken_over.total(used), taken_over.total(limit)),
        "full_share": ratio(taken_over.total(is_full(used, limit)), count),
        "block_count": np.where(count > 0, inside.end - inside.start, np.nan),
    }


def recent_blocks(ticks: Ticks, rows: pl.DataFrame, panel: Panel, margin_s: int) -> pl.DataFrame:
    """The blocks of the panel's chain from so long before the first tick on; rows are in the order of chain and number."""
    if rows.height and not rows["chain"][0] == rows["chain"][-1] == panel.chain:
        rows = rows.filter(pl.col("chain") == panel.chain)
    since = ticks.end[:1].min(initial=np.iinfo(np.int64).max) - 1000 * (margin_s + ticks.tick_s)
    return rows.slice(int(np.searchsorted(instants(rows["ts"]), since)))


def with_young(inside: Spans, ticks: Ticks, ts: NDArray[np.int64]) -> Spans:
    """The spans of blocks at times `ts` (ms), of which the empty ones take the last block if it is young."""
    index = newest_before(ticks, ts, YOUNG_S)
    empty = ~inside.filled & (index >= 0)
    return Spans(np.where(empty, index, inside.start), np.where(empty, index + 1, inside.end))


def log_gwei(wei: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ln of amounts of wei in gwei."""
    return np.asarray(np.log(wei * GWEI_PER_WEI))


def follows(ts: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a block comes right after the row before it, without a halt; false in the first row. `ts` in ms."""
    found = np.zeros(len(ts), np.bool_)
    found[1:] = (np.diff(number) == 1) & (np.diff(ts) <= 1000 * HALT_S)
    return found


def next_base_fee_wei(fee: NDArray[np.int64], used: NDArray[np.int64], limit: NDArray[np.int64]) -> NDArray[np.int64]:
    """Wei of the base fee of the block after each, exactly.

    EIP-1559: with target = limit // 2 the fee moves by fee * |used - target| // target // 8, and by at least 1 wei upwards.
    The product passes 63 bits from 614 gwei, so that of the remainder of fee / target is taken; Python's whole numbers are
    where that might not fit either.
    """
    target = np.maximum(limit // ELASTICITY, 1)
    away = np.abs(used - target)
    if max(target.max(initial=0), away.max(initial=0)) >= 2**31:
        fee, target, away = (values.astype(object) for values in (fee, target, away))
    move = (fee // target * away + fee % target * away // target) // CHANGE_DENOMINATOR
    moved = np.where(used > target, fee + np.maximum(move, 1), np.where(used < target, fee - move, fee))
    return np.asarray(moved, np.int64)


def is_full(used: NDArray[np.int64], limit: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether blocks use at least 95 % of their gas limit."""
    return np.asarray(used >= FULL * limit)
