import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaper.trust import Costs, Leash, TrustRules, budget_usd, in_effect, new_trust, shared, update

RULES = TrustRules(learning_rate=0.5, share=0.01, prior=0.5)


def test_the_weight_is_the_closed_form_of_hedge_when_nothing_is_shared() -> None:
    tiny = replace(RULES, share=1e-15)
    weight = 0.5
    for loss in (1.0, -0.25, 0.5):
        weight = shared(weight, loss, tiny)
    assert weight == pytest.approx(math.exp(-0.5 * 1.25) / (1 + math.exp(-0.5 * 1.25)))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=60), st.data())
def test_the_weighted_loss_is_within_its_bound_of_any_sequence_of_experts(
    losses: list[tuple[float, float]], data: st.DataObject
) -> None:
    choice = data.draw(st.lists(st.integers(0, 1), min_size=len(losses), max_size=len(losses)))
    weight, paid = RULES.prior, 0.0
    for led, reactive in losses:
        paid += weight * led + (1 - weight) * reactive
        weight = shared(weight, led - reactive, RULES)
    changes = sum(a != b for a, b in itertools.pairwise(choice))
    stays = len(losses) - 1 - changes
    terms = (changes + 1) * math.log(2) + changes * math.log(1 / 0.01) + stays * math.log(1 / 0.99)
    bound = terms / 0.5 + 0.5 * len(losses) / 8
    assert paid <= sum(pair[i] for pair, i in zip(losses, choice, strict=True)) + bound + 1e-9


def test_a_forecast_that_costs_more_loses_its_lead_and_one_that_pays_wins_it_back_later_than_it_lost_it() -> None:
    rules, trust, stages = TrustRules(), new_trust(TrustRules(), 100.0), []
    for difference in [100.0] * 6 + [-100.0] * 8:
        trust, _ = update(trust, Costs(0.0, max(difference, 0.0), max(-difference, 0.0)), rules)
        stages.append(trust.stage)
    assert list(dict.fromkeys(stages[:6])) == ["forecast-led", "blended", "reactive"]
    assert list(dict.fromkeys(stages[6:])) == ["reactive", "blended", "forecast-led"]


@pytest.mark.parametrize(
    ("stage", "weight", "then"),
    [
        ("forecast-led", 0.66, "forecast-led"),
        ("blended", 0.66, "blended"),
        ("blended", 0.16, "blended"),
        ("reactive", 0.34, "reactive"),
        ("reactive", 0.36, "blended"),
    ],
)
def test_a_stage_holds_until_the_weight_is_well_beyond_its_edge(stage: str, weight: float, then: str) -> None:
    rules = TrustRules(share=1e-12)
    trust = replace(new_trust(rules, 1.0), weight=weight, stage=stage)  # type: ignore[arg-type]
    assert update(trust, Costs(0.0, 0.0, 0.0), rules)[0].stage == then


def test_only_a_blend_uses_the_weight_itself() -> None:
    trust = replace(new_trust(TrustRules(), 1.0), weight=0.6)
    stages = ("forecast-led", "blended", "reactive", "static")
    assert [in_effect(replace(trust, stage=stage)) for stage in stages] == [1.0, 0.6, 0.0, 0.0]  # type: ignore[arg-type]


def test_the_budget_is_what_the_bound_leaves() -> None:
    trust, _ = update(new_trust(TrustRules()), Costs(80.0, 70.0, 100.0))
    assert budget_usd(trust, TrustRules(ratio=0.15, allowance_usd=5.0)) == pytest.approx(1.15 * 100 + 5 - 80)


@pytest.mark.parametrize(("weight", "led", "units"), [(1.0, 90, 60), (1.0, 5, 15), (0.5, 41, 31), (0.0, 90, 20)])
def test_a_leash_blends_and_limits(weight: float, led: int, units: int) -> None:
    assert Leash("blended", weight, 20, 15, 60).pulled(led) == units


def test_rules_and_costs_out_of_range_are_refused() -> None:
    for fault in ({"ratio": -0.1}, {"stress": 0.5}, {"share": 0.0}, {"hysteresis": 0.4}, {"least_times": 1.1}):
        with pytest.raises(ValueError, match="expected"):
            TrustRules(**fault)
    with pytest.raises(ValueError, match="finite"):
        update(new_trust(TrustRules()), Costs(math.nan, 0.0, 0.0))
