"""Rows that are computed together are answered as each alone, or they are not put together."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from serving.inference import BUNDLED, INPUT, Forecaster
from serving.oip.batching import MOST_ROWS, Batches, Outcome, Work
from serving.oip.messages import InferenceError
from serving.oip.model import ServedModel

ROW = np.zeros((1, 4, 3), np.float32)


@dataclass
class Counting:
    """A session that notes how many rows came at once.

    Its answers depend on that where it is told so, and a window that begins with `nothing_for` has none.
    """

    session: Any
    depends: bool = False
    nothing_for: float | None = None

    def __post_init__(self) -> None:
        self.rows: list[int] = []

    def run(self, wanted: Any, given: Any) -> Any:
        rows = len(given[INPUT])
        self.rows.append(rows)
        more = np.full(rows, 1e-6 * rows if self.depends else 0, np.float32)
        more[given[INPUT][:, 0, 0] == self.nothing_for] = np.nan
        answers = self.session.run(wanted, given)
        return [answer + more.reshape(-1, *[1] * (answer.ndim - 1)) for answer in answers]


def worked(model: ServedModel, *windows: np.ndarray) -> list[Outcome]:
    """What becomes of some windows that wait at the same time."""
    outcomes: dict[int, Outcome] = {}

    async def whole() -> None:
        batches = Batches()
        for place, window in enumerate(windows):
            given = model.completed({INPUT: window})
            batches.add(Work(model, given, model.outputs, lambda outcome, p=place: outcomes.update({p: outcome})))
        while len(outcomes) < len(windows):
            await asyncio.sleep(0)

    asyncio.run(whole())
    return [outcomes[place] for place in range(len(windows))]


@pytest.mark.parametrize("task", sorted(path.parent.name for path in BUNDLED.glob("*/contract.json")))
def test_the_bundled_champions_are_put_together_only_where_each_row_is_answered_as_alone_to_the_bit(task: str) -> None:
    model = ServedModel(Forecaster.open(BUNDLED / task))
    shape = model.metadata.inputs[0].shape[1:]
    drawn = np.random.default_rng(1).normal(0, 3, (MOST_ROWS, *shape)).astype(np.float32)
    drawn[::3, -2:] = np.nan
    alone = [model.run(model.completed({INPUT: row[np.newaxis]}), model.outputs) for row in drawn]
    for rows in range(2, MOST_ROWS + 1):
        together = model.run(model.completed({INPUT: drawn[:rows]}), model.outputs)
        for name, array in together.items():
            singly = np.concatenate([answer[name] for answer in alone[:rows]])
            if model.rows_are_independent:
                assert array.tobytes() == singly.tobytes(), (rows, name)
            np.testing.assert_allclose(array, singly, rtol=1e-5, atol=1e-5)  # of rows that one request brings


@pytest.mark.parametrize("task", ["demand", "panel"])
def test_the_champions_that_are_asked_most_are_put_together(task: str) -> None:
    assert ServedModel(Forecaster.open(BUNDLED / task)).rows_are_independent


def test_what_waits_together_is_one_run_up_to_the_most_rows(forecaster: Forecaster) -> None:
    session = Counting(forecaster.session)
    model = ServedModel(replace(forecaster, session=session))
    assert model.rows_are_independent
    session.rows.clear()
    windows = [np.repeat(ROW + number, 1 + number % 3, axis=0) for number in range(12)]
    outcomes = worked(model, *windows)
    assert session.rows == [15, 9]  # the next would have made it 16 and one
    for window, outcome in zip(windows, outcomes, strict=True):
        assert isinstance(outcome, dict)
        assert outcome["quantiles"][:, 0, 0, 2].tolist() == window[:, 0, 0].tolist()


def test_a_model_whose_rows_depend_on_each_other_computes_each_request_alone(forecaster: Forecaster) -> None:
    session = Counting(forecaster.session, depends=True)
    model = ServedModel(replace(forecaster, session=session))
    assert not model.rows_are_independent
    session.rows.clear()
    worked(model, *(ROW + number for number in range(5)))
    assert session.rows == [1] * 5


def test_one_that_cannot_be_answered_does_not_spoil_the_others(forecaster: Forecaster) -> None:
    session = Counting(forecaster.session, nothing_for=9.0)
    first, second, third = worked(ServedModel(replace(forecaster, session=session)), ROW, ROW + 9, ROW + 1)
    assert isinstance(second, InferenceError)
    assert "expected a finite answer" in str(second)
    for number, outcome in ((0, first), (1, third)):
        assert isinstance(outcome, dict)
        assert outcome["quantiles"][0, 0, 0, 2] == number
