import math
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from data.errors import DataError
from data.schemas import TABLES
from serving.demand import RecentOrders
from serving.gateway import Report
from serving.inference import Forecaster
from serving.metrics import Metrics
from serving.pipeline import Pipeline
from shaper.venue import DemandMap
from tests.serving.made import PROVEN, SPREAD, START, counts, venue

AT = START + timedelta(hours=2)
TICK = timedelta(seconds=15)


def metric(pipeline: Pipeline, name: str, **labels: str) -> float | None:
    return pipeline.metrics.registry.get_sample_value(name, labels)


def blocks(times: list[int]) -> pl.DataFrame:
    rows = len(times)
    return pl.DataFrame(
        {
            "chain": ["ethereum"] * rows, "number": [100 + i for i in range(rows)],
            "ts": [START + timedelta(seconds=s) for s in times], "base_fee_wei": [10**10] * rows,
            "gas_used": [10**7] * rows, "gas_limit": [3 * 10**7] * rows,
        },
        schema_overrides={"ts": pl.Datetime("ms", "UTC")},
    )  # fmt: skip


def test_rows_become_a_forecast_and_a_plan_that_it_leads(fed: Pipeline) -> None:
    update = fed.step(AT, {})
    assert update.forecast is not None
    assert update.plan is not None
    assert update.forecast.issued_at_s == AT.timestamp()
    assert update.forecast.quantiles[0][0] == pytest.approx([math.log(48) + s for s in SPREAD.tolist()], abs=1e-6)
    assert (update.plan.stage, update.forecast_note, update.plan_note) == ("forecast-led", None, None)
    assert update.plan.forecast is not None
    assert update.plan.forecast.contract_digest == fed.forecaster.contract.digest
    assert sum(quota.share for quota in update.plan.quotas) == 1
    assert sum(node.weight for node in update.plan.weights) == 1


def test_a_tick_is_forecast_once_and_planned_at_every_step(fed: Pipeline) -> None:
    for seconds in (0, 5, 10, 14):
        fed.step(AT + timedelta(seconds=seconds), {})
    assert metric(fed, "shaper_forecasts_total", outcome="issued") == 1
    assert metric(fed, "shaper_plans_total", stage="forecast-led") == 4
    fed.step(AT + TICK, {"request_counts": counts(AT, 15)})
    assert metric(fed, "shaper_forecasts_total", outcome="issued") == 2


def test_an_answer_that_is_no_forecast_is_discarded_counted_and_planned_without(broken: Forecaster) -> None:
    pipeline = Pipeline(venue(), broken, Metrics.create(), RecentOrders(15.0), trust=PROVEN)
    update = pipeline.step(AT, {"request_counts": counts(START, 7200)})
    assert update.forecast is None
    assert update.plan is not None
    assert update.plan.stage == "reactive"
    assert "discarded" in str(update.forecast_note)
    assert metric(pipeline, "shaper_forecasts_total", outcome="discarded") == 1


def test_a_model_that_breaks_leaves_no_older_forecast_in_use(fed: Pipeline, broken: Forecaster) -> None:
    assert fed.step(AT, {}).forecast is not None
    fed.seer.forecaster = broken
    assert fed.step(AT + TICK, {}).forecast is None


def test_a_forecast_that_fails_is_said_and_the_rest_goes_on(fed: Pipeline) -> None:
    fed.seer.forecaster = replace(fed.forecaster, session=None)
    update = fed.step(AT, {})
    assert "AttributeError" in str(update.forecast_note)
    assert update.plan is not None
    assert update.plan.stage == "reactive"
    assert metric(fed, "shaper_forecasts_total", outcome="failed") == 1


def test_without_rows_there_is_neither_forecast_nor_plan_and_it_is_said_why(pipeline: Pipeline) -> None:
    update = pipeline.step(AT, {})
    assert (update.forecast, update.plan) == (None, None)
    assert "demand unknown for 3 ticks, no row yet" in str(update.forecast_note)
    assert "no demand has been measured yet" in str(update.plan_note)


def test_when_rows_stop_the_last_forecast_ages_then_everything_is_held(fed: Pipeline) -> None:
    stages = {}
    for tick in range(30):
        update = fed.step(AT + tick * TICK, {})
        assert update.plan is not None
        stages[tick] = update.plan.stage
    assert metric(fed, "shaper_forecasts_total", outcome="issued") == 3
    # Demand was last measured 7.5 s before tick 0, and is believed for 120 s.
    assert [stages[tick] for tick in (7, 8, 29)] == ["forecast-led", "static", "static"]
    assert "newest row known at 2024-01-01T02:00:00+00:00" in str(update.forecast_note)
    assert "there is none to plan by" in str(update.forecast_note)
    assert "held" in str(update.plan_note)


