"""Whether forecasts may lead by what became of their claims."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shaper.observed import Observed
from shaper.record import HELD, MISSED, REFUTED, Claim, Record, judged, missed, recorded
from shaper.steering import steer
from tests.shaper.ventures import forecast, venue

OF = venue()  # planning lead 75 s, reviews every 15 s


def reviewed(count: int, demand: float, said: float) -> list[Record]:
    """The record after each of some reviews of constant demand, with a new forecast of a constant median at each."""
    records, record = [], Record()
    for step in range(count):
        at_s = 1000.0 + 15 * step
        current = forecast(said, 0.05, at_s - 5.0)
        record = recorded(OF, current, Observed(at_s, demand, (), 20, 20, demand_age_s=10.0), record)
        records.append(record)
    return records


def test_a_forecast_leads_once_a_claim_has_come_true() -> None:
    records = reviewed(7, 100.0, 100.0)
    assert [record.leads for record in records] == [False] * 6 + [True]
    assert (records[-1].held, records[-1].missed, records[-1].stake) == (1, 0, 1.0)


def test_claims_that_never_come_true_never_lead_and_are_refuted_at_the_third() -> None:
    records = reviewed(25, 100.0, 1000.0)
    assert not any(record.leads for record in records)
    assert [record.missed for record in records if record.refuted][:1] == [3]
    assert [record.blind for record in records] == [record.missed > 0 for record in records]


def test_claims_made_before_a_surprise_was_seen_are_not_held_against_the_forecast() -> None:
    record = reviewed(12, 100.0, 100.0)[-1]
    assert record.held == 1
    for step in range(12, 19):
        current = forecast(1000.0, 0.05, 995.0 + 15 * step)
        record = recorded(OF, current, Observed(1000.0 + 15 * step, 1000.0, (), 20, 20, demand_age_s=10.0), record)
        assert record.surprised == (step < 18)
    assert (record.missed, record.held, record.leads) == (1, 2, True)


def test_a_refuted_record_is_cleared_by_claims_that_come_true() -> None:
    record = Record(held=1)
    for _ in range(3):
        record = judged(record, True, 0.0)
    assert record.refuted
    for _ in range(5):
        record = judged(record, False, 0.0)
    assert record.leads


def test_a_band_is_missed_beyond_the_tolerance_and_by_more_than_a_unit() -> None:
    claim = Claim(0.0, 75.0, 80.0, 100.0)
    assert [missed(OF, claim, demand) for demand in (60.0, 64.0, 120.0, 126.0)] == [True, False, False, True]
    assert not missed(OF, Claim(0.0, 75.0, 1.0, 1.0), 5.0)


@given(st.lists(st.booleans(), max_size=40))
def test_a_stake_never_falls_below_one_and_fewer_than_three_misses_never_refute(misses: list[bool]) -> None:
    record = Record()
    for is_missed in misses:
        record = judged(record, is_missed, 0.0)
        assert record.stake >= 1.0
    assert (record.missed, record.held) == (sum(misses), len(misses) - sum(misses))
    assert sum(misses) >= 3 or not record.refuted


def test_the_odds_are_fair_for_a_band_that_fails_one_time_in_ten() -> None:
    assert pytest.approx(1.0) == 0.1 * MISSED + 0.9 * HELD
    assert MISSED**3 > REFUTED > MISSED**2


def test_a_record_without_a_forecast_claims_nothing() -> None:
    silent = recorded(OF, None, Observed(1000.0, 100.0), Record())
    assert silent.claims == ()
    assert silent.blind
    assert recorded(OF, replace(forecast(), targets=("volatility",)), Observed(1000.0, 100.0), Record()).claims == ()
    assert math.isinf(silent.judged_at_s)


def test_surprised_forecasts_save_no_unit() -> None:
    seen = Observed(1010.0, 105.0, (), 25, 27)
    before = steer(OF, forecast(), seen)
    told = replace(before, record=Record((Claim(935.0, 1025.0, 30.0, 40.0),), held=1))
    leash = steer(OF, forecast(100.0, 0.2, 1020.0), replace(seen, at_s=1025.0), told).leash
    assert leash.least_units == leash.baseline_units
