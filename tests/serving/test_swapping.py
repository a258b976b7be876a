import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from serving.demand import RecentOrders
from serving.desk import Desk
from serving.errors import RefusedError
from serving.feeds import Step
from serving.inference import Forecaster
from serving.loop import Sidecar
from serving.metrics import Metrics
from serving.models import Source
from serving.pipeline import Pipeline
from serving.seer import Asked
from serving.settings import Model
from serving.swapping import Change
from serving.trial import Trial, objection
from shaper.forecast import Forecast
from tests.serving.made import HORIZONS, LEVELS, SPREAD, START, contract, counts, venue, write_artefact
from tests.serving.test_api import fed
from tests.serving.test_pipeline import AT, TICK

TICKS = 6
BESIDE = np.tile(SPREAD, (len(HORIZONS), 1, 1))


def other(folder: Path, name: str, offsets: np.ndarray = BESIDE) -> Forecaster:
    return Forecaster.open(write_artefact(folder / name, contract(name), offsets))


@pytest.fixture
def piped(forecaster: Forecaster) -> Pipeline:
    made = Pipeline(venue(), forecaster, Metrics.create(), RecentOrders(15.0), Model(shadow_ticks=TICKS))
    made.take({"request_counts": counts(START, 7200)})
    return made


def go_on(pipeline: Pipeline, first: int, last: int) -> list[tuple[Change, str]]:
    for tick in range(first, last):
        at = AT + tick * TICK
        update = pipeline.step(at, {"request_counts": counts(at - TICK, 15)})
        assert update.plan is not None
        pipeline.shadow()
    return [(change.change, change.model) for change in pipeline.swapper.changed()]


def test_a_model_as_good_takes_over_after_its_time_in_the_shadow_and_stays(piped: Pipeline, tmp_path: Path) -> None:
    go_on(piped, 0, 2)
    piped.swapper.challenge(piped.seer_of(other(tmp_path, "new")))
    assert go_on(piped, 2, 1 + TICKS) == [("challenged", "new")]
    assert piped.forecaster.contract.name == "echo"
    assert go_on(piped, 1 + TICKS, 2 + TICKS) == [("promoted", "new")]
    assert piped.forecaster.contract.name == "new"
    assert [model.role for model in piped.swapper.models()] == ["champion", "former"]
    update = piped.step(AT + (2 + TICKS) * TICK, {})
    assert update.forecast is not None
    assert update.forecast.contract_digest == contract("new").digest
    assert go_on(piped, 3 + TICKS, 3 + 2 * TICKS) == [("confirmed", "new")]
    assert [model.role for model in piped.swapper.models()] == ["champion"]


@pytest.mark.parametrize(
    ("offsets", "why"),
    [
        (np.full((len(HORIZONS), 1, 5), np.nan), "late, failed or nonsense"),
        (BESIDE + 0.5, "its loss is"),
        (BESIDE * 20, "its loss is"),
    ],
)
def test_a_model_that_is_worse_stays_in_the_shadow(
    piped: Pipeline, tmp_path: Path, offsets: np.ndarray, why: str
) -> None:
    go_on(piped, 0, 2)
    piped.swapper.challenge(piped.seer_of(other(tmp_path, "worse", offsets)))
    for tick in range(2, 3 + TICKS):
        update = piped.step(AT + tick * TICK, {"request_counts": counts(AT + (tick - 1) * TICK, 15)})
        assert update.forecast is not None
        assert update.forecast.contract_digest == contract().digest
        piped.shadow()
    challenged, rejected = piped.swapper.changed()
    assert (challenged.change, rejected.change) == ("challenged", "rejected")
    assert why in rejected.why
    assert rejected.comparison is not None
    assert rejected.comparison.ticks == TICKS
    assert piped.swapper.trial is None


def test_a_model_that_breaks_after_it_took_over_goes_back_by_itself(
    piped: Pipeline, broken: Forecaster, tmp_path: Path
) -> None:
    piped.swapper.challenge(piped.seer_of(other(tmp_path, "new")))
    go_on(piped, 0, TICKS + 1)
    assert piped.forecaster.contract.name == "new"
    piped.seer.forecaster = Forecaster(piped.forecaster.contract, broken.session)
    assert go_on(piped, TICKS + 1, TICKS + 3) == []
    assert go_on(piped, TICKS + 3, TICKS + 4) == [("rolled-back", "new")]
    assert piped.forecaster.contract.name == "echo"
    go_on(piped, TICKS + 4, TICKS + 7)
    assert piped.step(AT + (TICKS + 6) * TICK, {}).forecast_note is None


def forecast(at_s: float, middle: float, width: float = 1.0) -> Forecast:
    curve = tuple(middle + width * offset for offset in (-1.0, 0.0, 1.0))
    return Forecast(
        at_s, at_s + 30, 15, "champion", "", ("x",), (1, 2), (0.1, 0.5, 0.9), ((curve, curve),), ((0.0, 0.0),)
    )


