"""Inferences that wait at the same time are computed in one run of the graph.

Decided here: nobody waits for company. What the event loop has read when it comes round is one batch, up to a number of rows that
keeps the loop free; rows of one model are put together only where it was seen that their answers then are the same to the bit.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from serving.oip.model import ServedModel
from serving.oip.tensors import Array

MOST_ROWS = 16
Outcome = dict[str, Array] | Exception


@dataclass(frozen=True, slots=True)
class Work:
    """Inputs (rows, ...) that are complete, the outputs wanted of them, and who is told."""

    model: ServedModel
    given: dict[str, Array]
    wanted: tuple[str, ...]
    done: Callable[[Outcome], None]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.given.values())))


@dataclass
class Batches:
    """What waits for the event loop to come round."""

    waiting: deque[Work] = field(default_factory=deque)

    def add(self, work: Work) -> None:
        """Have work done when the loop has read what there is."""
        if not self.waiting:
            asyncio.get_running_loop().call_soon(self.run)
        self.waiting.append(work)

    def run(self) -> None:
        """Do one batch; what it has no room for comes after whatever else the loop has to do."""
        batch = self.next()
        if self.waiting:
            asyncio.get_running_loop().call_soon(self.run)
        for work, outcome in zip(batch, outcomes(batch), strict=True):
            work.done(outcome)

    def next(self) -> list[Work]:
        """The first that waits, with those after it that fit into the same run."""
        first = self.waiting.popleft()
        batch, rows = [first], first.rows
        while self.waiting and first.model.rows_are_independent:
            work = self.waiting[0]
            rows += work.rows
            if work.model is not first.model or work.wanted != first.wanted or rows > MOST_ROWS:
                break
            batch.append(self.waiting.popleft())
        return batch


def outcomes(batch: Sequence[Work]) -> list[Outcome]:
    """What becomes of each piece of work; one that cannot be answered does not spoil the others."""
    if len(batch) > 1:
        with suppress(Exception):  # whatever is wrong, it is found again below, and at whom it lies
            return list(together(batch))
    return [alone(work.model, work.given, work.wanted) for work in batch]


def alone(model: ServedModel, given: dict[str, Array], wanted: tuple[str, ...]) -> Outcome:
    """What becomes of one piece of work."""
    try:
        return model.run(given, wanted)
    except Exception as error:  # the runtime's own as well: whoever asked is told, and the loop goes on
        return error


def together(batch: Sequence[Work]) -> list[dict[str, Array]]:
    """The answers to several pieces of work of one model in one run. Raises InferenceError when any has none."""
    model, wanted = batch[0].model, batch[0].wanted
    given = {name: np.concatenate([work.given[name] for work in batch]) for name in batch[0].given}
    answers = model.run(given, wanted)
    ends = np.cumsum([work.rows for work in batch]).tolist()
    return [
        {name: array[end - work.rows : end] for name, array in answers.items()}
        for work, end in zip(batch, ends, strict=True)
    ]
