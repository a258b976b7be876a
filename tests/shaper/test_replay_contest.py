"""The event replay as a whole: policies on one flow, their books, the bound below them, and the forecasts that ours is given."""

from dataclasses import replace

import numpy as np
import pytest

from shaper.observed import Observed
from shaper.replay import contest
from shaper.replay.bound import least_cost_usd
from shaper.replay.contenders import Autoscaled, Manner
from shaper.replay.contest import (
    ADVERSARIAL,
    LEARNED,
    ONE_SET,
    OURS,
    PERFECT,
    POLICIES,
    TO_BEAT,
    Round,
    Setting,
    contender,
    forecasts_of,
    play_round,
    run_of,
    settled,
    stage_of,
    tune,
    tune_for_all,
)
from shaper.replay.events import Fault, Stage, demand_by_tick, play
from shaper.replay.foresight import Sight, learned, warnings
from shaper.replay.gateway import Discipline
from shaper.replay.ledger import entry, fates_of
from shaper.replay.levers import Seen, Settings
from shaper.replay.orders import Clients, orders_of
from shaper.replay.policies import ReactiveSettings
from shaper.replay.surges import Flow, Market, Surge, draw
from shaper.replay.trace import ReplayError
from tests.shaper.ventures import NODES, venue

SURGE = Surge(150.0, 160.0, 6.0, 120.0)
MARKET = Market(length_s=400.0, calm_per_s=30.0, surges=(SURGE,))
SETTING = Setting(replace(venue(15.0, NODES), review_s=5.0), MARKET, noise=0.0)
MANNER = SETTING.manner


@pytest.fixture(scope="module")
def flow() -> Flow:
    return draw(SETTING.venue, MARKET, SETTING.clients, 7)


@pytest.fixture(scope="module")
def played() -> Round:
    return play_round(SETTING, dict.fromkeys(POLICIES, MANNER), 7)


def test_no_policy_costs_less_than_the_clairvoyant(played: Round) -> None:
    assert {name for name, _ in played.entries} == set(POLICIES)
    assert all(found.cost_usd > played.bound_usd > 0 for _, found in played.entries)


def test_one_who_sees_the_surge_coming_costs_less_than_the_policy_to_beat(played: Round) -> None:
    costs = {name: found.cost_usd for name, found in played.entries}
    assert costs[PERFECT] < costs[TO_BEAT]


def test_costs_by_cause_add_up_and_tiers_hold_delay_and_rejection(played: Round) -> None:
    for _, found in played.entries:
        causes = dict(found.by_cause)
        assert sum(causes.values()) == pytest.approx(found.cost_usd)
        assert sum(usd for _, usd in found.by_tier) == pytest.approx(causes["delay"] + causes["rejection"])
        assert all(0 < share <= 1 for _, share in found.fairness)


def test_capacity_ordered_ahead_counts_as_lead_beyond_the_delay(played: Round) -> None:
    leads = {name: found.lead_less_delay_s for name, found in played.entries}
    assert leads[PERFECT] is not None
    assert leads[TO_BEAT] is not None
    assert leads[PERFECT] > -5.0 > leads[TO_BEAT]


def test_the_same_seed_gives_the_same_run_to_the_bit(flow: Flow) -> None:
    costs = [entry(*run_of(SETTING, LEARNED, MANNER, flow, 7)).cost_usd for _ in range(2)]
    assert costs[0] == costs[1]


def test_equal_seeds_draw_equal_flows_and_others_other_ones(flow: Flow) -> None:
    again, other = (draw(SETTING.venue, MARKET, SETTING.clients, seed) for seed in (7, 8))
    np.testing.assert_array_equal(again.orders.at_s, flow.orders.at_s)
    assert again.episodes == flow.episodes != other.episodes


def test_a_surge_reaches_its_multiple_of_the_calm_and_ends(flow: Flow) -> None:
    (episode,) = flow.episodes
    total = flow.intensity.sum(axis=1)
    during = total[int(episode.start_s) + 15 : int(episode.end_s) - 5].mean()
    assert during / 30.0 == pytest.approx(episode.level, rel=0.2)
    assert total[-60:].mean() / 30.0 == pytest.approx(1.0, abs=0.2)
    assert flow.orders.by_slot(1.0, 3).sum() == pytest.approx(total.sum(), rel=0.05)


class Fixed:
    """Constant settings that keep what they were shown."""

    def __init__(self, units: int, discipline: Discipline | None = None) -> None:
        self.discipline, self.every_s, self._units = discipline or Discipline(), 5.0, units
        self.seen: list[Seen] = []

    def settings(self, seen: Seen) -> Settings:
        self.seen.append(seen)
        return Settings(self._units)


def regular(count: int, every_s: float, length_s: float, units: int) -> Stage:
    at = np.arange(count) * every_s
    of = replace(venue(15.0), review_s=5.0)
    return Stage(
        of, orders_of(of, Clients(returning=0.0), at, np.zeros(count, np.int8), length_s, 1), units, 1 / every_s
    )