def test_losses_coverage_and_drift_are_those_of_forecasts_that_came_true() -> None:
    trial = Trial(None, "challenger", 40)  # type: ignore[arg-type]
    for tick in range(20):
        at = START + tick * TICK
        led, own = forecast(at.timestamp(), 0.0), forecast(at.timestamp(), 3.0)
        asked = [(Asked("issued", made, None, None), seconds) for made, seconds in ((led, 0.1), (own, 0.3))]
        trial.take(at, {"x": 0.0}, *asked)
    found = trial.comparison()
    assert found.truths == 2 * 18 + 1
    assert (found.leader_coverage, found.coverage, found.drift) == (1.0, 0.0, 1.5)
    # Pinball losses of the truth 0: (0.1, 0, 0.1)/3 for the leader, (2·0.9, 3·0.5, 4·0.1)/3 for the other.
    assert found.loss_ratio == pytest.approx((1.8 + 1.5 + 0.4) / 0.2)
    assert (found.leader_median_s, found.median_s) == (0.1, 0.3)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"faults": 0.06}, "6% of its answers"),
        ({"median_s": 0.3}, "more than half the deadline of 0.5 s"),
        ({"loss_ratio": 1.06}, "1.06 times the champion's"),
        ({"coverage": 0.69}, "its band of 90% held 69%"),
        ({"drift": 1.1}, "1.1 widths"),
        ({}, None),
    ],
)
def test_each_objection_has_its_limit(change: dict[str, Any], why: str | None) -> None:
    trial = Trial(None, "challenger", 40)  # type: ignore[arg-type]
    found = msgspec.structs.replace(trial.comparison(), **change)
    said = objection(found, LEVELS, 0.5)
    assert (said is None) if why is None else (why in str(said))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """The folder that the settings name, which still holds the model in use."""
    write_artefact(tmp_path / "named")
    return Source(Model(artefact=str(tmp_path / "named"), shadow_ticks=TICKS), lambda: None)


@pytest.fixture
def desk(sidecar: Sidecar, source: Source) -> Desk:
    return Desk(sidecar, source)


def test_models_are_listed_and_a_new_one_in_the_folder_begins_to_shadow(
    client: TestClient[Litestar], source: Source, tmp_path: Path
) -> None:
    client.app.state.desk.source = source
    fed(client)
    (only,) = client.get("/v1/models").json()["models"]
    assert (only["role"], only["name"], only["targets"]) == ("champion", "echo", ["demand"])
    assert len(client.post("/v1/models/swap", json={}).json()["models"]) == 1
    write_artefact(tmp_path / "named", contract("new"))
    answer = client.post("/v1/models/swap", json={"to": "configured"})
    assert answer.status_code == 202
    assert [(model["role"], model["name"]) for model in answer.json()["models"]] == [
        ("champion", "echo"), ("challenger", "new"),
    ]  # fmt: skip
    assert "new challenged" in str(client.app.state.sidecar.board.events.events)
    assert client.post("/v1/models/swap", json={"to": "before"}).status_code == 409
    assert source.tried == {contract("new").digest}


def test_the_predecessor_leads_again_when_the_operator_asks(desk: Desk, source: Source, tmp_path: Path) -> None:
    sidecar = desk.sidecar
    write_artefact(tmp_path / "named", contract("new"))
    sidecar.pipeline.swapper.ticks = TICKS
    sidecar.pipeline.take({"request_counts": counts(START, 7200)})
    assert source.model.artefact is not None

    async def job() -> None:
        async with sidecar.running():
            await desk.look_for_model()
            for tick in range(TICKS):
                rows = {} if tick == 0 else {"request_counts": counts(AT + (tick - 1) * TICK, 15)}
                await sidecar.advance(Step(AT + tick * TICK, rows))
            assert sidecar.pipeline.forecaster.contract.name == "new"
            await desk.swap_back()
            assert sidecar.pipeline.forecaster.contract.name == "echo"
            with pytest.raises(RefusedError, match="predecessor"):
                await desk.swap_back()

    asyncio.run(job())
    said = [event.text.split(":")[0] for event in sidecar.board.events.events if event.kind == "model"]
    assert said == ["new challenged", "new promoted", "new rolled-back"]


def test_a_model_of_another_tick_or_without_a_target_is_refused(desk: Desk, source: Source, tmp_path: Path) -> None:
    wide = contract("wide")
    panel = msgspec.structs.replace(wide.panel, tick_s=30)
    write_artefact(tmp_path / "named", msgspec.structs.replace(wide, panel=panel))
    with pytest.raises(RefusedError, match="its tick is 30 s"):
        asyncio.run(desk.look_for_model())
    asyncio.run(desk.look_for_model())  # tried once, and not again by itself
    with pytest.raises(RefusedError, match="its tick is 30 s"):
        asyncio.run(desk.look_for_model(again=True))
    assert source.tried


def test_a_folder_that_is_watched_is_looked_at_now_and_then(desk: Desk, source: Source, tmp_path: Path) -> None:
    source.model, sidecar = replace(source.model, watch_s=0.01), desk.sidecar

    async def job() -> None:
        async with sidecar.running(), desk.open():
            (tmp_path / "named" / "model.onnx").write_bytes(b"half")
            while "model" not in sidecar.board.notes:
                await asyncio.sleep(0.01)
            write_artefact(tmp_path / "named", contract("new"))
            while sidecar.pipeline.swapper.trial is None or "model" in sidecar.board.notes:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(job(), 20))
