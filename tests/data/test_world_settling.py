"""Pending transactions and settlement nodes: nothing is lost, bids are served from the top, chains stay in character."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from data.world.chain import Blocks
from data.world.constants import Chain, Network, Pool, World
from data.world.generate import START, generate
from data.world.mempool import arrivals, simulate, table
from data.world.noise import Chance, Clock

STILL = replace(Pool(), swing=replace(Pool().swing, deviation=0.0))
COUNT = 300


def blocks(level: float = 3.0, gas: int = 15_000_000) -> Blocks:
    times = np.arange(COUNT, dtype=np.int64) * 12
    fee = round(float(np.exp(level)) * 1e9)
    return Blocks(times, np.full(COUNT, fee, np.int64), np.full(COUNT, gas, np.int64), np.full(COUNT, level))


def test_gas_that_arrives_is_waiting_included_or_has_given_up() -> None:
    found = simulate(STILL, Chain(), blocks(), Chance(1))
    stayed = math.exp(-12 / STILL.patience_s) * found.waiting[:-1]
    assert found.waiting[1:] == pytest.approx(stayed + found.arrived[1:] - found.included[1:])
    impatient = simulate(replace(STILL, patience_s=60.0), Chain(), blocks(), Chance(1))
    assert impatient.waiting[-1].sum() < 0.2 * found.waiting[-1].sum()


def test_the_pool_is_in_balance_when_the_world_begins() -> None:
    pending = simulate(STILL, Chain(), blocks(), Chance(1)).waiting.sum(1)
    assert pending[-1] == pytest.approx(pending[0], rel=0.1)


def test_a_block_holds_what_it_used_from_the_pool_or_in_private() -> None:
    found = simulate(STILL, Chain(), blocks(), Chance(1))
    assert found.included.sum(1) + found.private == pytest.approx(np.full(COUNT, 15e6))
    assert (found.included >= 0).all()
    assert (found.private >= 0).all()


def test_higher_bids_are_included_before_lower_ones() -> None:
    found = simulate(STILL, Chain(), blocks(), Chance(1))
    lowest_taken = np.array([np.flatnonzero(row)[0] for row in found.included])
    for row, place in zip(found.waiting, lowest_taken, strict=True):
        assert row[place + 1 :].sum() == pytest.approx(0.0, abs=1e-6)


def test_bids_above_the_equilibrium_are_the_demand_of_the_base_fee() -> None:
    chain, pool = Chain(), STILL
    came = arrivals(pool, chain, np.full(3, np.log(20.0)), Chance(1))[0]
    for fee in (28.0, 50.0, 100.0):
        above = came[pool.edges_gwei.index(fee) + 1 :].sum()
        assert above == pytest.approx(15e6 * (20.0 / fee) ** chain.elasticity)
    assert came.sum() == pytest.approx(15e6 * (pool.most + pool.waiting))
    assert (came >= 0).all()


def test_a_rising_fee_finds_more_pending_and_higher_bids() -> None:
    clock = Clock(0, 5, 12 * COUNT // 5)
    rising = blocks()
    rising.wanted[200:] += 0.7
    calm, war = (table(STILL, simulate(STILL, Chain(), one, Chance(1)), one, clock) for one in (blocks(), rising))
    assert war["pending_count"][-1] > 1.1 * calm["pending_count"][-1]
    assert war["weight_above_20"][-1] > 2 * calm["weight_above_20"][-1]
    assert war["arrivals_per_s"][-1] > calm["arrivals_per_s"][-1]
    assert war[: 200 * 12 // 60 - 1].equals(calm[: 200 * 12 // 60 - 1])


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return generate(3.0, 2)


def test_weights_above_higher_fees_are_smaller(tables: dict[str, pl.DataFrame]) -> None:
    pool = tables["mempool"]
    columns = ["pending_weight", *(f"weight_above_{fee}" for fee in (5, 10, 20, 50, 100))]
    for more, less in pairwise(columns):
        assert (pool[more] >= pool[less]).all()
    assert (pool["fee_min"] <= pool["fee_slow"]).all()


def test_nodes_are_sampled_by_the_minute_and_the_chain_is_dear_where_blocks_are(
    tables: dict[str, pl.DataFrame],
) -> None:
    nodes = tables["nodes"]
    assert nodes.height == 8 * 3 * 1440
    cost = dict(nodes.group_by("chain").agg(pl.col("fee_usd").median()).iter_rows())
    assert cost["basalt"] < cost["amber"] < cost["ethereum"]


def test_a_node_that_is_down_takes_nothing(tables: dict[str, pl.DataFrame]) -> None:
    nodes = tables["nodes"]
    assert nodes.filter(pl.col("up") == 0)["capacity_per_s"].max() == 0
    assert nodes.filter(pl.col("up") == 1)["capacity_per_s"].min() > 0


def test_outages_last_as_long_as_they_should() -> None:
    fragile = tuple(replace(node, outages_per_day=4.0) for node in Network().nodes)
    world = World(network=replace(Network(), nodes=fragile))
    down = 1 - generate(10.0, 1, world=world)["nodes"]["up"].mean()
    assert down == pytest.approx(4 * 12 / 1440, rel=0.25)


def test_a_brownout_slows_a_node_as_much_as_it_dims_it(tables: dict[str, pl.DataFrame]) -> None:
    amber = tables["nodes"].filter((pl.col("chain") == "amber") & (pl.col("up") == 1))
    dim = amber.filter(pl.col("capacity_per_s") < 0.5 * pl.col("capacity_per_s").median().over("node"))
    assert dim.height > 5
    for (node,), rows in dim.partition_by("node", as_dict=True).items():
        usual = amber.filter(pl.col("node") == node)["latency_s"].median()
        assert rows["latency_s"].median() > 1.5 * usual


def test_the_world_begins_with_its_first_minute(tables: dict[str, pl.DataFrame]) -> None:
    assert tables["nodes"]["ts"].min() == START
    assert (tables["mempool"]["ts"].min() - START).total_seconds() == 60
