"""What to bid for a place in the next blocks: base fee by its own recurrence, tips by their distribution.

The base fee of the next block is arithmetic (EIP-1559): with target g = limit/2, it moves by base·|used − g|/g/8 in whole wei,
up by at least 1. Over n blocks what is uncertain is the utilisation: scenario α uses in every block its quantile at
Φ(z(α)·√((1 + (n − 1)ρ)/n)), which has the variance of the mean of n equally correlated ones. An order is included by block K if
in some block the tip it leaves above the base fee reaches that block's threshold; thresholds are common to all K blocks with
probability `tip_persistence`, else independent. The bid is the least that includes with the wanted probability.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from shaper.forecast import Curve, at_levels

Floats = NDArray[np.float64]
ELASTICITY, DENOMINATOR = 2, 8
SCENARIOS = 100
STEPS = 24  # halvings of the level that the bid is read at


class FeeError(ValueError):
    """A state of a chain or a rule about fees that cannot be."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class FeeRules:
    """How a chain takes orders: seconds per block and gas limit, the inclusion wanted, the cap of a bid.

    `targets` are (tier, inclusion), other tiers want `inclusion`. `correlation` is that of
    the utilisations of two blocks, `tip_persistence` see above. No bid is below `least_of_next` times the next base fee: patient
    orders may wait for a cheaper block (0), but some nodes refuse what the next block could not include (1). Raises FeeError.
    """

    chain: str
    block_s: float = 12.0
    gas_limit: int = 30_000_000
    inclusion: float = 0.99
    targets: tuple[tuple[str, float], ...] = ()
    max_fee_wei: int = 10**13
    correlation: float = 0.5
    tip_persistence: float = 0.5
    least_of_next: float = 0.0

    def __post_init__(self) -> None:
        """Check every number."""
        wanted = (self.inclusion, *(target for _, target in self.targets))
        shares = (self.correlation, self.tip_persistence)
        if not (self.block_s > 0 and self.gas_limit >= ELASTICITY and self.max_fee_wei > 0):
            raise FeeError(f"expected positive block_s, gas_limit and max_fee_wei, found {self}")
        if not self.least_of_next >= 0:
            raise FeeError(f"expected least_of_next of 0 or more, found {self.least_of_next}")
        if not (all(0 < target < 1 for target in wanted) and all(0 <= share <= 1 for share in shares)):
            raise FeeError(f"expected inclusion in (0, 1), correlation and tip_persistence in 0..1, found {self}")

    def target(self, tier: str) -> float:
        """Inclusion probability wanted for a tier."""
        return dict(self.targets).get(tier, self.inclusion)


@dataclass(frozen=True, slots=True)
class ChainState:
    """A chain at its newest block: the next base fee, and quantiles at `levels` of recent utilisation (0..1) and tips (wei)."""

    next_base_fee_wei: int
    levels: Curve
    utilisation: Curve
    tip_wei: Curve

    def __post_init__(self) -> None:
        """Check the base fee and the curves."""
        curves = (self.utilisation, self.tip_wei)
        if not (self.next_base_fee_wei >= 0 and all(len(curve) == len(self.levels) > 0 for curve in curves)):
            raise FeeError(f"expected a base fee of 0 or more and curves of {len(self.levels)} levels, found {self}")


@dataclass(frozen=True, slots=True)
class Bid:
    """A bid and the probability that it is included by its last block."""

    max_fee_wei: int
    tip_wei: int
    inclusion: float


def next_base_fee(base_fee_wei: int, gas_used: int, gas_limit: int) -> int:
    """Base fee of the next block in wei, exactly as EIP-1559 says."""
    target = gas_limit // ELASTICITY
    change = base_fee_wei * abs(gas_used - target) // target // DENOMINATOR
    if gas_used > target:
        return base_fee_wei + max(change, 1)
    return base_fee_wei - change


def base_fee_path(base_fee_wei: int, utilisations: Iterable[float], gas_limit: int) -> tuple[int, ...]:
    """Base fees of a block and its successors, given the utilisation (0..1) of each; the first is `base_fee_wei` itself."""
    path = [base_fee_wei]
    for utilisation in utilisations:
        path.append(next_base_fee(path[-1], round(min(max(utilisation, 0.0), 1.0) * gas_limit), gas_limit))
    return tuple(path)


def base_fee_scenarios(rules: FeeRules, state: ChainState, blocks: int) -> Floats:
    """Base fees (scenario, block) of the next `blocks` blocks; scenarios are equally likely and ascending."""
    normal, levels = NormalDist(), [(i + 0.5) / SCENARIOS for i in range(SCENARIOS)]
    shrink = math.sqrt((1 + max(blocks - 2, 0) * rules.correlation) / max(blocks - 1, 1))
    shrunk = tuple(normal.cdf(normal.inv_cdf(level) * shrink) for level in levels)
    used = at_levels(state.levels, state.utilisation, shrunk)
    paths = [base_fee_path(state.next_base_fee_wei, [value] * (blocks - 1), rules.gas_limit) for value in used]
    return np.array(paths, dtype=np.float64)


def tip_chance(state: ChainState, tip_wei: Floats) -> Floats:
    """Probability that a tip reaches a block's threshold: the level at which tips are that high, 0 below 0."""
    curve = np.array(state.tip_wei, dtype=np.float64)
    above = np.interp(tip_wei, np.array([0.0, *curve, 2 * curve[-1] + 1]), np.array([0.0, *state.levels, 1.0]))
    return np.where(tip_wei < 0, 0.0, above)


def inclusion(rules: FeeRules, state: ChainState, scenarios: Floats, max_fee_wei: float, tip_wei: float) -> float:
    """Probability that a bid is included by the last block of the scenarios."""
    chances = tip_chance(state, np.minimum(tip_wei, max_fee_wei - scenarios))
    common, independent = chances.max(axis=1), 1 - np.prod(1 - chances, axis=1)
    return float((rules.tip_persistence * common + (1 - rules.tip_persistence) * independent).mean())


def bid_for(rules: FeeRules, state: ChainState, target: float, blocks: int) -> Bid:
    """The least bid that is included within `blocks` blocks with the target probability, or the cap's where none is.

    Tip and base fee are read at one common level, the least that will do.
    """
    scenarios = base_fee_scenarios(rules, state, blocks)
    needed = np.sort(scenarios.min(axis=1))  # waiting for the cheapest block is enough
    least = rules.least_of_next * state.next_base_fee_wei

    def at(level: float) -> Bid:
        tip = max(at_levels(state.levels, state.tip_wei, (level,))[0], 0.0)
        base = needed[min(math.ceil(level * SCENARIOS), SCENARIOS - 1)]
        max_fee = min(math.ceil(max(base + tip, least)), rules.max_fee_wei)
        paid = min(math.ceil(tip), max_fee)
        return Bid(max_fee, paid, inclusion(rules, state, scenarios, max_fee, paid))

    low, high = 1e-4, 1 - 1e-4
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if at(middle).inclusion >= target else (middle, high)
    return at(high)