def test_regular_orders_on_enough_units_cost_their_units_and_nothing_else() -> None:
    stage = regular(100, 1.0, 100.0, 4)
    found = entry(stage, play(stage, Fixed(4)))
    assert dict(found.by_cause) == {
        "delay": pytest.approx(0.0, abs=1e-9),
        "rejection": 0.0,
        "capacity": pytest.approx(4 * 100 * 0.002),
        "fees": 0.0,
    }
    assert dict(found.on_time)["critical"] == 1.0
    assert found.goodput is None


def test_an_order_never_served_costs_its_rejection_and_the_wait_until_it_left() -> None:
    stage = regular(1, 1.0, 60.0, 0)
    stage = replace(stage, venue=replace(stage.venue, pool=replace(stage.venue.pool, min_units=0)))
    causes = dict(entry(stage, play(stage, Fixed(0))).by_cause)
    assert causes["rejection"] == 5.0
    assert causes["delay"] == pytest.approx(0.05 * (10.0 - 1 / 5.0))


def test_what_is_measured_is_late_by_the_lag() -> None:
    stage = replace(regular(200, 0.5, 100.0, 4), before_per_s=8.0, observe_s=10.0, lag_s=5.0)
    demand = demand_by_tick(stage)
    assert demand[:6].tolist() == [8.0] * 6
    assert demand[15] == 2.0
    policy = Fixed(4)
    play(stage, policy)
    assert policy.seen[3].observed.demand_age_s == 10.0


def test_nothing_a_policy_sees_depends_on_orders_to_come() -> None:
    shown = []
    for length_s in (60.0, 100.0):
        stage = regular(int(length_s), 1.0, 100.0, 1)
        policy = Fixed(1)
        play(stage, policy)
        shown.append([seen.observed for seen in policy.seen[:13]])
    assert shown[0] == shown[1]


def test_units_of_a_node_that_fails_are_replaced_once_that_is_known() -> None:
    setting = replace(SETTING, faults=(Fault(0, 100.0, 300.0, 0.0),), market=replace(MARKET, surges=()))
    flow = draw(setting.venue, setting.market, setting.clients, 3)
    stage, run = run_of(setting, TO_BEAT, MANNER, flow, 3)
    healthy = run_of(replace(setting, faults=()), TO_BEAT, MANNER, flow, 3)[1]
    assert run.ordered[:105].tolist() == healthy.ordered[:105].tolist()
    assert run.ordered[140:290].mean() > 1.25 * healthy.ordered[140:290].mean()
    assert (run.book.node[(run.book.begun > 100) & (run.book.begun < 300)] != 0).all()
    assert fates_of(stage, run).good.mean() > 0.9


def test_a_false_forecast_outage_leaves_ours_as_the_policy_to_beat(flow: Flow) -> None:
    blind = replace(SETTING, sight=Sight(outage_s=(0.0, 1e9)))
    policy = contender(blind, LEARNED, MANNER, forecasts_of(blind, flow, LEARNED, 7))
    play(stage_of(blind, flow, 7), policy)
    assert policy.fallbacks == policy.reviews > 0  # type: ignore[attr-defined]


def test_warnings_come_with_the_recall_and_precision_that_were_asked_for() -> None:
    sight, hits, total = Sight(lead_s=60.0, recall=0.8, precision=0.5), 0, 0
    for seed in range(300):
        drawn = Flow(
            np.ones((400, 3)),
            draw_episode(seed),
            orders_of(SETTING.venue, Clients(), np.zeros(0), np.zeros(0, np.int8), 400.0, 1),
        )
        told = warnings(drawn, MARKET, sight, seed)
        lead = drawn.episodes[0].start_s - told
        hits += int(((lead > 47) & (lead < 73)).any())
        total += len(told)
    assert hits / 300 == pytest.approx(0.8, abs=0.1)
    assert 0.8 * 300 / total == pytest.approx(0.5, abs=0.06)


def draw_episode(seed: int) -> tuple:  # type: ignore[type-arg]
    return draw(SETTING.venue, replace(MARKET, calm_per_s=0.5), Clients(), seed).episodes


