import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from data.live import LivePanel
from serving.deadline import Deadline, LateError
from serving.demand import RecentOrders
from serving.feeds import RowsFeed, Step
from serving.inference import Answer, Forecaster
from serving.ladder import GOOD_IN_A_ROW, Ladder, Outcome
from serving.loop import Sidecar
from serving.metrics import Metrics
from serving.pipeline import Pipeline
from serving.settings import Model
from serving.state import Board
from shaper.forecast import Forecast
from tests.serving.made import HORIZONS, PROVEN, START, contract, counts, venue, write_artefact
from tests.serving.test_pipeline import AT, TICK, metric

LONG = 16  # ticks of context, so that the baseline knows enough changes


def forecast(at_s: float, origin: str = "champion") -> Forecast:
    return Forecast(at_s, at_s + 300, 15, origin, "", ("demand",), (1, 20), (0.5,), (((1.0,), (1.0,)),), ((0.0, 0.0),))


def climbed(*outcomes: Outcome) -> Ladder:
    ladder = Ladder()
    for tick, outcome in enumerate(outcomes):
        ladder = ladder.after(outcome, forecast(15.0 * tick) if outcome == "issued" else None)
    return ladder


def test_a_late_or_failing_model_leaves_its_last_forecast_while_that_reaches_the_lead() -> None:
    for outcome in ("late", "failed", "blind"):
        ladder = climbed("issued", outcome)  # type: ignore[arg-type]
        assert ladder.choose(15.0, 15.0, 75.0, forecast(15.0, "baseline")) == (forecast(0.0), "last-good")
        assert ladder.choose(225.0, 225.0, 75.0, None) == (forecast(0.0), "last-good")
        assert ladder.choose(225.1, 225.0, 75.0, forecast(225.0, "baseline"))[1] == "baseline"
        assert ladder.choose(225.1, 225.0, 75.0, None) == (None, "none")


def test_after_nonsense_only_arithmetic_is_believed() -> None:
    ladder = climbed("issued", "discarded")
    assert ladder.choose(15.0, 15.0, 75.0, forecast(15.0, "baseline"))[1] == "baseline"


@pytest.mark.parametrize("fault", ["late", "failed", "discarded"])
def test_a_model_that_was_at_fault_leads_again_after_three_good_answers_in_a_row(fault: Outcome) -> None:
    rungs = []
    outcomes: list[Outcome] = [fault, "issued", "issued", fault, "issued", "issued", "issued"]
    ladder = Ladder()
    for tick, outcome in enumerate(outcomes):
        at_s = 15.0 * tick
        ladder = ladder.after(outcome, forecast(at_s) if outcome == "issued" else None)
        rungs.append(ladder.choose(at_s, at_s, 75.0, forecast(at_s, "baseline"))[1])
    assert rungs == ["baseline"] * 6 + ["champion"]
    assert GOOD_IN_A_ROW == 3


def test_a_feed_that_was_late_costs_the_model_nothing() -> None:
    assert climbed("issued", "blind", "issued").choose(30.0, 30.0, 75.0, None)[1] == "champion"


def test_a_job_that_is_late_is_given_up_and_nothing_else_is_asked_before_it_has_ended() -> None:
    deadline, gate = Deadline(0.02), threading.Event()
    with pytest.raises(LateError, match="no answer within"):
        deadline.call(gate.wait)
    with pytest.raises(LateError, match="earlier answer"):
        deadline.call(lambda: 1)
    gate.set()
    assert deadline.under_way is not None
    deadline.under_way.put(deadline.under_way.get(timeout=10))  # looked at, and put back
    assert deadline.call(lambda: 2) == 2
    with pytest.raises(ZeroDivisionError):
        deadline.call(lambda: 1 / 0)


class Crawling(Forecaster):
    """A model that waits for a gate before it answers."""

    gate = threading.Event()

    def run(self, window: np.ndarray, state: np.ndarray | None = None) -> Answer:
        self.gate.wait(30)
        return super().run(window, state)


@pytest.fixture
def long(tmp_path_factory: pytest.TempPathFactory) -> Forecaster:
    """A model whose window holds enough changes for the baseline."""
    described = contract()
    described = type(described)(**{f: getattr(described, f) for f in described.__struct_fields__} | {"context": LONG})
    return Forecaster.open(write_artefact(tmp_path_factory.mktemp("long"), described))


