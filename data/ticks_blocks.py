"""Blocks on the tick grid: base fees, how full the blocks are, and the next base fee by EIP-1559.

Decided here: a tick one of whose blocks does not follow its predecessor (a hole in the numbers, a halt of the chain, the
start of the table) has no mean base fee. Only looking BACK tells a hole: whether the block after the tick is missing cannot
be known at its end. A tick without a block takes the last block, if that is young.
"""

from functools import cache

import numpy as np
import polars as pl

from data.contract import Panel
from data.spans import Columns, Spans, Ticks, instants, newest_before, numbers, ratio, spans

BLOCK_COLUMNS = (
    "log_base_fee",
    "log_base_fee_last",
    "log_next_base_fee",
    "utilisation",
    "full_share",
    "block_count",
)
ELASTICITY, CHANGE_DENOMINATOR = 2, 8  # EIP-1559 constants of Ethereum
GWEI_PER_WEI = (
    1e-9  # a factor: polars divides by a constant in two ways, one ulp apart, depending on the length of a column
)
FULL = 0.95  # share of the gas limit from which a block counts as full
HALT_S = 600  # a longer pause is a hole even if the numbers go on, which keeps the look-back finite
YOUNG_S = 60  # how long the last block stands for ticks without one


def block_ticks(ticks: Ticks, rows: pl.DataFrame, panel: Panel) -> Columns:
    """`BLOCK_COLUMNS` of the panel's chain; rows are in ascending order."""
    blocks = recent_blocks(ticks, rows, panel, HALT_S + YOUNG_S).select(*measures())
    inside = spans(ticks, instants(blocks["ts"]))
    taken_over = with_young(inside, ticks, blocks["ts"])
    broken = taken_over.total((~blocks["follows"].to_numpy()).astype(np.int64)) > 0
    fee, count = numbers(blocks, "log_base_fee"), taken_over.end - taken_over.start
    mean_fee = np.where(inside.filled, taken_over.mean(fee), taken_over.last(fee))
    return {
        "log_base_fee": np.where(broken, np.nan, mean_fee),
        "log_base_fee_last": taken_over.last(fee),
        "log_next_base_fee": taken_over.last(numbers(blocks, "log_next_base_fee")),
        "utilisation": ratio(
            taken_over.total(blocks["gas_used"].to_numpy()), taken_over.total(blocks["gas_limit"].to_numpy())
        ),
        "full_share": ratio(taken_over.total(blocks["full"].to_numpy().astype(np.int64)), count),
        "block_count": np.where(count > 0, inside.end - inside.start, np.nan),
    }


@cache
def measures() -> tuple[pl.Expr, ...]:
    """What the columns are made of, block by block."""
    own = (pl.col("ts"), pl.col("gas_used"), pl.col("gas_limit"), log_gwei("base_fee_wei"), next_base_fee())
    return (*own, follows().alias("follows"), is_full().alias("full"))


def recent_blocks(ticks: Ticks, rows: pl.DataFrame, panel: Panel, margin_s: int) -> pl.DataFrame:
    """The blocks of the panel's chain from so long before the first tick on; rows are in the order of chain and number."""
    if rows.height and not rows["chain"][0] == rows["chain"][-1] == panel.chain:
        rows = rows.filter(pl.col("chain") == panel.chain)
    since = ticks.end[:1].min(initial=np.iinfo(np.int64).max) - 1000 * (margin_s + ticks.tick_s)
    return rows.slice(int(np.searchsorted(instants(rows["ts"]), since)))


def with_young(inside: Spans, ticks: Ticks, ts: pl.Series) -> Spans:
    """The spans of blocks at times `ts`, of which the empty ones take the last block if it is young."""
    index = newest_before(ticks, instants(ts), YOUNG_S)
    empty = ~inside.filled & (index >= 0)
    return Spans(np.where(empty, index, inside.start), np.where(empty, index + 1, inside.end))


def log_gwei(column: str) -> pl.Expr:
    """Ln of an amount of wei in gwei, as `log_base_fee`."""
    return (pl.col(column) * GWEI_PER_WEI).log().alias("log_base_fee")


def follows() -> pl.Expr:
    """Whether a block comes right after the row before it, without a halt; false in the first row."""
    pause = pl.col("ts").diff() <= pl.duration(seconds=HALT_S)
    return ((pl.col("number").diff() == 1) & pause).fill_null(False)


def next_base_fee() -> pl.Expr:
    """Ln gwei of the base fee of the block after this one, as `log_next_base_fee`."""
    return (next_base_fee_wei() * GWEI_PER_WEI).log().alias("log_next_base_fee")


def next_base_fee_wei() -> pl.Expr:
    """Wei of the base fee of the block after this one, exactly.

    EIP-1559: with target = limit // 2 the fee moves by fee * |used - target| // target // 8, and by at least 1 wei upwards.
    128-bit integers, since fee * gas passes 63 bits from 614 gwei.
    """
    fee, used = pl.col("base_fee_wei").cast(pl.Int128), pl.col("gas_used").cast(pl.Int128)
    target = (pl.col("gas_limit") // ELASTICITY).clip(1).cast(pl.Int128)
    move = (fee * (used - target).abs() // target) // CHANGE_DENOMINATOR
    up = fee + pl.max_horizontal(move, pl.lit(1, pl.Int128))
    return pl.when(used > target).then(up).when(used < target).then(fee - move).otherwise(fee).cast(pl.Int64)


def is_full() -> pl.Expr:
    """Whether a block uses at least 95 % of its gas limit."""
    return pl.col("gas_used") >= FULL * pl.col("gas_limit")
