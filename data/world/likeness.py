"""A world calibrated to a recorded history: what can be read off is, the rest is found by simulating and comparing.

Decided here: which constants follow the history. Prices, limits, clocks, seasons, volumes and funding are measured directly.
Levels, spreads, jumps and gas wars act together, so they are moved until a simulated world shows the history's facts (indirect
inference: Gourieroux, Monfort and Renault 1993), a few times over. Everything else stays as in the measured world.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from data.errors import DataError
from data.history import History, Memory, Tables
from data.world import chain, market, orders, script
from data.world.constants import Chain, Market, Orders, Swing, World
from data.world.facts import Facts, measure
from data.world.generate import START
from data.world.noise import Chance, Clock
from data.world.orders import Happened
from data.world.profiles import read_chain, read_market, read_orders

ROUNDS = 4
MOST_BLOCKS = 400_000
PANEL_DAYS, ORDER_DAYS = 60, 7
SEED = 0
HURRY = 0.7  # of what is missing is made up in a round, where effects are not one to one
LEAST_DEVIATION = 0.05


def like(history: History, tell: Callable[[float, str], None], rounds: int = ROUNDS) -> World:
    """The world whose facts are those of a history. Raises DataError when it has none of the tables that a world has."""
    if not history.tables & {"bars", "blocks", "request_counts"}:
        raise DataError(
            history.where,
            expected="a table bars, blocks or request_counts",
            found=", ".join(sorted(history.tables)),
            remedy="calibrate to a history that has one of them",
        )
    tell(0.0, "measuring")
    wanted = measure(history)
    world = directly(World(), history)
    for number in range(rounds):
        tell((number + 0.5) / rounds, f"calibrating, round {number + 1} of {rounds}")
        world = nudged(world, wanted, measure(sample(world)))
    return world


def directly(world: World, history: Tables) -> World:
    """The world with all that can be read off a history."""
    return replace(
        world,
        market=read_market(world.market, history),
        chain=read_chain(world.chain, history),
        orders=read_orders(world.orders, history),
    )


def sample(world: World) -> Tables:
    """Prices and blocks of some weeks, and the orders of one."""
    days = min(PANEL_DAYS, MOST_BLOCKS * world.chain.slot_s / 86400)
    chance = Chance(SEED)
    long = Clock(int(START.timestamp()), world.step_s, int(days * 86400) // market.BAR_S * market.BAR_S // world.step_s)
    happened = happening(world, long, chance)
    short = replace(long, count=min(long.count, ORDER_DAYS * 86400 // world.step_s))
    causes = orders.causes(world.orders, happening(world, short, chance), short, chance)
    return Memory(
        {
            "bars": market.bars(world.market, happened.path, long, chance),
            "blocks": chain.table(world.chain, happened.blocks),
            "request_counts": orders.table(world.orders, causes, short, chance),
        }
    )


def happening(world: World, clock: Clock, chance: Chance) -> Happened:
    """Path and blocks of a world without episodes."""
    plot = script.write((), clock, chance)
    path = market.simulate(world.market, plot, clock, chance)
    return Happened(path, chain.simulate(world.chain, path, plot, clock, chance), plot)


def nudged(world: World, wanted: Facts, found: Facts) -> World:
    """The world moved towards the wanted facts; what either side cannot tell stays."""
    return replace(
        world,
        market=nudged_market(world.market, wanted, found),
        chain=nudged_chain(world.chain, wanted, found),
        orders=nudged_orders(world.orders, wanted, found),
    )


def nudged_market(market: Market, wanted: Facts, found: Facts) -> Market:
    """Level, spread, jumps and correlation of the prices."""
    return replace(
        market,
        log_volatility=market.log_volatility + missing("log_volatility", wanted, found),
        slow=spread(market.slow, "log_volatility_sd", wanted, found),
        jump_scale=market.jump_scale * ratio("large_move", wanted, found, 0.5),
        correlation=float(np.clip(market.correlation + missing("correlation", wanted, found), 0.02, 0.99)),
    )


def nudged_chain(chain: Chain, wanted: Facts, found: Facts) -> Chain:
    """Level, spread, gas wars and noise of the base fee, and the market's part in it."""
    return replace(
        chain,
        log_fee=chain.log_fee + math.log(ratio("base_fee", wanted, found, 1.0)),
        slow=spread(chain.slow, "log_fee_sd", wanted, found),
        wars_per_day=chain.wars_per_day * ratio("surges", wanted, found, HURRY),
        block_noise=chain.block_noise * ratio("utilisation_sd", wanted, found, HURRY),
        market_gain=chain.market_gain * ratio("lead_0.01", wanted, found, 0.5),
    )


def nudged_orders(orders: Orders, wanted: Facts, found: Facts) -> Orders:
    """Rates of all tiers, and how bursts add to them."""
    scale = ratio("orders_per_s", wanted, found, 1.0)
    tiers = tuple(replace(tier, rate_per_s=tier.rate_per_s * scale) for tier in orders.tiers)
    return replace(orders, tiers=tiers, frenzy_scale=orders.frenzy_scale * ratio("bursts", wanted, found, 0.5))


def missing(name: str, wanted: Facts, found: Facts) -> float:
    """What a fact lacks; 0 where it cannot be told."""
    ours, theirs = found.value(name), wanted.value(name)
    return 0.0 if ours is None or theirs is None else theirs - ours


def ratio(name: str, wanted: Facts, found: Facts, power: float) -> float:
    """The factor a fact lacks, to a power and at most 2 either way; 1 where it cannot be told or is not positive."""
    ours, theirs = found.value(name), wanted.value(name)
    if ours is None or theirs is None or ours <= 0 or theirs <= 0:
        return 1.0
    return float(np.clip((theirs / ours) ** power, 0.5, 2.0))


def spread(swing: Swing, name: str, wanted: Facts, found: Facts) -> Swing:
    """A swing whose variance makes up for what a deviation lacks."""
    ours, theirs = found.value(name), wanted.value(name)
    if ours is None or theirs is None:
        return swing
    variance = swing.deviation**2 + HURRY * (theirs**2 - ours**2)
    return replace(swing, deviation=math.sqrt(max(variance, LEAST_DEVIATION**2)))
