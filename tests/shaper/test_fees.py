import math
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaper.fees import (
    ChainState,
    FeeError,
    FeeRules,
    base_fee_path,
    base_fee_scenarios,
    bid_for,
    inclusion,
    next_base_fee,
    tip_chance,
)
from shaper.forecast import at_levels
from shaper.observed import Observed
from shaper.plan import plan
from tests.shaper.ventures import LEVELS, forecast, venue

GWEI = 10**9
TIPS = tuple(GWEI * tip for tip in (0.02, 0.05, 0.1, 0.5, 1.0, 2.0, 4.0))
STATE = ChainState(20 * GWEI, LEVELS, (0.2, 0.25, 0.35, 0.5, 0.7, 0.9, 0.98), TIPS)
RULES = FeeRules("l1", correlation=1.0, tip_persistence=1.0)


def test_the_next_base_fee_is_that_of_the_protocol() -> None:
    assert next_base_fee(1_000_000_000, 30_000_000, 30_000_000) == 1_125_000_000
    assert next_base_fee(1_000_000_000, 0, 30_000_000) == 875_000_000
    assert next_base_fee(1_000_000_000, 15_000_000, 30_000_000) == 1_000_000_000
    assert next_base_fee(15_000_000_001, 21_234_567, 30_000_000) == 15_779_320_876
    assert next_base_fee(7, 15_000_001, 30_000_000) == 8  # up by at least one
    assert next_base_fee(7, 14_999_999, 30_000_000) == 7


@given(st.integers(0, 10**13), st.lists(st.floats(-0.5, 1.5), max_size=20))
def test_a_path_moves_by_an_eighth_at_most_and_only_as_blocks_are_full(base: int, used: list[float]) -> None:
    path = base_fee_path(base, used, 30_000_000)
    assert path[0] == base
    for before, after, share in zip(path[:-1], path[1:], used, strict=True):
        assert before - before // 8 <= after <= before + max(before // 8, 1)
        assert (after >= before) if share > 0.5 else (after <= before)


@pytest.mark.parametrize("correlation", [0.0, 1.0])
def test_scenarios_of_the_base_fee_are_spread_as_simulated_blocks_are(correlation: float) -> None:
    random, blocks = np.random.Generator(np.random.PCG64(1)), 9
    draws = random.random((3000, 1 if correlation else blocks - 1)).clip(0.001, 0.999)
    used = np.array([at_levels(LEVELS, STATE.utilisation, tuple(row)) for row in draws.tolist()])
    last = [base_fee_path(STATE.next_base_fee_wei, row, 30_000_000)[-1] for row in np.broadcast_to(used, (3000, 8))]
    found = base_fee_scenarios(replace(RULES, correlation=correlation), STATE, blocks)[:, -1]
    for level in (0.1, 0.5, 0.9):
        assert np.quantile(found, level) == pytest.approx(np.quantile(last, level), rel=0.06)


def test_a_tip_reaches_as_many_thresholds_as_its_level_says() -> None:
    chances = tip_chance(STATE, np.array([-1.0, 0.0, *TIPS, 1e12]))
    assert chances.tolist() == pytest.approx([0.0, 0.0, *LEVELS, 1.0])


