"""Prices: volatility with memory, jumps in clusters, BTC a little ahead of ETH; and the bars and funding seen of them."""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.world.constants import DAY_S, HOUR_S, Market
from data.world.noise import Chance, Clock, Series, delayed, fading, periodic, recursion, smoothed
from data.world.script import Script

SYMBOLS = ("ETH-PERP", "BTC-PERP")
DECIMALS = (2, 1)
BAR_S = 300
FUNDING_S = 8 * 3600
WEEK_S = 7 * DAY_S
MONDAY_S = 4 * DAY_S  # 1970-01-05, the first Monday


@dataclass(frozen=True)
class Path:
    """What the market did on the clock: log returns by step of ETH and BTC, jump sizes, and how volatile it was.

    `jumps` are sizes in mean jumps, forced sales among them; `slow` is the slow part of the log-volatility.
    """

    eth: Series
    btc: Series
    jumps: Series
    slow: Series


def simulate(market: Market, script: Script, clock: Clock, chance: Chance) -> Path:
    """The market's path, with what the script does to it; liquidations are still to come."""
    slow = chance.swing("volatility slow", market.slow, clock)
    calm = slow + _season(market, clock) + script.volatility
    for name, swing in (("medium", market.medium), ("fast", market.fast), ("flicker", market.flicker)):
        calm = calm + chance.swing(f"volatility {name}", swing, clock)
    jumps = _jumps(market, calm, clock, chance)
    shock = np.log1p(market.shock * fading(jumps, market.shock_memory_s, clock.step_s))
    moves = _moves(market, np.exp(market.log_volatility + market.jump_size_pull * calm), jumps, clock, chance)
    eth, btc = _returns(market, np.exp(market.log_volatility + calm + shock), moves, clock, chance)
    return Path(eth + script.move, btc + market.btc_ratio * script.move, jumps, slow)


def heat(returns: Series, memory_s: float, step_s: int) -> Series:
    """Log of the volatility of the last `memory_s` over that of the last 6 h, from returns of earlier steps only."""
    floor = 1e-12  # a squared return of a hundredth of a basis point: a market that stands still is merely calm
    recent, usual = (smoothed(returns * returns, memory, step_s) + floor for memory in (memory_s, 6 * HOUR_S))
    return delayed(0.5 * np.log(recent / usual), 1)


def bars(market: Market, path: Path, clock: Clock, chance: Chance) -> pl.DataFrame:
    """The canonical `bars` of both symbols, sorted by symbol and time."""
    frames = [_bars_of(place, market, returns, clock, chance) for place, returns in ((1, path.btc), (0, path.eth))]
    return pl.concat(frames)


