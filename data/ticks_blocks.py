"""Blocks on the tick grid: base fees, how full the blocks are, and the next base fee by EIP-1559.

Decided here: a tick one of whose blocks does not follow its predecessor (a hole in the numbers, a halt of the chain, the
start of the table) has no mean base fee. Only looking BACK tells a hole: whether the block after the tick is missing cannot
be known at its end. A tick without a block takes the last block, if that is young.
"""

import polars as pl

from data.fixedpoint import group_mean
from data.timeline import KNOWN_AT, TICK, join_as_of, label

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


def block_ticks(ticks: pl.DataFrame, blocks: pl.DataFrame, tick_s: int) -> pl.DataFrame:
    """The ticks with `BLOCK_COLUMNS`; `blocks` are those of one chain in ascending order."""
    rows = (
        blocks.lazy()
        .select("ts", "gas_used", "gas_limit", log_gwei("base_fee_wei"), next_base_fee(), follows().alias("follows"))
        .with_columns(label(pl.col("ts"), tick_s).alias("own_tick"), pl.col("ts").alias(KNOWN_AT))
        .collect()
    )
    inside = rows.lazy().group_by(pl.col("own_tick").alias(TICK)).agg(*measures())
    held = join_as_of(ticks.select(TICK), rows, pl.lit(YOUNG_S)).select(TICK, *single_block())
    both = (
        ticks.lazy()
        .join(inside, on=TICK, how="left", maintain_order="left")
        .join(held, on=TICK, how="left", maintain_order="left", suffix=":held")
    )
    empty = pl.col("block_count").is_null()
    chosen = [pl.when(empty).then(f"{name}:held").otherwise(name).alias(name) for name in BLOCK_COLUMNS]
    return both.select(*ticks.columns, *chosen).collect()


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


def measures() -> list[pl.Expr]:
    """Aggregates of a tick's blocks."""
    whole = pl.when(pl.col("follows").all())
    return [
        whole.then(group_mean(pl.col("log_base_fee"))).alias("log_base_fee"),
        pl.col("log_base_fee").last().alias("log_base_fee_last"),
        pl.col("log_next_base_fee").last(),
        (pl.col("gas_used").sum() / pl.col("gas_limit").sum()).alias("utilisation"),
        (is_full().sum() / pl.len()).alias("full_share"),
        pl.len().cast(pl.Float64).alias("block_count"),
    ]


def single_block() -> list[pl.Expr]:
    """The same measures from the one block that a tick without blocks takes over."""
    return [
        pl.when(pl.col("follows")).then(pl.col("log_base_fee")).alias("log_base_fee"),
        pl.col("log_base_fee").alias("log_base_fee_last"),
        pl.col("log_next_base_fee"),
        (pl.col("gas_used") / pl.col("gas_limit")).alias("utilisation"),
        is_full().cast(pl.Float64).alias("full_share"),
        pl.when(pl.col("ts").is_not_null()).then(0.0).alias("block_count"),
    ]


def is_full() -> pl.Expr:
    """Whether a block uses at least 95 % of its gas limit."""
    return pl.col("gas_used") >= FULL * pl.col("gas_limit")