@pytest.mark.parametrize(("persistence", "blocks"), [(1.0, 1), (1.0, 5), (0.0, 5), (0.5, 5)])
def test_bids_are_included_in_a_simulated_market_as_often_as_they_say(persistence: float, blocks: int) -> None:
    rules, random = replace(RULES, tip_persistence=persistence), np.random.Generator(np.random.PCG64(2))
    bid = bid_for(rules, STATE, 0.9, blocks)
    included = 0
    for _ in range(4000):
        used = at_levels(LEVELS, STATE.utilisation, (random.uniform(0.001, 0.999),))[0]
        path = base_fee_path(STATE.next_base_fee_wei, [used] * (blocks - 1), 30_000_000)
        count = 1 if random.random() < persistence else blocks
        thresholds = at_levels(LEVELS, TIPS, tuple(random.uniform(1e-4, 1 - 1e-4, count).tolist())) * (blocks // count)
        included += any(
            min(bid.tip_wei, bid.max_fee_wei - base) >= tip for base, tip in zip(path, thresholds, strict=True)
        )
    assert bid.inclusion >= 0.9
    assert included / 4000 == pytest.approx(bid.inclusion, abs=0.03)


def test_no_cheaper_bid_of_the_same_kind_meets_the_target() -> None:
    bid = bid_for(RULES, STATE, 0.9, 5)
    scenarios = base_fee_scenarios(RULES, STATE, 5)
    assert inclusion(RULES, STATE, scenarios, bid.max_fee_wei - 0.2 * GWEI, bid.tip_wei - 0.2 * GWEI) < 0.9


def test_more_time_and_less_certainty_wanted_bid_less() -> None:
    rules = FeeRules("l1")
    assert bid_for(rules, STATE, 0.9, 10).tip_wei < bid_for(rules, STATE, 0.9, 1).tip_wei
    assert bid_for(rules, STATE, 0.8, 5).max_fee_wei < bid_for(rules, STATE, 0.99, 5).max_fee_wei


def test_patient_orders_wait_for_a_cheaper_block_unless_nodes_refuse_what_the_next_could_not_include() -> None:
    quiet = replace(STATE, utilisation=(0.1,) * len(LEVELS))
    assert bid_for(RULES, quiet, 0.5, 25).max_fee_wei < quiet.next_base_fee_wei
    strict = bid_for(replace(RULES, least_of_next=1.25), quiet, 0.5, 25)
    assert strict.max_fee_wei == 25 * GWEI
    with pytest.raises(FeeError, match="least_of_next"):
        replace(RULES, least_of_next=-0.1)


def test_a_cap_below_the_base_fee_is_kept_and_includes_nothing() -> None:
    assert bid_for(replace(RULES, max_fee_wei=10 * GWEI), STATE, 0.9, 1) == replace(
        bid_for(replace(RULES, max_fee_wei=10 * GWEI), STATE, 0.9, 1), max_fee_wei=10 * GWEI, inclusion=0.0
    )


def test_a_plan_bids_for_every_tier_by_its_own_deadline_and_target() -> None:
    rules = FeeRules("l1", 2.0, targets=(("bulk", 0.5),), inclusion=0.95)
    of = replace(venue(), fees=rules)
    made = plan(of, forecast(), Observed(1010.0, 100.0, (), 25, 27, chain=STATE))
    assert [(setting.tier, setting.blocks) for setting in made.fees] == [("critical", 5), ("maker", 5), ("bulk", 25)]
    assert made.fees[2].tip_wei < made.fees[0].tip_wei
    assert min(made.fees[0].inclusion, made.fees[1].inclusion) >= 0.95
    assert plan(of, forecast(), Observed(1010.0, 100.0, (), 25, 27)).fees == ()


def test_a_forecast_of_full_blocks_bids_more_than_what_was_seen() -> None:
    known = forecast()
    full = replace(
        known,
        targets=("demand", "utilisation"),
        quantiles=(*known.quantiles, ((0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 1.0),) * 20),
        spike=known.spike * 2,
    )
    of, seen = replace(venue(), fees=FeeRules("l1", 2.0)), Observed(1010.0, 100.0, (), 25, 27, chain=STATE)
    plain, filled = plan(of, known, seen).fees[0], plan(of, full, seen).fees[0]
    assert filled.max_fee_wei >= plain.max_fee_wei
    assert "utilisation forecast" in filled.reason
    assert "utilisation seen" in plain.reason


def test_rules_and_states_that_cannot_be_are_refused() -> None:
    for fault in ({"block_s": 0.0}, {"inclusion": 1.0}, {"correlation": 2.0}, {"targets": (("bulk", 0.0),)}):
        with pytest.raises(FeeError, match="expected"):
            FeeRules("l1", **fault)
    with pytest.raises(FeeError, match="levels"):
        ChainState(1, LEVELS, (0.5,), TIPS)
    assert math.isfinite(bid_for(RULES, STATE, 0.5, 1).max_fee_wei)


@pytest.mark.history
@pytest.mark.skipif("SHAPER_HISTORY" not in os.environ, reason="SHAPER_HISTORY names no folder")
def test_recorded_base_fees_are_those_of_the_recurrence() -> None:
    file = Path(os.environ["SHAPER_HISTORY"]) / "blocks.parquet"
    blocks = pl.read_parquet(file, columns=["number", "base_fee_wei", "gas_used", "gas_limit"], n_rows=20_000)
    pairs = [(a, b) for a, b in pairwise(blocks.drop_nulls().sort("number").rows()) if b[0] == a[0] + 1]
    errors = [abs(next_base_fee(*before[1:]) / after[1] - 1) for before, after in pairs]
    assert len(pairs) > 10_000
    assert sum(error == 0 for error in errors) > 0.99 * len(pairs)
    assert max(errors) < 1e-3  # where the recorded gas itself is a little off
