"""Settlement nodes by the minute: what they take, how fast they answer, what they charge, and when they are down.

Decided here: each node has brownouts and outages of its own; scripted ones come on top and take a whole chain; fees and the
settlement chain's latency follow its base fee.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.world.chain import CHAIN, GWEI
from data.world.constants import DAY_S, Market, Network, Node
from data.world.market import stamps
from data.world.noise import Chance, Clock, Series, fading
from data.world.orders import Happened, fee_surprise
from data.world.script import Script, shape


@dataclass(frozen=True)
class State:
    """A node by sample: ln of the factors on its capacity and its latency, and whether it is up."""

    capacity: Series
    latency: Series
    up: NDArray[np.bool_]


def table(network: Network, market: Market, happened: Happened, clock: Clock, chance: Chance) -> pl.DataFrame:
    """The canonical `nodes`, sorted by node and time."""
    samples = Clock(clock.start_s, network.sample_s, clock.count * clock.step_s // network.sample_s)
    gas_usd = network.gas_per_order * gas_price_usd(market, happened, clock, samples)
    crowd = network.crowding * fee_surprise(happened.blocks, samples)
    frames = [
        _rows(
            node,
            state(network, node, happened.script, samples, chance),
            gas_usd * (1.0 if node.chain == CHAIN else network.batched),
            crowd if node.chain == CHAIN else np.zeros(samples.count),
        ).insert_column(0, stamps(samples.times_s.astype(np.int64)))
        for node in sorted(network.nodes, key=lambda one: one.name)
    ]
    return pl.concat(frames)


def state(network: Network, node: Node, script: Script, samples: Clock, chance: Chance) -> State:
    """How a node is doing: by its own bad luck, and by the script's episodes on its chain."""
    dimmed = _brownouts(network, node, samples, chance)
    capacity = chance.swing(f"capacity {node.name}", network.wobble, samples) - dimmed
    latency = chance.swing(f"latency {node.name}", network.latency_swing, samples) + dimmed
    up = _up(network, node, samples, chance)
    mates = [one.name for one in network.nodes if one.chain == node.chain]
    for one in script.occasions:
        if one.episode.chain == node.chain:
            height = shape(one, samples)
            capacity = capacity + math.log(one.episode.capacity) * height
            latency = latency + math.log(one.episode.latency) * height
            is_hit = mates.index(node.name) < math.ceil(one.episode.down * len(mates))
            up = up & ~((height > 0.5) & is_hit)
    return State(capacity, latency, up)


def gas_price_usd(market: Market, happened: Happened, clock: Clock, samples: Clock) -> Series:
    """What one gas costs at each sample in USD, by the newest block and the price before."""
    blocks = happened.blocks
    newest = np.maximum(np.searchsorted(blocks.times_s, samples.times_s) - 1, 0)
    log_price = math.log(market.start_usd[0]) + np.concatenate([[0.0], np.cumsum(happened.path.eth)])
    steps = (samples.times_s - clock.start_s).astype(np.int64) // clock.step_s
    usd: Series = blocks.base_fees[newest] / GWEI / 1e9 * np.exp(log_price[steps])
    return usd


def _rows(node: Node, state: State, gas_usd: Series, crowd: Series) -> pl.DataFrame:
    """One node's columns but for the time."""
    count = len(state.up)
    return pl.DataFrame(
        {
            "node": [node.name] * count,
            "chain": [node.chain] * count,
            "operator": [node.operator] * count,
            "region": [node.region] * count,
            "capacity_per_s": np.round(node.capacity_per_s * np.exp(state.capacity) * state.up, 3),
            "latency_s": np.round(node.latency_s * np.exp(state.latency + crowd), 4),
            "fee_usd": np.round(node.fee_usd + gas_usd, 6),
            "up": state.up.astype(np.int64),
        }
    )


def _brownouts(network: Network, node: Node, samples: Clock, chance: Chance) -> Series:
    """-ln of the capacity that brownouts leave: each strikes at once and fades."""
    means = np.full(samples.count, node.brownouts_per_day * samples.step_s / DAY_S)
    sizes = chance.impulses(
        f"brownout sizes {node.name}", chance.events(f"brownouts {node.name}", means), network.brownout_depth
    )
    return np.minimum(fading(sizes, network.brownout_memory_s, samples.step_s), network.brownout_most)


def _up(network: Network, node: Node, samples: Clock, chance: Chance) -> NDArray[np.bool_]:
    """Whether the node is up: outages begin by chance and last for an exponential time."""
    means = np.full(samples.count, node.outages_per_day * samples.step_s / DAY_S)
    begins = np.flatnonzero(chance.events(f"outages {node.name}", means))
    lengths_s = chance.stream(f"outage lengths {node.name}").exponential(network.outage_s, len(begins))
    ends = begins + 1 + (lengths_s // samples.step_s).astype(np.int64)
    edges = np.bincount(begins, minlength=samples.count + 1) - np.bincount(
        np.minimum(ends, samples.count), minlength=samples.count + 1
    )
    is_up: NDArray[np.bool_] = np.cumsum(edges)[: samples.count] == 0
    return is_up
