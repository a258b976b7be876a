"""Pending transactions: bids come in around the equilibrium fee, blocks take the highest, the rest waits or gives up.

Decided here: what is in a block is given (`gas_used`); the pool says who waits beside it. Gas bid above a fee p arrives, by
block, as target * exp(elasticity * (equilibrium - ln p)) - the demand that the base fee meets - down to a fee that brings
`most` targets, and as up to `waiting` targets more below it, which are the more, the higher the equilibrium is above its usual.
What a block needs beyond the pool came to its builder in private.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.world.chain import CHAIN, ELASTICITY, GWEI, Blocks
from data.world.constants import HOUR_S, Chain, Pool
from data.world.market import stamps
from data.world.noise import Chance, Clock, Series, smoothed

Matrix = NDArray[np.float64]
CANONICAL_GWEI = (5, 10, 20, 50, 100)


@dataclass(frozen=True)
class Pending:
    """After each block: gas waiting by fee band (blocks, bands), the same for what arrived and was included, and private gas."""

    waiting: Matrix
    arrived: Matrix
    included: Matrix
    private: Series


def simulate(pool: Pool, chain: Chain, blocks: Blocks, chance: Chance) -> Pending:
    """The pool after each block."""
    arrived = arrivals(pool, chain, blocks.wanted, chance)
    pauses_s = np.diff(blocks.times_s, prepend=blocks.times_s[0] - chain.slot_s)
    kept = np.exp(-pauses_s / pool.patience_s).tolist()
    # The lowest band that pays the base fee and the least tip.
    lowest = np.searchsorted(pool.edges_gwei, blocks.base_fees / GWEI + pool.tip_gwei, side="right").tolist()
    bands = range(arrived.shape[1])
    # Those who wait when the world begins: as many below the first fee as come and give up at an equal rate.
    stock = [came / (1 - kept[0]) if band < lowest[0] else 0.0 for band, came in enumerate(arrived[0].tolist())]
    left = []
    included, rest = [], []
    for came, needed, share, first in zip(arrived.tolist(), blocks.gas_used.tolist(), kept, lowest, strict=True):
        stock = [share * old + new for old, new in zip(stock, came, strict=True)]
        taken, needed = _take(stock, float(needed), min(first, len(bands) - 1))
        stock = [have - out for have, out in zip(stock, taken, strict=True)]
        left.append(stock)
        included.append(taken)
        rest.append(needed)
    return Pending(np.array(left), arrived, np.array(included), np.array(rest))


def arrivals(pool: Pool, chain: Chain, wanted: Series, chance: Chance) -> Matrix:
    """Gas that arrives with each block, by fee band from below the lowest edge to above the highest."""
    each = Clock(0, chain.slot_s, len(wanted))
    crowd = wanted - smoothed(wanted, 6 * HOUR_S, chain.slot_s) + chance.swing("pool", pool.swing, each)
    waiting = (pool.waiting * np.exp(crowd))[:, None]
    above = wanted[:, None] - np.log(np.array(pool.edges_gwei))[None, :]
    # Log fee below the equilibrium at which the demand of those in a hurry is met in full.
    hurry = math.log(pool.most) / chain.elasticity
    bidding = np.exp(chain.elasticity * np.minimum(above, hurry)) + waiting * -np.expm1(-np.maximum(above - hurry, 0.0))
    nobody = np.zeros((len(wanted), 1))
    gas: Matrix = chain.gas_limit / ELASTICITY * -np.diff(np.hstack([pool.most + waiting, bidding, nobody]), axis=1)
    return gas


def table(pool: Pool, pending: Pending, blocks: Blocks, clock: Clock) -> pl.DataFrame:
    """The canonical `mempool` of the chain, once every `sample_s`: the pool after the last block that began before."""
    first = -clock.start_s % pool.sample_s or pool.sample_s
    times = np.arange(clock.start_s + first, clock.start_s + clock.count * clock.step_s, pool.sample_s)
    at = np.searchsorted(blocks.times_s, times) - 1
    waiting = pending.waiting[at]
    middles = _middles(pool)
    gas = waiting.sum(1)
    since = np.searchsorted(blocks.times_s, times - pool.sample_s)
    came = np.concatenate([[0.0], np.cumsum(pending.arrived.sum(1))])
    next_fee = np.maximum(blocks.base_fees[at] / GWEI + pool.tip_gwei, pool.edges_gwei[0])
    return pl.DataFrame(
        {
            "chain": [CHAIN] * len(times),
            "ts": stamps(times),
            "pending_count": np.rint(gas / pool.gas_each).astype(np.int64),
            "pending_weight": np.round(gas),
            "pending_fee": np.round(waiting @ middles),
            "fee_fast": np.round(next_fee * 1.125, 4),  # pays even when the next block is full (EIP-1559)
            "fee_slow": np.round(_quantile(waiting, middles, 0.5), 4),
            "fee_min": np.round(_quantile(waiting, middles, 0.01), 4),
            **{f"weight_above_{fee}": np.round(_above(pool, waiting, fee)) for fee in CANONICAL_GWEI},
            "arrivals_per_s": np.round((came[at + 1] - came[since]) / pool.gas_each / pool.sample_s, 4),
        }
    )


def _take(stock: list[float], needed: float, lowest: int) -> tuple[list[float], float]:
    """Gas taken from each band, from the highest fee down, and what was needed beyond."""
    taken = [0.0] * len(stock)
    for band in range(len(stock) - 1, lowest - 1, -1):
        taken[band] = min(stock[band], needed)
        needed -= taken[band]
        if needed <= 0.0:
            break
    return taken, needed


def _middles(pool: Pool) -> Series:
    """A typical fee of each band in gwei: the geometric middle, the edge where a band is open."""
    edges = np.array(pool.edges_gwei)
    return np.concatenate([edges[:1], np.sqrt(edges[:-1] * edges[1:]), edges[-1:]])


def _above(pool: Pool, waiting: Matrix, fee: float) -> Series:
    """Gas that bids at least a fee, which is one of the edges."""
    total: Series = waiting[:, pool.edges_gwei.index(fee) + 1 :].sum(1)
    return total


def _quantile(waiting: Matrix, middles: Series, level: float) -> Series:
    """The fee below which a share of the waiting gas bids."""
    total = np.cumsum(waiting, axis=1)
    place = (total < level * total[:, -1:]).sum(1)
    fees: Series = middles[np.minimum(place, len(middles) - 1)]
    return fees
