"""Small canonical frames of the tables beyond bars, blocks and counts, and a history of all of them."""

import numpy as np
import polars as pl

from data.ticks_order_mix import TIERS
from tests.data.made import random_history, thinned, times

BANDS = (5, 10, 20, 50, 100)


def mempool(count: int, step_s: int = 60, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng([seed, count, 1])
    weight = 1e7 * np.exp(np.cumsum(random.normal(0, 0.05, count)))
    unknown = random.random(count) < 0.1
    return pl.DataFrame(
        {
            "chain": ["ethereum"] * count,
            "ts": times(np.arange(count) * step_s + random.integers(0, step_s, count)),
            "pending_count": (weight / 5e4).astype(np.int64),
            "pending_weight": weight,
            "pending_fee": weight * 20,
            "fee_fast": 30 * np.exp(random.normal(0, 0.3, count)),
            "fee_slow": 10 * np.exp(random.normal(0, 0.3, count)),
            "fee_min": np.full(count, 1.0),
            **{f"weight_above_{fee}": weight * random.random(count) / fee for fee in BANDS},
            "inclusion_p50_s": pl.Series(np.where(unknown, np.nan, random.exponential(12, count)), nan_to_null=True),
            "inclusion_p90_s": pl.Series(np.where(unknown, np.nan, random.exponential(60, count)), nan_to_null=True),
            "arrivals_per_s": random.exponential(12, count),
        }
    )


def funding(hours: int, symbol: str = "ETH-PERP", every_h: int = 8, seed: int = 0) -> pl.DataFrame:
    count = 1 + hours // every_h
    random = np.random.default_rng([seed, count, len(symbol)])
    return pl.DataFrame(
        {
            "symbol": [symbol] * count,
            "ts": times(np.arange(count) * every_h * 3600 + random.integers(0, 20, count) / 1000),
            "rate": random.normal(1e-4, 1e-4, count),
        }
    )


def open_interest(count: int, symbol: str = "ETH-PERP", step_s: int = 300, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng([seed, count, 3])
    value = 1e6 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    return pl.DataFrame({"symbol": [symbol] * count, "ts": times(np.arange(count) * step_s), "contracts": value})


def positions(books: int, accounts: int = 12, step_s: int = 600, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng([seed, books, 4])
    count = books * accounts
    is_long = random.random(count) < 0.5
    entry = 2000 * np.exp(random.normal(0, 0.02, count))
    level = entry * np.where(
        is_long, 1 - random.exponential(0.04, count).clip(0, 0.9), 1 + random.exponential(0.04, count)
    )
    return pl.DataFrame(
        {
            "symbol": ["ETH-PERP"] * count,
            "ts": times(np.repeat(np.arange(books) * step_s, accounts)),
            "account": [f"a{i:02}" for i in range(accounts)] * books,
            "side": pl.Series(np.where(is_long, "long", "short")),
            "size": random.exponential(50, count) + 0.01,
            "entry_price": entry,
            "liquidation_price": level,
        }
    )


def tiered(counts: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Order counts spread over two of the tiers, an unknown one and none."""
    random = np.random.default_rng([seed, counts.height, 5])
    names = pl.Series([*TIERS[:2], "other", None], dtype=pl.String)
    tier = names.gather(pl.Series(random.integers(0, 4, counts.height)))
    return counts.with_columns(tier.alias("tier")).sort("ts", "tier")


def priced(blocks: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Blocks with transactions, bids and tips, some of them unknown, and every third one full for a while."""
    random = np.random.default_rng([seed, blocks.height, 6])

    def some(values: np.ndarray) -> pl.Series:
        return pl.Series(np.where(random.random(len(values)) < 0.2, np.nan, values), nan_to_null=True)

    count = blocks.height
    full = np.sin(np.arange(count) / 30) > 0.5
    return blocks.with_columns(
        tx_count=some(random.integers(0, 400, count).astype(float)).cast(pl.Int64),
        builder_bid_gwei=some(np.exp(random.normal(17, 1, count))),
        **{f"tip_p{p}_gwei": some(random.exponential(p / 20, count)) for p in (10, 50, 90)},
    ).with_columns(pl.when(pl.Series(full)).then("gas_limit").otherwise("gas_used").alias("gas_used"))


def full_history(seed: int, hours: int, step_s: int = 12, interval_s: int = 300) -> dict[str, pl.DataFrame]:
    """Every table that feeds a feature, with gaps, holes and unknowns."""
    random = np.random.default_rng([seed, 7])
    frames = random_history(seed, hours, step_s, interval_s)
    sample_s = max(60, step_s * 5)
    rates = [funding(hours, "ETH-PERP", 8, seed), funding(hours, "BTC-PERP", 4, seed)]
    interest = [open_interest(hours * 12, name, seed=seed) for name in ("ETH-PERP", "BTC-PERP")]
    return {
        **frames,
        "blocks": priced(frames["blocks"], seed),
        "request_counts": tiered(frames["request_counts"], seed),
        "mempool": thinned(mempool(hours * 3600 // sample_s, sample_s, seed), random, 0.02, 2),
        "funding": pl.concat([thinned(one, random, 0.05, 0) for one in rates]),
        "open_interest": pl.concat([thinned(one, random, 0.02, 2) for one in interest]),
        "positions": thinned(positions(hours * 6, seed=seed), random, 0.0, 2),
    }
