"""Blocks: gas demand with a season, gas wars and the market's echo meets the base fee of EIP-1559."""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.world.constants import DAY_S, MINUTE_S, Chain
from data.world.market import Path, heat, stamps
from data.world.noise import Chance, Clock, Series, periodic, smoothed, swelling
from data.world.script import Script

GWEI = 1e9
CHAIN = "ethereum"
DENOMINATOR = 8  # EIP-1559 BASE_FEE_MAX_CHANGE_DENOMINATOR
ELASTICITY = 2  # EIP-1559 ELASTICITY_MULTIPLIER: the target is the limit divided by it


@dataclass(frozen=True)
class Blocks:
    """Blocks in order: start of their slot (seconds since 1970), base fee in wei and gas used.

    `wanted` is ln of the fee in gwei at which the block's demand for gas would be the target.
    """

    times_s: NDArray[np.int64]
    base_fees: NDArray[np.int64]
    gas_used: NDArray[np.int64]
    wanted: Series


def simulate(chain: Chain, path: Path, script: Script, clock: Clock, chance: Chance) -> Blocks:
    """All blocks whose slots start on the clock."""
    times = _slots(chain, clock, chance)
    # A block meets the demand of the step before its own, so that nothing later than its time can enter it.
    steps = np.maximum((times - clock.start_s) // clock.step_s - 1, 0)
    wanted = (equilibrium(chain, path, clock, chance) + script.fee)[steps]
    gaps = np.diff(times, prepend=times[0] - chain.slot_s) / chain.slot_s
    noise = chance.stream("block noise").standard_normal(len(times)) * chain.block_noise - chain.block_noise**2 / 2
    base_fees, gas_used = _blocks(chain, wanted, noise + 0.5 * np.log(gaps))
    return Blocks(times, base_fees, gas_used, wanted)


def equilibrium(chain: Chain, path: Path, clock: Clock, chance: Chance) -> Series:
    """Natural logarithm of the base fee in gwei at which gas demand meets the target, by step."""
    level = chain.log_fee + periodic(clock.times_s, chain.hours, DAY_S) + chain.market_level * path.slow
    for name, swing in (("slow", chain.slow), ("medium", chain.medium), ("fast", chain.fast)):
        level = level + chance.swing(f"gas {name}", swing, clock)
    return level + _wars(chain, clock, chance) + _echo(chain, path, clock)


def next_base_fee(base_fee: int, gas_used: int, gas_limit: int) -> int:
    """Base fee in wei of the block after one, in the integers of EIP-1559."""
    target = gas_limit // ELASTICITY
    change = base_fee * abs(gas_used - target) // target // DENOMINATOR
    return base_fee + max(change, 1) if gas_used > target else base_fee - change


def table(chain: Chain, blocks: Blocks) -> pl.DataFrame:
    """The canonical `blocks`, sorted by number."""
    count = len(blocks.times_s)
    return pl.DataFrame(
        {
            "chain": [CHAIN] * count,
            "number": chain.first_number + np.arange(count, dtype=np.int64),
            "ts": stamps(blocks.times_s),
            "base_fee_wei": blocks.base_fees,
            "gas_used": blocks.gas_used,
            "gas_limit": np.full(count, chain.gas_limit, np.int64),
        }
    )


def _slots(chain: Chain, clock: Clock, chance: Chance) -> NDArray[np.int64]:
    """Times of the slots that got a block; the first one always does."""
    times = np.arange(clock.start_s, clock.start_s + clock.count * clock.step_s, chain.slot_s, dtype=np.int64)
    found = chance.stream("missed slots").random(len(times)) >= chain.missed
    found[0] = True
    return times[found]


def _wars(chain: Chain, clock: Clock, chance: Chance) -> Series:
    """Log fee added by gas wars that have no cause in the market."""
    counts = chance.events("gas wars", np.full(clock.count, chain.wars_per_day * clock.step_s / DAY_S))
    sizes = chance.impulses("gas war sizes", counts, chain.war_scale)
    total = np.zeros(clock.count)
    for memory_s, part in zip(
        chain.war_memories_s, chance.dealt("gas war kinds", sizes, chain.war_shares), strict=True
    ):
        total += swelling(part, chain.war_rise_s, memory_s, clock.step_s)
    return total


def _echo(chain: Chain, path: Path, clock: Clock) -> Series:
    """Log fee added by a volatile market: what exceeds the usual by the threshold, minutes later."""
    excess = np.maximum(heat(path.eth, 2 * MINUTE_S, clock.step_s) - chain.market_threshold, 0.0)
    late = smoothed(smoothed(excess, chain.market_delay_s, clock.step_s), chain.market_delay_s, clock.step_s)
    return chain.market_gain * late


def _blocks(chain: Chain, wanted: Series, noise: Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Base fees and gas used, block after block: each fee follows from the block before, each demand from the fee."""
    fee = round(math.exp(wanted[0]) * GWEI)
    target, limit = chain.gas_limit // ELASTICITY, chain.gas_limit
    fees, used = [], []
    for level, disturbance in zip(wanted.tolist(), noise.tolist(), strict=True):
        pull = chain.elasticity * (level - math.log(fee / GWEI))
        gas = min(int(target * math.exp(min(pull + disturbance, 3.0))), limit)
        fees.append(fee)
        used.append(gas)
        fee = next_base_fee(fee, gas, limit)
    return np.array(fees, np.int64), np.array(used, np.int64)