def piped(forecaster: Forecaster) -> Pipeline:
    made = Pipeline(venue(), forecaster, Metrics.create(), RecentOrders(15.0), Model(deadline_s=0.05), PROVEN)
    made.take({"request_counts": counts(START, 7200)})
    return made


def test_a_model_that_crawls_does_not_delay_the_plan_and_its_late_answer_is_thrown_away(long: Forecaster) -> None:
    pipeline = piped(long)
    assert pipeline.step(AT, {}).forecast_note is None
    crawling = Crawling(long.contract, long.session)
    crawling.gate.clear()
    pipeline.seer.forecaster = crawling
    update = pipeline.step(AT + TICK, {"request_counts": counts(AT, 15)})
    assert update.plan is not None
    assert update.forecast is not None
    assert update.forecast.issued_at_s == AT.timestamp()
    assert "late at" in str(update.forecast_note)
    assert "the last-good serves" in str(update.forecast_note)
    assert metric(pipeline, "shaper_forecasts_total", outcome="late") == 1
    assert metric(pipeline, "shaper_forecast_rung") == 1
    crawling.gate.set()
    for tick in (2, 3, 4):
        time.sleep(0.02)
        update = pipeline.step(AT + tick * TICK, {"request_counts": counts(AT + (tick - 1) * TICK, 15)})
    assert update.forecast_note is None


def test_a_model_that_answers_nonsense_leaves_arithmetic_to_lead(long: Forecaster, tmp_path: Path) -> None:
    nonsense = np.full((len(HORIZONS), 1, 5), np.nan)
    folder = write_artefact(tmp_path / "nonsense", long.contract, nonsense)
    pipeline = piped(long)
    pipeline.step(AT, {})
    pipeline.seer.forecaster = Forecaster.open(folder)
    update = pipeline.step(AT + TICK, {"request_counts": counts(AT, 15)})
    assert update.forecast is not None
    assert update.forecast.origin == "baseline"
    assert "NaN" in str(update.forecast_note)
    assert update.plan is not None
    assert "forecast of baseline" in update.plan.reason


def test_a_clock_that_goes_back_begins_anew_at_once_from_the_rows_of_before(long: Forecaster) -> None:
    pipeline = piped(long)
    pipeline.step(AT + TICK, {"request_counts": counts(AT, 15)})
    update = pipeline.step(AT, {})
    assert update.forecast is not None
    assert update.forecast.issued_at_s == AT.timestamp()
    assert update.plan is not None
    assert update.plan.valid_from_s == AT.timestamp()
    assert all(due <= AT.timestamp() + 60 for due, _ in pipeline.gateway.lever.pending)
    assert pipeline.panel.newest == AT


def test_after_a_clock_was_wrong_by_hours_the_demand_of_a_moment_ago_carries_the_plan(long: Forecaster) -> None:
    pipeline = piped(long)
    wrong = AT + timedelta(hours=5)
    pipeline.step(wrong, {"request_counts": counts(wrong - timedelta(minutes=1), 60)})
    update = pipeline.step(AT, {})
    assert update.plan is not None
    assert update.plan.stage == "reactive"
    assert "48/s seen" in update.plan.capacity[0].reason


def test_a_jump_of_the_clock_is_said_and_counted(sidecar: Sidecar) -> None:
    import asyncio

    made = Sidecar(RowsFeed(15.0), sidecar.pipeline, Board(lambda: 0.0))
    asyncio.run(made.advance(Step(AT, {}, -3600.0)))
    assert "jumped by -3600 s" in made.board.notes["clock"]
    assert metric(made.pipeline, "shaper_clock_jumps_total") == 1
    asyncio.run(made.advance(Step(AT + TICK, {})))
    assert "clock" not in made.board.notes


def test_the_panel_of_a_model_knows_only_rows_of_the_past_after_the_clock_went_back(long: Forecaster) -> None:
    pipeline = piped(long)
    before = LivePanel(long.contract)
    before.append("request_counts", counts(START, 3600))
    back = START + timedelta(hours=1)
    pipeline.step(AT, {})
    pipeline.turn_back(back)
    np.testing.assert_array_equal(pipeline.panel.window(back)[-1], before.window(back)[-1])