def test_the_learned_forecast_knows_nothing_of_a_surge_that_nothing_heralds(flow: Flow) -> None:
    silent = replace(flow, episodes=tuple(replace(e, surge=replace(e.surge, heralded=False)) for e in flow.episodes))
    series = learned(silent, MARKET, replace(Sight(), false_alarms=0.0), 7)
    before = int(flow.episodes[0].start_s // 5) - 1
    assert np.exp(series.quantiles[before, 0, :10, -1]).max() < 60.0


def test_forecasts_do_not_change_with_orders_to_come(flow: Flow) -> None:
    cut = 150
    keep = flow.orders.at_s < cut
    shorter = orders_of(SETTING.venue, SETTING.clients, flow.orders.at_s[keep], flow.orders.tier[keep], 400.0, 7)
    full, part = (learned(f, MARKET, Sight(recall=0.0), 7) for f in (flow, replace(flow, orders=shorter)))
    np.testing.assert_array_equal(full.quantiles[: cut // 5 + 1], part.quantiles[: cut // 5 + 1])


def test_the_adversary_tells_the_moments_truth_and_the_leads_opposite(flow: Flow) -> None:
    series = forecasts_of(SETTING, flow, ADVERSARIAL, 7)
    calm, surging = series.at(10), series.at(40)
    near, far = calm.quantile("demand", 2.0, 0.5), calm.quantile("demand", 60.0, 0.5)
    assert near is not None
    assert far is not None
    assert np.exp(near) == pytest.approx(30.0, rel=0.4)
    assert np.exp(far) == pytest.approx(300.0, rel=0.01)
    later = surging.quantile("demand", 20.0, 0.5)
    assert later is not None
    assert np.exp(later) == pytest.approx(30.0, rel=0.01)


def test_the_bound_of_constant_orders_is_their_units_and_fees() -> None:
    stage = regular(500, 0.2, 100.0, 1)
    assert least_cost_usd(stage) == pytest.approx(max(1, 2) * 100 * 0.002)


def test_the_bound_charges_the_latency_that_units_of_slower_nodes_force() -> None:
    quick, slow = (replace(NODES[0], name=name, latency_s=at, fee_usd=0.0) for name, at in (("q", 0.0), ("s", 0.1)))
    stage = regular(10_000, 0.01, 100.0, 20)
    full = replace(stage.venue.pool, min_units=20, max_units=20)
    one, two = (replace(stage.venue, pool=full, nodes=nodes) for nodes in ((quick,), (quick, slow)))
    slower = least_cost_usd(replace(stage, venue=two)) - least_cost_usd(replace(stage, venue=one))
    forced = (100 - 11 * 5) * 100 * 0.1 * 0.05  # half of 20 units and one more at the quick node, 5 orders/s each
    assert 0.8 * forced < slower < forced


def test_no_policy_costs_less_than_the_clairvoyant_while_nodes_fail() -> None:
    faults = (Fault(0, 50.0, 120.0, 0.3), Fault(2, 160.0, 230.0, 0.0))
    found = play_round(replace(SETTING, faults=faults), dict.fromkeys((TO_BEAT, PERFECT), MANNER), 9)
    assert all(entry.cost_usd > found.bound_usd for _, entry in found.entries)


def test_tuning_takes_the_cheapest_value_of_each_setting_in_turn() -> None:
    found = settled(
        Manner(ReactiveSettings(0.1, 5.0, 30.0, 60.0), 0.5, 5.0), lambda m: abs(m.room - 0.1) + m.scaling.headroom
    )
    assert (found.room, found.scaling.headroom) == (0.1, 0.1)


def test_one_set_for_all_scenarios_has_the_least_mean_regret_and_is_not_tuned_on_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = replace(MANNER, scaling=replace(MANNER.scaling, headroom=3.0))
    monkeypatch.setattr(contest, "COORDINATES", (lambda _: [MANNER, wide],))
    calm, surge = (replace(SETTING, market=replace(MARKET, surges=surges)) for surges in ((), (SURGE,)))
    found = tune_for_all((calm, surge), TO_BEAT, (10_001,))
    regrets = {
        manner: sum(one.entries[0][1].cost_usd / one.bound_usd for one in rounds)
        for manner in (found, MANNER, wide)
        if (rounds := [play_round(setting, {TO_BEAT: manner}, 10_001) for setting in (calm, surge)])
    }
    assert min(regrets.values()) == regrets[found]
    assert tune(SETTING, ONE_SET, (10_001,)) == SETTING.one_set


def test_ours_is_not_tuned_on_a_scenario_and_unknown_policies_are_refused() -> None:
    assert set(OURS) < set(POLICIES)
    with pytest.raises(ReplayError, match="found magic"):
        contender(SETTING, "magic", MANNER)
    with pytest.raises(ReplayError, match="ours with forecasts"):
        contender(SETTING, LEARNED, MANNER)


def test_a_lower_recommendation_waits_for_the_stabilisation() -> None:
    policy = Autoscaled(SETTING.venue, Discipline(), Manner(ReactiveSettings(0.0, 5.0, 30.0, 10.0), 1.0, 5.0))
    wanted = []
    for step, demand in enumerate((50.0, 100.0, 50.0, 50.0)):
        seen = Seen(Observed(5.0 * step, demand, (), 12, 12), np.ones(4), np.zeros(3), np.zeros(3))
        wanted.append(policy.settings(seen).units)
    assert wanted == [10, 20, 20, 10]


def test_a_surge_beyond_the_pool_leads_by_the_units_there_are_and_one_never_met_has_no_lead() -> None:
    small = replace(SETTING.venue, pool=replace(SETTING.venue.pool, max_units=12))
    setting = replace(SETTING, venue=small)
    stage = stage_of(setting, draw(small, MARKET, SETTING.clients, 7), 7)
    assert entry(stage, play(stage, Fixed(12))).lead_less_delay_s is not None
    assert entry(stage, play(stage, Fixed(4))).lead_less_delay_s is None
