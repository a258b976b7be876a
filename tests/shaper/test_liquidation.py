import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaper.capacity import wanted_units
from shaper.liquidation import Position, PositionError, first_passage, orders_by, orders_per_s
from shaper.observed import Observed
from shaper.outlook import outlook, work
from tests.shaper.test_pricing import with_volatility
from tests.shaper.ventures import forecast, venue

CALM = with_volatility(math.log(0.002))
SIGMA = 0.002 / math.sqrt(15.0)


def test_without_drift_the_chance_is_twice_that_of_ending_beyond() -> None:
    found = first_passage(np.array([-0.004, 0.004]), SIGMA, 0.0, 60.0)
    assert found == pytest.approx([2 * NormalDist().cdf(-0.004 / (SIGMA * math.sqrt(60)))] * 2)


@pytest.mark.parametrize("drift", [-3e-5, 0.0, 5e-5])
def test_simulated_prices_reach_a_distance_as_often_as_the_formula_says(drift: float) -> None:
    random, steps, paths = np.random.Generator(np.random.PCG64(3)), 400, 8000
    width = 60.0 / steps
    moves = drift * width + SIGMA * math.sqrt(width) * random.standard_normal((paths, steps))
    walk = np.cumsum(moves, axis=1)
    distances = np.array([-0.003, 0.004])
    shift = (
        0.5826 * SIGMA * math.sqrt(width)
    )  # looking at steps misses what happens between them (Broadie, Glasserman, Kou 1997)
    seen = [(walk.min(axis=1) <= -0.003 + shift).mean(), (walk.max(axis=1) >= 0.004 - shift).mean()]
    assert first_passage(distances, SIGMA, drift, 60.0) == pytest.approx(seen, abs=0.015)


@given(st.floats(-0.02, 0.02), st.floats(1e-5, 1e-2), st.floats(-1e-4, 1e-4), st.floats(0.1, 600))
def test_the_chance_is_one_and_grows_with_time(distance: float, sigma: float, drift: float, horizon: float) -> None:
    early, late = (float(first_passage(np.array([distance]), sigma, drift, t)[0]) for t in (horizon, 2 * horizon))
    assert 0 <= early <= late + 1e-9 <= 1 + 1e-9


def test_a_price_without_volatility_goes_where_its_drift_goes() -> None:
    assert first_passage(np.array([-0.01, 0.01, 0.0]), 0.0, 1e-3, 10.0).tolist() == [0.0, 1.0, 1.0]


def test_expected_orders_are_counts_times_chances_over_the_volatility_forecast() -> None:
    positions = (Position(-0.004, 50.0, 2.0), Position(0.004, 10.0))
    chance = float(first_passage(np.array([0.004]), SIGMA, 0.0, 60.0)[0])
    assert orders_by(positions, CALM, 10.0, 60.0) == pytest.approx(110 * chance)
    assert orders_by(positions, forecast(), 10.0, 60.0) is None
    assert orders_by(positions, CALM, 10.0, 1e4) is None
    assert orders_by(positions, with_volatility(math.log(0.002), 3.0), 10.0, 20.0) > orders_by(
        positions, CALM, 10.0, 20.0
    )


def test_rates_of_consecutive_spans_sum_to_the_orders_by_their_end() -> None:
    positions = (Position(-0.004, 50.0),)
    spans = ((0.0, 20.0), (20.0, 40.0), (40.0, 60.0))
    total = sum(orders_per_s(positions, CALM, 0.0, a, b) * (b - a) for a, b in spans)
    assert total == pytest.approx(orders_by(positions, CALM, 0.0, 60.0))
    assert orders_per_s((), CALM, 0.0, 0.0, 60.0) == 0.0


def test_positions_near_liquidation_add_to_the_first_tier_and_want_more_units() -> None:
    of, seen = venue(), Observed(1010.0, 100.0, (), 25, 25)
    near = replace(seen, positions=(Position(-0.004, 20_000.0),))
    plain, added = (work(of, outlook(of, CALM, observed)[-1]) for observed in (seen, near))  # type: ignore[index]
    rate = orders_per_s(near.positions, CALM, 10.0, 60.0, 75.0)
    assert np.subtract(added.rates, plain.rates) == pytest.approx(rate)
    assert wanted_units(of, CALM, near).units >= wanted_units(of, CALM, seen).units + int(rate / 5) - 1
    assert wanted_units(of, forecast(), near) == wanted_units(of, forecast(), seen)


def test_a_position_that_cannot_be_is_refused() -> None:
    with pytest.raises(PositionError, match="count"):
        Position(0.1, -1.0)