def funding(market: Market, path: Path, clock: Clock, chance: Chance) -> pl.DataFrame:
    """The canonical `funding` of both symbols at 00, 08 and 16 h UTC: it follows the day's return."""
    first = -clock.start_s % FUNDING_S // clock.step_s
    steps = np.arange(first, clock.count, FUNDING_S // clock.step_s)
    frames = []
    for symbol, returns in ((SYMBOLS[1], path.btc), (SYMBOLS[0], path.eth)):
        swing = chance.swing(f"funding {symbol}", market.funding_swing, Clock(clock.start_s, FUNDING_S, len(steps)))
        total = np.concatenate([[0.0], np.cumsum(returns)])
        day = total[steps] - total[np.maximum(steps - int(DAY_S) // clock.step_s, 0)]
        rates = np.round(market.funding_mean + swing + market.funding_pull * day, 8)
        times = stamps(clock.start_s + steps * clock.step_s)
        frames.append(pl.DataFrame({"symbol": [symbol] * len(steps), "ts": times, "rate": rates}))
    return pl.concat(frames)


def stamps(seconds: NDArray[np.int64]) -> pl.Series:
    """Seconds since 1970 as a UTC datetime column in milliseconds."""
    return pl.Series("ts", seconds * 1000).cast(pl.Datetime("ms", "UTC"))


def _season(market: Market, clock: Clock) -> Series:
    """Log volatility by hour of day and day of week."""
    times = clock.times_s
    return periodic(times, market.hours, DAY_S) + periodic(times, market.weekdays, WEEK_S, MONDAY_S)


def _jumps(market: Market, calm: Series, clock: Clock, chance: Chance) -> Series:
    """Sizes of the jumps by step, in mean jumps; each may call for more."""
    per_step = market.jumps_per_day * clock.step_s / DAY_S * np.exp(market.jump_rate_pull * np.minimum(calm, 2.0))
    counts = chance.cluster("jumps", per_step, market.jump_echo, clock.step_s)
    return chance.impulses("jump sizes", counts, 1.0, market.jump_shape)


def _moves(market: Market, volatility: Series, jumps: Series, clock: Clock, chance: Chance) -> Series:
    """Log returns of ETH by step that jumps make: each is spread over some seconds, up or down alike."""
    signs = np.where(chance.stream("jump signs").random(clock.count) < 0.5, -1.0, 1.0)
    kept = math.exp(-clock.step_s / market.jump_spread_s)
    return (1 - kept) * recursion(signs * jumps * market.jump_scale * volatility, kept)


def _returns(market: Market, volatility: Series, moves: Series, clock: Clock, chance: Chance) -> tuple[Series, Series]:
    """Log returns by step of ETH and BTC: a common part that reaches ETH partly later, a part of their own, jumps."""
    common, eth_own, btc_own = (
        chance.stream(f"returns {name}").standard_normal(clock.count) for name in ("common", "eth", "btc")
    )
    later = int(market.lead_s) // clock.step_s
    led = (1 - market.led_share) * common + market.led_share * delayed(common, later)
    shared, own = math.sqrt(market.correlation), math.sqrt(1 - market.correlation)
    per_step = volatility * math.sqrt(clock.step_s / BAR_S)
    btc_scale = market.btc_ratio * np.exp(chance.swing("volatility btc", market.own, clock))
    eth = per_step * (shared * led + own * eth_own) + delayed(moves, later)
    btc = per_step * btc_scale * (shared * common + own * btc_own) + market.btc_ratio * moves
    return eth, btc


def _bars_of(place: int, market: Market, returns: Series, clock: Clock, chance: Chance) -> pl.DataFrame:
    """The bars of the symbol at `place`, from the first bar that starts on the clock."""
    steps = BAR_S // clock.step_s
    count = clock.count // steps
    log_price = math.log(market.start_usd[place]) + np.cumsum(returns[: count * steps])
    prices = np.round(np.exp(log_price), DECIMALS[place]).reshape(count, steps)
    opens = np.concatenate([[market.start_usd[place]], prices[:-1, -1]])
    high, low = np.maximum(prices.max(1), opens), np.minimum(prices.min(1), opens)
    return pl.DataFrame(
        {
            "symbol": [SYMBOLS[place]] * count,
            "ts": stamps(clock.start_s + BAR_S * np.arange(count)),
            "interval_s": np.full(count, BAR_S, np.int64),
            "open": opens,
            "high": high,
            "low": low,
            "close": prices[:, -1],
            "volume": _volume(place, market, np.log(high / low), Clock(clock.start_s, BAR_S, count), chance),
        }
    )


def _volume(place: int, market: Market, log_range: Series, clock: Clock, chance: Chance) -> Series:
    """Volume in coins by bar: it goes with the range."""
    ln_volatility = np.log(np.maximum(log_range / math.sqrt(4 * math.log(2)), 1e-5))
    name = SYMBOLS[place]
    left_over = chance.swing(f"volume {name}", market.volume_swing, clock)
    left_over += market.volume_noise * chance.stream(f"volume noise {name}").standard_normal(clock.count)
    volume: Series = np.exp(market.volume_intercept[place] + market.volume_slope[place] * ln_volatility + left_over)
    return np.round(volume, 3)