def test_where_demand_is_told_but_rows_have_stopped_the_plan_is_reactive(fed: Pipeline) -> None:
    stages = {}
    for tick in range(30):
        at = AT + tick * TICK
        fed.gateway.take(Report(demand_per_s=48.0), at.timestamp())
        update = fed.step(at, {})
        assert update.plan is not None
        stages[tick] = update.plan.stage
    # The last forecast, of tick 2, reaches 300 s; a plan looks 75 s ahead.
    assert [tick for tick, stage in stages.items() if stage == "reactive"] == list(range(18, 30))


def test_rows_that_were_late_from_the_first_still_lead_to_a_plan_that_says_so(fed: Pipeline) -> None:
    update = fed.step(AT + 2 * TICK, {})
    assert update.plan is not None
    assert "demand of 2024-01-01T01:59:52+00:00 is held" in str(update.plan_note)


def test_rows_of_long_ago_tell_nothing_of_the_present(fed: Pipeline) -> None:
    assert fed.step(AT + timedelta(days=1), {}).plan is None


def test_forecasts_resume_with_the_rows(fed: Pipeline) -> None:
    later = AT + 40 * TICK
    assert fed.step(later, {}).forecast_note is not None
    update = fed.step(later + TICK, {"request_counts": counts(later, 15)})
    assert (update.forecast_note, update.plan_note) == (None, None)


def test_rows_that_do_not_fit_older_ones_change_nothing(forecaster: Forecaster) -> None:
    pipeline = Pipeline(venue(), forecaster, Metrics.create(), RecentOrders(15.0), trust=PROVEN)
    pipeline.take({"request_counts": counts(START, 60)})
    before = pipeline.panel.rows
    wrong = blocks([0, 12]).with_columns(pl.lit(None, pl.Int64).alias("gas_used"))
    with pytest.raises(DataError):
        pipeline.take({"request_counts": counts(START + timedelta(seconds=60), 60), "blocks": wrong})
    assert pipeline.panel.rows == before
    assert pipeline.orders.rate((START + timedelta(seconds=120)).timestamp()) is None
    assert metric(pipeline, "shaper_observed_rows_total", table="request_counts") == 120


def test_a_report_of_demand_goes_before_counted_rows(fed: Pipeline) -> None:
    fed.gateway.take(Report(demand_per_s=90.0), AT.timestamp())
    fed.step(AT, {})
    assert metric(fed, "shaper_demand_orders_per_second") == 90.0


def test_demand_follows_from_the_targets_where_no_order_is_counted(forecaster: Forecaster) -> None:
    doubled = venue(demand=DemandMap(math.log(2.0), (("demand", 1.0),)))
    pipeline = Pipeline(doubled, forecaster, Metrics.create(), RecentOrders(15.0), trust=PROVEN)
    pipeline.panel.append("request_counts", counts(START, 7200))
    update = pipeline.step(AT, {})
    assert update.plan is not None
    assert metric(pipeline, "shaper_demand_orders_per_second") == pytest.approx(96.0, rel=1e-6)


def test_capacity_ordered_by_a_plan_is_on_its_way_in_the_next(fed: Pipeline) -> None:
    fed.step(AT, {})
    ordered = fed.gateway.lever.ordered
    assert ordered > fed.gateway.lever.ready == 2
    fed.gateway.lever.land(AT.timestamp() + 60)
    assert fed.gateway.lever.ready == ordered


def test_equal_rows_give_equal_plans(forecaster: Forecaster) -> None:
    made = [Pipeline(venue(), forecaster, Metrics.create(), RecentOrders(15.0), trust=PROVEN) for _ in range(2)]
    one, other = (p.step(AT, {"request_counts": counts(START, 7200)}) for p in made)
    assert (one.forecast, one.plan) == (other.forecast, other.plan)


def test_every_table_of_a_feed_may_be_taken(pipeline: Pipeline) -> None:
    pipeline.take({"blocks": blocks([0, 12, 24]), "request_counts": counts(START, 5)})
    assert set(pipeline.panel.rows) <= set(TABLES)
