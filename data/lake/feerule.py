"""Whether base fees follow EIP-1559, and with which parameters: they are inferred from the blocks, never assumed.

Decided here: how many breaks a chain may show (recorded chains have a handful, at upgrades and where a row is wrong).
"""

from dataclasses import dataclass

import polars as pl

ETHEREUM = (2, 8)
ELASTICITIES = (2, 3, 4, 5, 6, 8, 10, 12, 20)
DENOMINATORS = (8, 16, 32, 50, 64, 100, 125, 200, 250, 300, 400, 500)
FEWEST = 100  # pairs, below which nothing is inferred
SAMPLE = 2000  # pairs of blocks with a change of fee that parameters are inferred from
SLICE = 250_000  # pairs that are looked at at once: 128-bit columns are wide
EXPLAINED = 0.9  # share of pairs from which parameters are believed
MOST_BREAKS = 0.01  # share of pairs from which breaks are a fault of the history


@dataclass(frozen=True)
class FeeRule:
    """Parameters that explain most of `pairs` of consecutive blocks, how many break them, and the first that does."""

    elasticity: int
    denominator: int
    pairs: int
    breaks: int
    first_break: int | None

    @property
    def holds(self) -> bool:
        """Whether the parameters are believed."""
        return self.breaks <= (1 - EXPLAINED) * self.pairs

    @property
    def is_fault(self) -> bool:
        """Whether a chain that follows the rule breaks it too often."""
        return self.pairs >= FEWEST and self.holds and self.breaks > MOST_BREAKS * self.pairs

    def sentence(self) -> str | None:
        """What is to be said about it; None where a count of single breaks says it all."""
        own = (self.elasticity, self.denominator)
        name = f"EIP-1559 (elasticity {own[0]}, denominator {own[1]})"
        if self.pairs < FEWEST:
            return None
        if not self.holds:
            return "no parameters of EIP-1559 explain the base fees: wrong gas limits, or a chain with another rule"
        if self.is_fault:
            return f"{self.breaks} of {self.pairs} base fees break {name}, the first in block {self.first_break}"
        return None if own == ETHEREUM else f"base fees follow {name}"


def fee_rule(blocks: pl.DataFrame) -> FeeRule:
    """The rule of one chain; rows are canonical and in order."""
    following = pl.col("number").shift(-1) - pl.col("number") == 1
    nexts = [pl.col("base_fee_wei").shift(-1).alias("next_wei"), pl.col("number").shift(-1).alias("next_number")]
    pairs = blocks.select("base_fee_wei", "gas_used", "gas_limit", *nexts, following.alias("following"))
    pairs = pairs.filter("following").drop("following")
    elasticity, denominator = infer(pairs)
    breaks = pl.col("next_wei") != expected_wei(elasticity, denominator)
    broken = [number for some in pairs.iter_slices(SLICE) for number in some.filter(breaks)["next_number"]]
    return FeeRule(elasticity, denominator, pairs.height, len(broken), broken[0] if broken else None)


def infer(pairs: pl.DataFrame) -> tuple[int, int]:
    """Elasticity and denominator that explain most of a sample; Ethereum's when several explain as many."""
    moved = pairs.filter(pl.col("next_wei") != pl.col("base_fee_wei"))
    sample = moved.gather_every(max(moved.height // SAMPLE, 1))
    choices = [ETHEREUM, *((e, d) for e in ELASTICITIES for d in DENOMINATORS if (e, d) != ETHEREUM)]
    if pairs.height < FEWEST or sample.is_empty() or explained(sample, ETHEREUM) == sample.height:
        return ETHEREUM
    return max(choices, key=lambda choice: explained(sample, choice))


def explained(pairs: pl.DataFrame, choice: tuple[int, int]) -> int:
    """How many pairs some parameters explain."""
    return pairs.filter(pl.col("next_wei") == expected_wei(*choice)).height


def expected_wei(elasticity: int, denominator: int) -> pl.Expr:
    """Base fee of the next block in wei, exact in 128-bit integers.

    EIP-1559: with target = limit // elasticity the fee moves by fee * |used - target| // target // denominator, and
    upwards by at least 1 wei.
    """
    fee, used = pl.col("base_fee_wei").cast(pl.Int128), pl.col("gas_used").cast(pl.Int128)
    target = (pl.col("gas_limit") // elasticity).clip(1).cast(pl.Int128)
    move = fee * (used - target).abs() // target // denominator
    up = fee + pl.max_horizontal(move, pl.lit(1, pl.Int128))
    return pl.when(used > target).then(up).when(used < target).then(fee - move).otherwise(fee).cast(pl.Int64)
