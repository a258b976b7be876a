"""Orders by second and tier: the market's heat, fees, the clock, frenzies that feed on themselves, and outbreaks."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.world.chain import GWEI, Blocks
from data.world.constants import DAY_S, HOUR_S, Orders, OrderTier
from data.world.market import FUNDING_S, Path, heat, stamps
from data.world.noise import Chance, Clock, Series, delayed, fading, humped, periodic, smoothed, swelling
from data.world.script import Script

STEPS_AT_ONCE = 1 << 16  # of the clock whose seconds are drawn together, so that memory stays small


@dataclass(frozen=True)
class Happened:
    """What orders answer to: the market's path, the blocks and the script."""

    path: Path
    blocks: Blocks
    script: Script


@dataclass(frozen=True)
class Causes:
    """What drives the orders, by step: three logarithms of factors, and three bursts in calm rates."""

    mood: Series
    heat: Series
    fees: Series
    frenzy: Series
    cascade: Series
    clock: Series


def causes(orders: Orders, happened: Happened, clock: Clock, chance: Chance) -> Causes:
    """The causes of orders; at a step they hold nothing of the market or the chain but of earlier steps."""
    felt = heat(happened.path.eth, orders.heat_memory_s, clock.step_s)
    return Causes(
        mood=_mood(orders, clock, chance) + happened.script.demand,
        heat=orders.heat_share * felt,
        fees=fee_surprise(happened.blocks, clock),
        frenzy=_frenzies(orders, felt, clock, chance) + _outbreaks(orders, clock, chance),
        cascade=_cascades(orders, happened.path, clock) + happened.script.cascade,
        clock=_rush(orders, clock, chance),
    )


def rate(tier: OrderTier, causes: Causes) -> Series:
    """Orders of a tier per second, by step."""
    usual = np.exp(causes.mood + tier.heat * causes.heat + tier.fees * causes.fees)
    bursts = tier.frenzy * causes.frenzy + tier.cascade * causes.cascade + tier.clock * causes.clock
    return tier.rate_per_s * usual * (1 + bursts)


def table(orders: Orders, causes: Causes, clock: Clock, chance: Chance) -> pl.DataFrame:
    """The canonical `request_counts` by second and tier, sorted; where a tier had no order in a second it has no row."""
    rates = np.stack([rate(tier, causes) for tier in orders.tiers], axis=1)
    names = pl.Series("tier", [tier.name for tier in orders.tiers])
    draws = chance.stream("orders")
    frames = []
    for first in range(0, clock.count, STEPS_AT_ONCE):
        part = np.repeat(rates[first : first + STEPS_AT_ONCE], clock.step_s, axis=0)
        frames.append(_rows(draws.poisson(part), clock.start_s + first * clock.step_s, names))
    return pl.concat(frames)


def _rows(counts: NDArray[np.int64], start_s: int, names: pl.Series) -> pl.DataFrame:
    """Rows of the counts (seconds, tiers) that are not zero."""
    seconds, places = np.nonzero(counts)
    return pl.DataFrame(
        {
            "ts": stamps(start_s + seconds),
            "count": counts[seconds, places],
            "tier": names.gather(places),
        }
    )


def _mood(orders: Orders, clock: Clock, chance: Chance) -> Series:
    """Natural logarithm of the activity that has no cause we know: the hour, hours of more and less, minutes of more and less."""
    medium = chance.swing("orders medium", orders.medium, clock)
    return (
        periodic(clock.times_s, orders.hours, DAY_S)
        + chance.swing("orders slow", orders.slow, clock)
        + smoothed(medium, orders.build_up_s, clock.step_s)
        + chance.swing("orders flutter", orders.flutter, clock)
    )


def fee_surprise(blocks: Blocks, clock: Clock) -> Series:
    """Log base fee above its average of the last 2 h, by step, from blocks before the step."""
    # At a step the newest block is the last one whose slot began before it; the first block serves before there is one.
    newest = np.maximum(np.searchsorted(blocks.times_s, clock.times_s) - 1, 0)
    log_fee = np.log(blocks.base_fees / GWEI)[newest]
    return log_fee - smoothed(log_fee, 2 * HOUR_S, clock.step_s)


def _frenzies(orders: Orders, felt: Series, clock: Clock, chance: Chance) -> Series:
    """Bursts of attention, in calm rates: more likely in a hot market, and calling for more of their kind."""
    per_step = orders.frenzies_per_day * clock.step_s / DAY_S * np.exp(np.clip(felt, -1.0, 2.0))
    counts = chance.cluster("frenzies", per_step, orders.frenzy_echo, clock.step_s)
    sizes = chance.impulses("frenzy sizes", counts, orders.frenzy_scale, orders.frenzy_shape)
    total = np.zeros(clock.count)
    parts = chance.dealt("frenzy kinds", sizes, orders.frenzy_shares)
    for peak_s, part in zip(orders.frenzy_peaks_s, parts, strict=True):
        total += humped(part, peak_s, clock.step_s)
    return total


def _outbreaks(orders: Orders, clock: Clock, chance: Chance) -> Series:
    """Bursts that nothing announces, in calm rates."""
    counts = chance.events("outbreaks", np.full(clock.count, orders.outbreaks_per_day * clock.step_s / DAY_S))
    sizes = chance.impulses("outbreak sizes", counts, orders.outbreak_scale)
    return fading(sizes, orders.outbreak_memory_s, clock.step_s)


def _cascades(orders: Orders, path: Path, clock: Clock) -> Series:
    """Liquidations after jumps, in calm rates: each sets off the next until the price holds."""
    jumps = delayed(path.jumps, 1) * orders.cascade_scale
    return swelling(jumps, orders.cascade_peak_s, orders.cascade_memory_s, clock.step_s)


def _rush(orders: Orders, clock: Clock, chance: Chance) -> Series:
    """Rushes around every full hour, in calm rates: known in time, not in size."""
    times = clock.times_s
    # Nearest full hour, and seconds from it; the hours of the clock's ends count too.
    hour = np.round(times / HOUR_S).astype(np.int64)
    away_s = times - hour * HOUR_S
    first = int(hour[0])
    spread = chance.stream("rush sizes").standard_normal(int(hour[-1]) - first + 1) * orders.rush_spread
    funding = np.arange(first, first + len(spread)) % (FUNDING_S // int(HOUR_S)) == 0
    sizes = (orders.hour_rush + np.where(funding, orders.funding_rush, 0.0)) * np.exp(spread)
    return sizes[hour - first] * np.exp(np.where(away_s < 0, away_s / orders.rush_rise_s, -away_s / orders.rush_fade_s))
