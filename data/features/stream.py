"""The newest tick of a program from what was kept of the ticks before it, so that a tick costs one row and no window.

Decided here: what is kept of a tick is what later ones look back to: values, and running sums, of which any window is a
difference. The last `SPARE` ticks can be taken back. Rows have the bits that `Program.newest` gives them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.features.kernels import Array, newest
from data.features.program import Program
from data.features.side_by_side import OF_SUMS, SUMS, Placed, rounds, work

SPARE = 32  # ticks


@dataclass
class Tape:
    """What is kept by tick (columns, places) up to place `at`; of it, `need` ticks are looked back to."""

    memory: Array
    need: int
    at: int

    @staticmethod
    def of(columns: Sequence[Array], need: int, dtype: type[np.generic]) -> "Tape":
        """Of columns of one length, at least `need`."""
        kept = len(columns[0]) if columns else need
        memory = np.empty((len(columns), 2 * (need + SPARE + 1)), dtype)
        for row, values in zip(memory, columns, strict=True):
            row[:kept] = values
        return Tape(memory, need, kept - 1)

    def grow(self) -> None:
        """Make place for one tick more; another tape may share the memory, so what is kept is not moved within it."""
        self.at += 1
        if self.at == self.memory.shape[1]:
            kept = self.memory[:, -(self.need + SPARE) :]
            self.memory, self.at = np.empty_like(self.memory), kept.shape[1]
            self.memory[:, : self.at] = kept


@dataclass
class Stream:
    """A program after some tick: `now` is the value of each place, `spare` how many ticks may be taken back."""

    plan: "Plan"
    now: NDArray[np.float64]
    values: Tape
    sums: Tape
    spare: int

    def back(self, ticks: int) -> bool:
        """Take back the newest ticks. False, and nothing changes, if there are too many."""
        if ticks > self.spare:
            return False
        self.values.at, self.sums.at, self.spare = self.values.at - ticks, self.sums.at - ticks, self.spare - ticks
        return True

    def advance(self, row: Sequence[float]) -> NDArray[np.float64]:
        """What is asked for (asked,) of the tick that follows, from its values of the program's columns; NaN where unknown."""
        self.now[: len(row)] = row
        self.values.grow()
        self.sums.grow()
        with np.errstate(all="ignore"):
            for fill in self.plan.works:
                fill(self.now, self.values, self.sums)
        self.values.memory[:, self.values.at] = self.now[self.plan.read_back]
        self.spare = min(self.spare + 1, SPARE)
        return np.asarray(self.now[self.plan.asked])

    def copy(self) -> "Stream":
        """A stream that may go on instead of this one."""
        return replace(self, now=self.now.copy(), values=replace(self.values), sums=replace(self.sums))


class Plan:
    """The order in which one row of a program is computed, and what is kept of it."""

    def __init__(self, program: Program) -> None:
        first = len(program.columns)
        placed = [Placed(place, step) for place, step in enumerate(program.steps, first)]
        back = [step for step in program.steps if step.reach and step.key[0] not in OF_SUMS]
        self.program, self.asked = program, np.array(list(program.asked.values()))
        self.read_back = np.array(sorted({place for step in back for place in step.inputs}), np.intp)
        self.summed = [place for place, step in placed if step.key[0] in SUMS]
        self.numbers = {place: step.run(1) for place, step in placed if step.key[0] == "number"}
        kept = [*self.read_back.tolist(), *self.summed]
        self.history = program.cut({str(place): place for place in kept})
        self.need = max((step.reach for step in back), default=0)
        self.window = max((step.reach + 1 for step in program.steps if step.key[0] in OF_SUMS), default=0)
        rows = {place: row for of in (self.read_back.tolist(), self.summed) for row, place in enumerate(of)}
        there = [*range(first), *self.numbers]
        self.works = [work(group, rows) for group in rounds([p for p in placed if p.place not in self.numbers], there)]

    def start(self, table: Mapping[str, Array], ticks: int) -> Stream | None:
        """A stream after the newest of so many ticks of a table; None where the table is too short for that."""
        spare = min(SPARE, ticks - self.program.lookback)
        if spare < 0:
            return None
        rows, split = max(self.need, self.window) + spare, len(self.read_back)
        found = self.history.newest(table, rows)
        values = [newest(column, self.need + spare) for column in found[:split]]
        sums = [newest(column if len(column) else np.arange(rows), self.window + spare) for column in found[split:]]
        now = np.full(len(self.program.columns) + len(self.program.steps), np.nan)
        now[list(self.numbers)] = list(self.numbers.values())
        return Stream(self, now, Tape.of(values, self.need, np.float64), Tape.of(sums, self.window, np.int64), spare)
