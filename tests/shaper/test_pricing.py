import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from shaper.forecast import Forecast
from shaper.observed import Observed
from shaper.plan import plan
from shaper.pricing import delay_usd_per_s, excess, order_of_service, priced, sigma_ahead
from shaper.tiers import PARTS, knapsack, share_capacity
from shaper.venue import Exposure, VenueError
from tests.shaper.ventures import BULK, CRITICAL, MAKER, forecast, venue

HEDGE = Exposure("hedge", gamma_usd=5e6)
YEAR_S = 365 * 86400.0


def with_volatility(log_sd: float, spread: float = 0.0) -> Forecast:
    known = forecast()
    curve = tuple(log_sd + spread * (level - 0.5) for level in known.levels)
    return replace(
        known,
        targets=("demand", "volatility"),
        quantiles=(*known.quantiles, (curve,) * 20),
        spike=(*known.spike, known.spike[0]),
    )


def returns(sigma: float, seconds: float) -> np.ndarray:
    return sigma * math.sqrt(seconds) * np.random.Generator(np.random.PCG64(1)).standard_normal(400_000)


def test_a_hedge_costs_half_gamma_times_variance_a_second() -> None:
    sigma = 0.8 / math.sqrt(YEAR_S)
    gamma_usd = 0.002 * 3000.0**2
    assert delay_usd_per_s(Exposure("hedge", gamma_usd=gamma_usd), sigma, 5.0) == pytest.approx(
        0.5 * 0.002 * 3000.0**2 * 0.64 / YEAR_S
    )


def test_an_unhedged_gamma_loses_in_simulation_what_the_formula_says() -> None:
    sigma = 2e-4
    steps = sigma * np.random.Generator(np.random.PCG64(2)).standard_normal((40_000, 10))
    lost = 0.5 * 5e6 * steps.sum(axis=1) ** 2  # what gamma pays to the other side over ten seconds
    assert delay_usd_per_s(HEDGE, sigma, 10.0) * 10 == pytest.approx(lost.mean(), rel=0.03)


def test_the_excess_over_a_threshold_is_that_of_a_normal_law() -> None:
    drawn = returns(0.01, 1.0)
    for threshold in (0.0, 0.005, -0.01):
        assert excess(threshold, 0.01) == pytest.approx(np.maximum(drawn - threshold, 0).mean(), rel=0.02)
    assert (excess(0.1, 0.0), excess(-0.1, 0.0)) == (0.0, 0.1)


@pytest.mark.parametrize("law", ["liquidation", "maker", "taker"])
def test_liquidations_quotes_and_takers_lose_in_simulation_what_their_formulas_say(law: str) -> None:
    exposure = Exposure(law, notional_usd=1e5, margin=0.002, half_spread=0.001)  # type: ignore[arg-type]
    drawn = returns(1e-3, 4.0)
    lost = {
        "liquidation": np.maximum(-drawn - 0.002, 0),
        "maker": np.maximum(np.abs(drawn) - 0.001, 0),
        "taker": np.maximum(drawn, 0),
    }[law]
    assert delay_usd_per_s(exposure, 1e-3, 4.0) * 4 == pytest.approx(1e5 * lost.mean(), rel=0.02)


def test_the_volatility_forecast_is_a_deviation_per_tick_and_its_spread_adds_variance() -> None:
    assert sigma_ahead(with_volatility(math.log(0.003)), 30.0) == pytest.approx(0.003 / math.sqrt(15.0))
    assert sigma_ahead(with_volatility(math.log(0.003), 2.0), 30.0) > 0.003 / math.sqrt(15.0)  # type: ignore[operator]
    assert sigma_ahead(forecast(), 30.0) is None


def test_prices_follow_the_volatility_forecast_between_floor_and_ceiling() -> None:
    bounded = replace(HEDGE, floor_usd_per_s=0.01, ceiling_usd_per_s=5.0)
    of = replace(venue(), tiers=(replace(CRITICAL, exposure=bounded), MAKER, BULK))
    costs = [
        priced(of, with_volatility(math.log(sd)), 1010.0).tiers[0].delay_cost_usd_per_s for sd in (1e-6, 0.003, 0.5)
    ]
    assert costs == [0.01, pytest.approx(0.5 * 5e6 * 0.003**2 / 15), 5.0]
    assert priced(of, forecast(), 1010.0) is of
    assert priced(of, with_volatility(-6.0), 9999.0) is of
    assert priced(venue(), with_volatility(-6.0), 1010.0).tiers == venue().tiers


def test_a_plan_for_a_violent_market_holds_more_than_one_for_a_calm_one() -> None:
    of = replace(venue(), tiers=(CRITICAL, replace(MAKER, exposure=HEDGE), BULK), shortage_s=60.0)
    of = replace(of, pool=replace(of.pool, cost_usd_per_unit_s=0.1))
    seen = Observed(1010.0, 100.0, (), 25, 27)
    calm, violent = (plan(of, with_volatility(math.log(sd)), seen).capacity[0].units for sd in (1e-4, 3e-3))
    assert violent > calm


def test_the_most_urgent_per_unit_of_work_is_served_first() -> None:
    tiers = (MAKER, BULK, CRITICAL)
    assert [tier.name for tier in order_of_service(tiers, {})] == ["critical", "maker", "bulk"]
    assert [tier.name for tier in order_of_service(tiers, {"critical": 100.0})] == ["maker", "critical", "bulk"]


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), min_size=1, max_size=6), st.floats(0, 10))
def test_the_knapsack_is_worth_as_much_as_the_linear_programme(items: list[tuple[float, float]], room: float) -> None:
    values, sizes = [value for value, _ in items], [size for _, size in items]
    taken = knapsack(values, sizes, room)
    best = linprog([-v for v in values], A_ub=[[1.0] * len(items)], b_ub=[room], bounds=[(0, s) for s in sizes])
    assert sum(v * t for v, t in zip(values, taken, strict=True)) == pytest.approx(-best.fun, abs=1e-6)
    assert sum(taken) <= room + 1e-9


@given(st.floats(0, 500), st.floats(0, 5000))
def test_a_tier_needs_no_more_than_its_ceiling_and_shares_sum_exactly(capacity: float, demand: float) -> None:
    of = replace(venue(), tiers=(replace(CRITICAL, ceiling_share=0.4), MAKER, BULK))
    shares = share_capacity(of, capacity, demand, {"critical": 1e4})
    assert sum(share.parts for share in shares) == PARTS
    assert all(share.parts >= int(share.tier.floor_share * PARTS) for share in shares)
    assert shares[0].parts <= (0.4 + shares[0].headroom) * PARTS + 1


def test_an_exposure_or_ceiling_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(VenueError, match="ceiling_share"):
        replace(venue(), tiers=(replace(CRITICAL, ceiling_share=0.05), MAKER, BULK))
    with pytest.raises(VenueError, match="exposure"):
        replace(venue(), tiers=(replace(CRITICAL, exposure=Exposure("taker", -1.0)), MAKER, BULK))
